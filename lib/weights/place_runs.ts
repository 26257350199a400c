/** A tier for each of a decoder's runs. */

import {OptionError} from '../errors.js';
import type {DecoderWeights, RunWeights} from './decoder_weights.js';
import {DoesNotFitError} from './does_not_fit.js';
import {memoryOption} from './format_memory.js';
import {mappedBytes} from './mapped_bytes.js';
import type {Amount, CheckedPlacement, PlacementBlock, Tier} from './placement_option.js';

/** What weights may have. */
export interface WeightsRoom {
  /** Bytes. */
  gpuBytes: number;
  ramBytes: number;
  /** Whether what is on disk and not in the form that steps take is kept there once more, in that form. */
  offloaded: boolean;
}

export interface PlacedRuns {
  /** Of each run, in their order. */
  tiers: readonly Tier[];
  /** Numbers of the weights that stay in VRAM though their run does not, and of each run the bytes of them. */
  kept: readonly number[];
  keptBytes: readonly number[];
  /** Places in VRAM that the runs which are not there take turns in, and bytes of each and of all; 0 of 0 if all are there. */
  places: 0 | 2;
  placeBytes: number;
  ringBytes: number;
  /**
   * What stays in VRAM, shared weights included; VRAM for what is converted on its way from disk; pinned blocks, and pinned
   * memory that what is read from disk passes through; what is read from disk in each step, as it lies there.
   */
  bytes: {resident: number; staging: number; ram: number; diskStaging: number; disk: number};
}

/** Of what lies in VRAM. As in native/weights. */
const ALIGNMENT = 256;
/** StoreOptions::stagedChunks times chunkBytes in native/weights. */
const DISK_STAGING_BYTES = 12 * 8 * 2 ** 20;

/**
 * The epilogue and what several runs share stay in VRAM. As many layers as fit stay there too; the others pass through a
 * few places of VRAM in each step, from RAM as far as that goes, else from disk. Where some do, the prologue is in RAM, if
 * it fits there: a step reads a few rows of it, and reads them where they are.
 *
 * Layers that are not in VRAM are spread evenly over the order of runs. A copy takes as long as a GPU needs for some 60
 * layers, so a step is as long as its copies, if these never pause. They pause while all places are full: one place
 * becomes free when its layer was computed. Spread out, the time that the resident layers take in between is time for
 * which a copy is under way; in one row, copies would stop as soon as the places were full, until the resident ones at
 * the other end were done. Those on disk are spread among them for the same reason: the disk reads on while copies out of
 * RAM fill the link.
 *
 * Where VRAM is left that no whole layer fits in, single weights of those that pass stay there, the largest first: of layers on
 * disk where there are any, as a step waits for the disk most.
 *
 * Throws DoesNotFitError; OptionError where a function's answer is no tier.
 */
export function placeRuns(weights: DecoderWeights, placement: CheckedPlacement, room: WeightsRoom): PlacedRuns {
  return 'choose' in placement ? chosen(weights, placement.choose, room) : within(weights, placement, room);
}

/** VRAM that placeRuns needs at least, with everything that can be elsewhere elsewhere. */
export function leastGpuBytes(weights: DecoderWeights, room: Omit<WeightsRoom, 'gpuBytes'>): number {
  const layers = movable(weights);
  const splits = layers.map((_, resident) => split(weights, layers, resident, room));
  return Math.min(...splits.map(gpuBytesOf), allGpuBytes(weights));
}

/** VRAM for all weights. */
export function allGpuBytes(weights: DecoderWeights): number {
  return mappedBytes(weights.runs.reduce((sum, {bytes}) => sum + bytes, weights.sharedBytes));
}

/**
 * Places for so many streamed layers; none where they would take as much as the layers do, which then stay in VRAM. Two let a
 * copy go on while a layer is computed. With an odd number of layers the last of a step and the first of the next have the
 * same, and once a step a copy waits for a layer's computing, which takes a small part of the time of a copy.
 */
export function placesFor(streamed: number): 0 | 2 {
  return streamed <= 2 ? 0 : 2;
}

/** Of a place, that no other shares: of two, as placeStride in native/weights/places.h says. */
export const OWN_SHARE = 1 / 8;

/** Of both places. */
function ringBytes(places: 0 | 2, placeBytes: number): number {
  return places === 0 ? 0 : placeBytes + ALIGNMENT * Math.ceil((placeBytes * OWN_SHARE) / ALIGNMENT);
}

export function gpuBytesOf({bytes, ringBytes}: PlacedRuns): number {
  return mappedBytes(bytes.resident + ringBytes + bytes.staging);
}

/** Of pinned host memory. */
export function pinnedBytesOf({bytes}: PlacedRuns): number {
  return bytes.ram + bytes.diskStaging;
}

function within(weights: DecoderWeights, {gpu, ram}: {gpu?: Amount; ram?: Amount}, room: WeightsRoom): PlacedRuns {
  const gpuBytes = Math.min(gpu?.(room.gpuBytes) ?? Infinity, room.gpuBytes);
  const limits = {...room, ramBytes: Math.min(ram?.(room.ramBytes) ?? Infinity, room.ramBytes)};
  const layers = movable(weights);
  for (let resident = layers.length; resident >= 0; resident--) {
    const found = split(weights, layers, resident, limits);
    if (gpuBytesOf(found) <= gpuBytes) return keepParts(weights, found, gpuBytes, limits);
  }
  const least = leastGpuBytes(weights, limits);
  const nearest = least > room.gpuBytes ? undefined : {placement: {gpu: memoryOption(least)}};
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
  const inRam = sum(weights.runs.map(({index, bytes}) => (tiers.get(index) === 'ram' ? bytes : 0)));
  const withPrologue = prologueInRam(weights, room.ramBytes - inRam);
  const result = placed(weights, new Map([...withPrologue, ...tiers]), placesFor(tiers.size), room);
  const needed = {gpu: gpuBytesOf(result), ram: pinnedBytesOf(result)};
  if (needed.gpu > room.gpuBytes) throw new DoesNotFitError('gpu', needed.gpu, room.gpuBytes, 'the placement', {placement: 'auto'});
  if (needed.ram > room.ramBytes) throw new DoesNotFitError('ram', needed.ram, room.ramBytes, 'the placement', {placement: 'auto'});
  return result;
}

/** With so many layers in VRAM, spread evenly, and of the others as many in RAM as fit. */
function split(weights: DecoderWeights, layers: readonly RunWeights[], resident: number, room: Omit<WeightsRoom, 'gpuBytes'>): PlacedRuns {
  const streamed = spread(layers, layers.length - resident);
  const prologue = prologueInRam(weights, room.ramBytes);
  const [prologueBytes] = [...prologue.keys()].map((run) => weights.runs[run]!.bytes);
  const tiers = new Map([...prologue, ...tiersOf(streamed, room.ramBytes - (prologueBytes ?? 0))]);
  return placed(weights, tiers, placesFor(streamed.length), room);
}

/** `placed`, with single weights in what is left of the VRAM. */
function keepParts(weights: DecoderWeights, whole: PlacedRuns, gpuBytes: number, room: Omit<WeightsRoom, 'gpuBytes'>): PlacedRuns {
  const passing = weights.runs.filter(({kind, index}) => kind === 'block' && whole.tiers[index] !== 'gpu');
  const onDisk = passing.filter(({index}) => whole.tiers[index] === 'disk');
  // What is kept in a form of its own on disk is one file for the whole layer.
  if (room.offloaded && onDisk.length > 0) return whole;
  const candidates = (onDisk.length > 0 ? onDisk : passing).flatMap(({own}) => own).sort((a, b) => b.bytes - a.bytes);
  const tiers = new Map(whole.tiers.map((tier, run) => [run, tier]));
  let found = whole;
  for (const {weight} of candidates) {
    const more = placed(weights, tiers, whole.places, room, [...found.kept, weight]);
    if (gpuBytesOf(more) <= gpuBytes) found = more;
  }
  return found;
}

/** Nothing where it has no room, or nothing of its own. */
function prologueInRam({runs}: DecoderWeights, ramBytes: number): Map<number, Tier> {
  const prologue = runs.find(({kind, bytes}) => kind === 'prologue' && bytes > 0 && bytes <= ramBytes);
  return new Map(prologue === undefined ? [] : [[prologue.index, 'ram']]);
}

/** As many as fit are in RAM, the others on disk. */
function tiersOf(streamed: readonly RunWeights[], ramBytes: number): Map<number, Tier> {
  const all = sum(streamed.map(({bytes}) => bytes));
  for (let count = 0; count < streamed.length; count++) {
    const disk = new Set(spread(streamed, count));
    const onDisk = sum([...disk].map(({bytes}) => bytes));
    if (all - onDisk + (count > 0 ? DISK_STAGING_BYTES : 0) > ramBytes) continue;
    return new Map(streamed.map((each) => [each.index, disk.has(each) ? 'disk' : 'ram']));
  }
  // Staging is needed whatever there is.
  return new Map(streamed.map((each) => [each.index, 'disk']));
}

/** `count` of the items, as far from each other as can be. */
function spread<T>(items: readonly T[], count: number): T[] {
  return items.filter((_, at) => Math.floor(((at + 1) * count) / items.length) > Math.floor((at * count) / items.length));
}

function placed(
  weights: DecoderWeights,
  wanted: ReadonlyMap<number, Tier>,
  places: 0 | 2,
  {offloaded}: Omit<WeightsRoom, 'gpuBytes'>,
  kept: readonly number[] = [],
): PlacedRuns {
  const others = places === 0 ? new Map<number, Tier>() : wanted;
  const stays = new Set(kept);
  const runs = weights.runs.map((run) => without(run, stays));
  const of = (tier: Tier) => runs.filter(({index}) => (others.get(index) ?? 'gpu') === tier);
  const disk = of('disk');
  const keptBytes = runs.map(({bytes, index}) => weights.runs[index]!.bytes - bytes);
  const placeBytes = Math.max(0, ...[...of('ram'), ...disk].filter(({kind}) => kind === 'block').map(({bytes}) => bytes));
  return {
    tiers: runs.map(({index}) => others.get(index) ?? 'gpu'),
    kept,
    keptBytes,
    places,
    placeBytes,
    ringBytes: ringBytes(places, placeBytes),
    bytes: {
      resident: weights.sharedBytes + sum(keptBytes) + sum(of('gpu').map(({bytes}) => bytes)),
      staging: offloaded ? 0 : Math.max(0, ...disk.map(({stagingBytes}) => stagingBytes)),
      ram: sum(of('ram').map(({bytes}) => bytes)),
      diskStaging: disk.length > 0 ? DISK_STAGING_BYTES : 0,
      disk: sum(disk.map((run) => diskBytes(run, offloaded))),
    },
  };
}

/** What of a run is streamed where these of its weights stay. */
export function without(run: RunWeights, kept: ReadonlySet<number>): RunWeights {
  const stay = run.own.filter(({weight}) => kept.has(weight));
  if (stay.length === 0) return run;
  const [bytes, storedBytes] = [sum(stay.map((each) => each.bytes)), sum(stay.map((each) => each.storedBytes))];
  return {...run, bytes: run.bytes - bytes, storedBytes: run.storedBytes - storedBytes};
}

/** Read from disk in a step. */
export function diskBytes({bytes, storedBytes, stagingBytes}: RunWeights, offloaded: boolean): number {
  return offloaded && stagingBytes > 0 ? bytes : storedBytes;
}

function movable({runs}: DecoderWeights): RunWeights[] {
  return runs.filter(({kind, bytes}) => kind === 'block' && bytes > 0);
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
