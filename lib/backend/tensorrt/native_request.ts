/** What the native decoder is asked to load: a lowered decoder, its plans and its limits, in the addon's terms. */

import type {ByRange, DecoderIndex} from '../../decoder/lowered_decoder.js';
import {weightNames} from '../../decoder/quantized_weights.js';
import {type StoredBytes, type WeightRef, type WeightRows, weightByteLength} from '../../decoder/weight_ref.js';
import type {NativeDecoderRequest, NativeMatrix, NativePiece, NativeSource, NativeTier} from '../../native/decoder_addon.js';
import type {Tier} from '../../weights/placement_option.js';

/** By the part's name. */
export type PartPlans = ReadonlyMap<string, ByRange<Uint8Array>>;

export interface NativeRequestOptions {
  /** What recordings call the model. Default: 'model'. */
  name?: string;
  device: number;
  tensorrt: readonly string[];
  deterministic: boolean;
  /** Of each run. Default: all in VRAM. */
  tiers?: readonly Tier[];
  /** That the runs which are not in VRAM share there. */
  places?: number;
  /** Numbers of weights that stay in VRAM though their run does not. */
  kept?: readonly number[];
  offloadFolder?: string;
  limits: NativeDecoderRequest['limits'];
}

const NATIVE_TIERS = {gpu: 'vram', ram: 'ram', disk: 'disk'} as const satisfies Record<Tier, NativeTier>;

export function nativeRequest(
  {shape, parts, sequence, weights}: DecoderIndex,
  plans: PartPlans,
  {tiers, places, kept, offloadFolder, ...options}: NativeRequestOptions,
): NativeDecoderRequest {
  const {type, layers, kvHeads, headSize, kvCacheType, hiddenSize, vocabularySize} = shape;
  const numbers = new Map(parts.map(({name}, number) => [name, number]));
  const names = weightNames(sequence);
  return {
    ...options,
    type,
    layers,
    kvHeads,
    headSize,
    kvCacheType,
    hiddenSize,
    vocabularySize,
    parts: parts.map(({name}) => plans.get(name)!),
    ...(tiers === undefined ? {} : {placement: tiers.map((tier) => NATIVE_TIERS[tier])}),
    ...(places === undefined ? {} : {prefetchDepth: places}),
    ...(kept === undefined ? {} : {kept}),
    ...(offloadFolder === undefined ? {} : {offloadFolder}),
    sequence: sequence.map(({part, layer, weights: inputs}) => ({
      part: numbers.get(part)!,
      ...(layer === undefined ? {} : {layer}),
      weights: Object.entries(inputs).map(([name, weight]) => ({name, weight})),
    })),
    weights: weights.map((weight, index) => matrixOf(weight, names.get(index) ?? `weight ${index}`)),
  };
}

function matrixOf(weight: WeightRef, name: string): NativeMatrix {
  const {type, shape, rows, packed} = weight;
  return {
    name,
    type,
    columns: shape[1] ?? 1,
    pieces: rows.map(pieceOf),
    ...(packed === undefined ? {} : {packed: {...packed, bytes: weightByteLength(weight)}}),
  };
}

function pieceOf(part: WeightRows): NativePiece {
  if (part.kind === 'dense') {
    const {rows, type, transposed, data} = part;
    return {form: transposed ? 'transposed' : 'plain', rows, stored: type, values: sourceOf(data)};
  }
  const {rows, codeType, blockSize, transposed, codes, scales, scaleType, zeroPoints} = part;
  return {
    form: 'quantized',
    rows,
    values: sourceOf(codes),
    codes: codeType,
    blockSize,
    transposed,
    scales: sourceOf(scales),
    scaleType,
    ...(zeroPoints === undefined ? {} : {zeroPoints: {type: zeroPoints.type, values: sourceOf(zeroPoints.data)}}),
  };
}

function sourceOf(stored: StoredBytes): NativeSource {
  return 'inline' in stored ? {inline: stored.inline} : {path: stored.file, offset: stored.offset, bytes: stored.length};
}
