/** What the weights of a decoder's runs weigh: the units that are placed in VRAM, RAM or on disk. */

import type {DecoderIndex, DecoderPart, Execution} from '../decoder/lowered_decoder.js';
import {type StoredBytes, type WeightRef, weightByteLength} from '../decoder/weight_ref.js';

export interface RunWeights {
  /** Place in the order of runs. */
  index: number;
  /** 'prologue', 'layer 0', …, 'epilogue'. */
  name: string;
  kind: DecoderPart['kind'];
  /** Whose keys and values its attention has. */
  layer?: number;
  /** Bytes of the weights that no other run takes, as they lie in memory. */
  bytes: number;
  /** Bytes of them in the model's files, where they may be quantized. */
  storedBytes: number;
  /** Bytes that a step of one token reads for it, those that other runs take too included. */
  readBytes: number;
}

export interface DecoderWeights {
  runs: readonly RunWeights[];
  /** Bytes of the weights that several runs take: tied embeddings, tables of rotations. They stay in VRAM. */
  sharedBytes: number;
}

/** Of a weight within a block of them: what kernels and copies want of an address. As in native/weights. */
const ALIGNMENT = 256;

export function decoderWeights({parts, sequence, weights}: DecoderIndex): DecoderWeights {
  const kinds = new Map(parts.map(({name, kind}) => [name, kind]));
  const users = new Map<number, number>();
  const used = sequence.map(({weights: inputs}) => [...new Set(Object.values(inputs))]);
  for (const weight of used.flat()) users.set(weight, (users.get(weight) ?? 0) + 1);
  const size = (indices: readonly number[], bytes: (weight: WeightRef) => number) =>
    indices.reduce((sum, index) => sum + aligned(bytes(weights[index]!)), 0);
  const runs = sequence.map((execution, index): RunWeights => {
    const kind = kinds.get(execution.part)!;
    const own = used[index]!.filter((weight) => users.get(weight) === 1);
    return {
      index,
      name: execution.layer === undefined ? execution.part : `layer ${execution.layer}`,
      kind,
      ...(execution.layer === undefined ? {} : {layer: execution.layer}),
      bytes: size(own, weightByteLength),
      storedBytes: size(own, storedBytes),
      readBytes: size(readInStep(kind, execution), (weight) => weightByteLength(weight)),
    };
  });
  const shared = [...users].flatMap(([weight, count]) => (count > 1 ? [weight] : []));
  return {runs, sharedBytes: size(shared, weightByteLength)};
}

/** Of embeddings and of tables of rotations a step reads a row. */
function readInStep(kind: DecoderPart['kind'], {weights}: Execution): number[] {
  if (kind === 'prologue') return [];
  return Object.entries(weights).flatMap(([name, weight]) => (name === 'cos' || name === 'sin' ? [] : [weight]));
}

function storedBytes({rows}: WeightRef): number {
  const length = (stored: StoredBytes | undefined) => (stored === undefined ? 0 : 'inline' in stored ? 0 : stored.length);
  return rows.reduce(
    (sum, part) =>
      sum + (part.kind === 'dense' ? length(part.data) : length(part.codes) + length(part.scales) + length(part.zeroPoints?.data)),
    0,
  );
}

function aligned(bytes: number): number {
  return Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
}
