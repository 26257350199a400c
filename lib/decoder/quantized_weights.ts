/** Which of a decoder's weights stay quantized in memory, and which become floats all the same. */

import type {DecoderIndex} from './lowered_decoder.js';
import {weightByteLength} from './weight_ref.js';

export interface QuantizedWeights {
  /** Bytes in memory of those that stay quantized. */
  bytes: number;
  /** Names of those that their files quantize and that are floats in memory: asked for so, or no kernel takes them as they are. */
  dequantized: string[];
}

export function quantizedWeights({sequence, weights}: Pick<DecoderIndex, 'sequence' | 'weights'>): QuantizedWeights {
  const names = weightNames(sequence);
  const isQuantized = weights.map(({rows}) => rows.some(({kind}) => kind === 'quantized'));
  return {
    bytes: weights.reduce((sum, weight) => sum + (weight.packed ? weightByteLength(weight) : 0), 0),
    dequantized: weights.flatMap(({packed}, index) => (isQuantized[index] && !packed ? [names.get(index) ?? `weight ${index}`] : [])),
  };
}

/** Where a weight is first used. */
export function weightNames(sequence: DecoderIndex['sequence']): Map<number, string> {
  const names = new Map<number, string>();
  for (const {part, layer, weights} of sequence) {
    for (const [name, weight] of Object.entries(weights)) {
      if (!names.has(weight)) names.set(weight, layer === undefined ? `${part}.${name}` : `layer ${layer}, ${name}`);
    }
  }
  return names;
}
