/** How long a step of a decoder takes, from bytes and the speeds at which they move. */

import {cachedVectorBytes} from '../backend/kv_cache_type.js';
import type {DecoderShape} from '../decoder/lowered_decoder.js';
import type {DecoderWeights, RunWeights} from './decoder_weights.js';
import {diskBytes, OWN_SHARE, type PlacedRuns, without} from './place_runs.js';
import type {Speeds} from './speeds.js';

export interface StepDemand {
  shape: Pick<DecoderShape, 'layers' | 'kvHeads' | 'headSize' | 'kvCacheType'>;
  weights: DecoderWeights;
  placed: PlacedRuns;
  speeds: Speeds;
  /** Sequences that the step gives a token each. */
  streams: number;
  /** Tokens whose keys and values each of them has. */
  contextTokens: number;
  /** Rows up to which steps are kernels of ours. */
  narrowRows: number;
  /** Whether what is read from disk has the form that steps take; else it is read as the model's files have it. */
  offloaded: boolean;
}

/**
 * By the rows of a step: seconds of a layer beside reading, as its kernels begin and end and for its attention, and the share
 * of the reading speed at which products read. Fitted to two models on an H100 that reads 3.05e12 bytes/s of weights: a step
 * reads 14.4e9 bytes in 32 layers of the one, and 0.269e9 in 30 layers of the other (bench/results/generate.jsonl). Products
 * for up to 4 rows take 5.05 ms and 0.408 ms; those for up to 32, with as many rows, 6.97 ms and 1.01 ms; TensorRT's 8.48 ms
 * and 1.17 ms.
 */
const FEW_ROWS = {most: 4, layerSeconds: 10.6e-6, share: 1};
const NARROW = {layerSeconds: 29.8e-6, share: 0.78};
const WIDE = {layerSeconds: 34e-6, share: 0.64};
/** Of the reading speed, for keys and values: the same 8B-shaped model takes 0.413 ms longer with 1.07e9 bytes of them. */
const CACHE_SHARE = 0.85;
/** Read ahead of copies from disk: StoreOptions::stagedChunks times chunkBytes in native/weights. */
const STAGED_BYTES = 12 * 8 * 2 ** 20;

/**
 * Seconds of a step among many, with copies running ahead over the end of the step before. Follows the runs as the prefetch
 * does: a copy begins when the one before it has ended and the layer that had its place is computed; all of it but an eighth
 * goes to what both places share and waits for the layer before, too; a layer begins when the one before it has ended and its weights
 * are there.
 */
export function stepSeconds(demand: StepDemand): number {
  const {weights, placed} = demand;
  const kept = new Set(placed.kept);
  const passing = weights.runs.map((each) => without(each, kept));
  const compute = weights.runs.map((_, run) => computeSeconds(demand, run));
  const streamed = placed.tiers.flatMap((tier, run) => (tier === 'gpu' || weights.runs[run]!.kind !== 'block' ? [] : [run]));
  const total = compute.reduce((sum, seconds) => sum + seconds, 0);
  if (streamed.length === 0) return total;

  let computed = 0;
  let copied = 0;
  let read = 0;
  /** When the last runs in each place were computed. */
  const freed = [0, 0];
  let before = 0;
  // A step depends on the one before through the copies that are ahead, so that it repeats after a few.
  for (let step = 0; step < 4; step++) {
    before = computed;
    for (const [run, seconds] of compute.entries()) {
      const layer = streamed.indexOf(run);
      if (layer < 0) {
        computed += seconds;
        continue;
      }
      const place = layer % 2;
      ({copied, read} = arrival(demand, passing[run]!, {own: Math.max(copied, freed[place]!), shared: freed[1 - place]!}, read));
      computed = Math.max(computed, copied) + seconds;
      freed[place] = computed;
    }
  }
  return computed - before;
}

/** When what passes of a run's weights is in its place, whose own part and the shared one may be written from `free` on, and when the disk is free again. */
function arrival(
  {placed, speeds, offloaded}: StepDemand,
  passing: RunWeights,
  free: {own: number; shared: number},
  diskFree: number,
): {copied: number; read: number} {
  const copying = passing.bytes / speeds.hostToDevice;
  const own = copying * OWN_SHARE;
  if (placed.tiers[passing.index] !== 'disk') return {copied: Math.max(free.own + own, free.shared) + copying - own, read: diskFree};
  // In the order of its files, which is not that of the place's parts.
  const start = Math.max(free.own, free.shared);
  const length = diskBytes(passing, offloaded);
  // Its beginning may be read ahead, the rest as the copy makes room for it.
  const read = Math.max(diskFree + length / speeds.disk, start + Math.max(0, length - STAGED_BYTES) / speeds.disk);
  return {copied: Math.max(start + copying, read), read};
}

function computeSeconds({shape, weights, speeds, streams, contextTokens, narrowRows}: StepDemand, run: number): number {
  const {kind, readBytes} = weights.runs[run]!;
  const {layerSeconds, share} = streams <= FEW_ROWS.most ? FEW_ROWS : streams <= narrowRows ? NARROW : WIDE;
  const reading = readBytes / (speeds.weightReads * share);
  if (kind !== 'block') return reading;
  const cached = 2 * shape.kvHeads * cachedVectorBytes(shape) * contextTokens * streams;
  return reading + layerSeconds + cached / (speeds.weightReads * CACHE_SHARE);
}
