/** A tier for each of a decoder's runs. */

import {OptionError} from '../errors.js';
import type {DecoderWeights, RunWeights} from './decoder_weights.js';
import {DoesNotFitError} from './does_not_fit.js';
import {memoryOption} from './format_memory.js';
import type {Amount, CheckedPlacement, PlacementBlock, Tier} from './placement_option.js';

/** Bytes that weights may have. */
export interface WeightsRoom {
  gpuBytes: number;
  ramBytes: number;
}

export interface PlacedRuns {
  /** Of each run, in their order. */
  tiers: readonly Tier[];
  /** Places in VRAM that the runs which are not there take turns in, and bytes of each; 0 of 0 if all are there. */
  places: number;
  placeBytes: number;
  /** What stays in VRAM, shared weights included; pinned blocks; what is read from disk in each step, as it lies in memory. */
  bytes: {resident: number; ram: number; disk: number};
}

/** VRAM is mapped in pieces of this size. */
const MAPPED_PIECE = 2 ** 21;
/** Pinned memory that what is read from disk passes through: StoreOptions::stagedChunks times chunkBytes in native/weights. */
const DISK_STAGING_BYTES = 12 * 8 * 2 ** 20;

/**
 * Prologue, epilogue and what several runs share stay in VRAM. As many layers as fit stay there too; the others pass
 * through a few places of VRAM in each step, from RAM as far as that goes, else from disk.
 *
 * Layers that are not in VRAM are spread evenly over the order of runs. A copy takes as long as a GPU needs for some 60
 * layers, so a step is as long as its copies, if these never pause. They pause while all places are full: one place
 * becomes free when its layer was computed. Spread out, the time that the resident layers take in between is time for
 * which a copy is under way; in one row, copies would stop as soon as the places were full, until the resident ones at
 * the other end were done. Those on disk are spread among them for the same reason: the disk reads on while copies out of
 * RAM fill the link.
 *
 * Throws DoesNotFitError; OptionError where a function's answer is no tier.
 */
export function placeRuns(weights: DecoderWeights, placement: CheckedPlacement, room: WeightsRoom): PlacedRuns {
  return 'choose' in placement ? chosen(weights, placement.choose, room) : within(weights, limited(placement, room), room);
}

/** VRAM that placeRuns needs at least, with everything that can be elsewhere elsewhere. */
export function leastGpuBytes(weights: DecoderWeights): number {
  const layers = movable(weights);
  return fixedBytes(weights) + Math.min(...layers.map((_, resident) => split(layers, resident).gpuBytes), sum(layers.map(residentBytes)));
}

/** VRAM for all weights. */
export function allGpuBytes(weights: DecoderWeights): number {
  return fixedBytes(weights) + sum(movable(weights).map(residentBytes));
}

/**
 * Places for so many streamed layers. The i-th has place i modulo their number, in every step the same, so that captured
 * work stays good. Two let a copy go on while a layer is computed; more only help where computing takes about as long as
 * copying. After the last layer the first comes again: with one layer too many for whole rounds both would have the same
 * place, and the copy would wait for the computing.
 */
export function placesFor(streamed: number): number {
  if (streamed < 2) return streamed;
  let places = 2;
  while (streamed % places === 1) places++;
  return places;
}

export function gpuBytesOf({bytes, places, placeBytes}: PlacedRuns): number {
  return bytes.resident + places * placeBytes;
}

/** Of pinned host memory, staging included. */
export function pinnedBytesOf({bytes}: PlacedRuns): number {
  return bytes.ram + (bytes.disk > 0 ? DISK_STAGING_BYTES : 0);
}

function limited({gpu, ram}: {gpu?: Amount; ram?: Amount}, room: WeightsRoom): WeightsRoom {
  return {
    gpuBytes: Math.min(gpu?.(room.gpuBytes) ?? Infinity, room.gpuBytes),
    ramBytes: Math.min(ram?.(room.ramBytes) ?? Infinity, room.ramBytes),
  };
}

function within(weights: DecoderWeights, {gpuBytes, ramBytes}: WeightsRoom, free: WeightsRoom): PlacedRuns {
  const layers = movable(weights);
  const room = gpuBytes - fixedBytes(weights);
  if (sum(layers.map(residentBytes)) <= room) return placed(weights, new Map());
  for (let resident = layers.length - 1; resident >= 0; resident--) {
    const {streamed, gpuBytes: needed} = split(layers, resident);
    if (needed <= room) return placed(weights, tiersOf(streamed, ramBytes));
  }
  const least = leastGpuBytes(weights);
  const nearest = least > free.gpuBytes ? undefined : {placement: {gpu: memoryOption(least)}};
  throw new DoesNotFitError('gpu', least, gpuBytes, 'what of the weights is in VRAM at a time', nearest);
}

function chosen(weights: DecoderWeights, choose: (block: PlacementBlock) => Tier, room: WeightsRoom): PlacedRuns {
  const tiers = new Map<number, Tier>();
  for (const [index, {bytes, name, layer, index: run}] of movable(weights).entries()) {
    const tier: unknown = choose({index, name, bytes, ...(layer === undefined ? {} : {layer})});
    if (tier !== 'gpu' && tier !== 'ram' && tier !== 'disk') {
      throw new OptionError('placement', `a function that gives 'gpu', 'ram' or 'disk', also for ${name}`, tier);
    }
    if (tier !== 'gpu') tiers.set(run, tier);
  }
  const result = placed(weights, tiers);
  const needed = {gpu: gpuBytesOf(result), ram: pinnedBytesOf(result)};
  if (needed.gpu > room.gpuBytes) throw new DoesNotFitError('gpu', needed.gpu, room.gpuBytes, 'the placement', {placement: 'auto'});
  if (needed.ram > room.ramBytes) throw new DoesNotFitError('ram', needed.ram, room.ramBytes, 'the placement', {placement: 'auto'});
  return result;
}

/** Those that stay, spread evenly, and the VRAM that they and the others' places take. */
function split(layers: readonly RunWeights[], resident: number): {streamed: RunWeights[]; gpuBytes: number} {
  const streamed = spread(layers, layers.length - resident);
  const others = new Set(streamed);
  const places = placesFor(streamed.length) * placeBytesFor(streamed);
  return {streamed, gpuBytes: sum(layers.filter((each) => !others.has(each)).map(residentBytes)) + places};
}

/** As many as fit are in RAM, the others on disk. */
function tiersOf(streamed: readonly RunWeights[], ramBytes: number): Map<number, Tier> {
  for (let count = 0; count <= streamed.length; count++) {
    const disk = new Set(spread(streamed, count));
    const ram = sum(streamed.filter((each) => !disk.has(each)).map(({bytes}) => bytes)) + (count > 0 ? DISK_STAGING_BYTES : 0);
    // Staging is needed whatever else there is.
    if (ram <= ramBytes || count === streamed.length) return new Map(streamed.map((each) => [each.index, disk.has(each) ? 'disk' : 'ram']));
  }
  return new Map();
}

/** `count` of the items, as far from each other as can be. */
function spread<T>(items: readonly T[], count: number): T[] {
  return items.filter((_, at) => Math.floor(((at + 1) * count) / items.length) > Math.floor((at * count) / items.length));
}

function placed(weights: DecoderWeights, others: ReadonlyMap<number, Tier>): PlacedRuns {
  const layers = movable(weights);
  const streamed = layers.filter(({index}) => others.has(index));
  const of = (tier: Tier) => sum(streamed.flatMap(({index, bytes}) => (others.get(index) === tier ? [bytes] : [])));
  return {
    tiers: weights.runs.map(({index}) => others.get(index) ?? 'gpu'),
    places: placesFor(streamed.length),
    placeBytes: placeBytesFor(streamed),
    bytes: {
      resident: fixedBytes(weights) + sum(layers.filter(({index}) => !others.has(index)).map(residentBytes)),
      ram: of('ram'),
      disk: of('disk'),
    },
  };
}

function movable({runs}: DecoderWeights): RunWeights[] {
  return runs.filter(({kind, bytes}) => kind === 'block' && bytes > 0);
}

/** Of what stays in VRAM whatever the placement. */
function fixedBytes(weights: DecoderWeights): number {
  const movables = new Set(movable(weights));
  return mapped(weights.sharedBytes) + sum(weights.runs.flatMap((run) => (movables.has(run) ? [] : [residentBytes(run)])));
}

function residentBytes({bytes}: {bytes: number}): number {
  return mapped(bytes);
}

function placeBytesFor(streamed: readonly RunWeights[]): number {
  return mapped(Math.max(0, ...streamed.map(({bytes}) => bytes)));
}

function mapped(bytes: number): number {
  return Math.ceil(bytes / MAPPED_PIECE) * MAPPED_PIECE;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
