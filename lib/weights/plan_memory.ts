/** How a decoder shares the GPU's memory: weights, keys and values, and what its steps compute in. */

import {cacheBytes, pagesIn} from '../backend/tensorrt/cache_pages.js';
import {type StepLimits, stepBytes, stepLimits} from '../backend/tensorrt/step_limits.js';
import type {DecoderShape} from '../decoder/lowered_decoder.js';
import type {DecoderWeights} from './decoder_weights.js';
import {DoesNotFitError, type FittingOptions} from './does_not_fit.js';
import {memoryOption} from './format_memory.js';
import {mappedBytes} from './mapped_bytes.js';
import {allGpuBytes, gpuBytesOf, leastGpuBytes, type PlacedRuns, placeRuns} from './place_runs.js';
import type {CheckedPlacement} from './placement_option.js';

export interface MemoryDemand {
  shape: DecoderShape;
  weights: DecoderWeights;
  /** Tokens of a sequence, and sequences at once. */
  maxContext: number;
  maxBatch: number;
  deterministic: boolean;
  placement: CheckedPlacement;
  /** Bytes that are free, of the GPU and of host memory that may be pinned. */
  free: {gpuBytes: number; ramBytes: number};
  /** Whether there is an offload folder. */
  offloaded: boolean;
  /** Bytes that the engines compute in. Default: estimated. */
  scratchBytes?: number;
}

export interface MemoryPlan {
  placed: PlacedRuns;
  /** Of keys and values: enough for all sequences at their longest, or as many as fit, and for one at least. */
  pages: number;
  steps: StepLimits;
  /** Bytes of the GPU. `places`: what weights that do not stay pass through. */
  gpu: {weights: number; places: number; cache: number; steps: number; scratch: number};
}

/** Left at least for steps, scratch, what TensorRT and the driver take for engines, graphs and kernels, and for others. */
const RESERVED = 2 ** 30;
/** The largest part of free memory that is left for them, unless they are known to take more. */
const RESERVED_SHARE = 1 / 8;
/**
 * Of that, what TensorRT and the driver take for engines, kernels and captured graphs; a smaller part of small memory. On an
 * H100 145 MB for a model of 32 layers in VRAM, 159 MB for one of 30 narrow ones, and 195 MB where 28 of 32 layers pass
 * through places and each has graphs of its own.
 */
export const RUNTIME_BYTES = 160 * 2 ** 20;
const RUNTIME_SHARE = 1 / 16;

/**
 * All weights stay in VRAM if that leaves keys and values of one sequence room: a smaller cache makes requests wait for
 * each other, but weights that pass through make each step as long as their copies, some 60 times. Where they do not
 * stay, the cache has all that was asked for, as a step then takes as long for many sequences as for one.
 *
 * Throws DoesNotFitError with the nearest options that fit; OptionError where a placement's function answers no tier.
 */
export function planMemory(demand: MemoryDemand): MemoryPlan {
  try {
    return planned(demand);
  } catch (error) {
    if (!(error instanceof DoesNotFitError)) throw error;
    const {memory, neededBytes, availableBytes, what} = error;
    const setting = nearest(demand);
    if (memory === 'ram' || isLimit(demand.placement, availableBytes)) {
      throw new DoesNotFitError(memory, neededBytes, availableBytes, what, setting);
    }
    const {gpuBytes} = demand.free;
    const all = `${what}, keys and values of ${demand.maxContext} tokens, and what steps compute in`;
    throw new DoesNotFitError(memory, neededBytes + gpuBytes - availableBytes, gpuBytes, all, setting);
  }
}

/**
 * Bytes that the engines of prompts compute in, as if a layer kept all that it computes of the longest piece; TensorRT
 * uses memory again, and takes some for its kernels. `unpackedBytes`: of the largest weight that is made floats for a product.
 */
export function estimatedScratchBytes(layerOutputs: number, {prefillRows}: StepLimits, unpackedBytes: number): number {
  return layerOutputs * prefillRows * 2 + unpackedBytes;
}

/** Whether so little is there because the user said so. */
function isLimit(placement: CheckedPlacement, availableBytes: number): boolean {
  return !('choose' in placement) && placement.gpu?.(Infinity) === availableBytes;
}

function planned(demand: MemoryDemand): MemoryPlan {
  const {shape, weights, maxBatch, placement, free, offloaded} = demand;
  const steps = stepLimits(demand);
  const pagesPerSequence = Math.ceil(demand.maxContext / shape.pageSize);
  const wanted = maxBatch * pagesPerSequence;
  const taken = {
    steps: stepBytes(shape, steps, pagesPerSequence),
    scratch: mappedBytes(demand.scratchBytes ?? estimatedScratchBytes(outputsOf(shape, weights), steps, unpackedBytesOf(weights))),
  };
  const runtime = Math.min(RUNTIME_BYTES, free.gpuBytes * RUNTIME_SHARE);
  const reserved = Math.max(Math.min(RESERVED, free.gpuBytes * RESERVED_SHARE), taken.steps + taken.scratch + runtime);
  const room = free.gpuBytes - reserved;
  const least = cacheBytes(shape, pagesPerSequence);
  const place = (cache: number) => placeRuns(weights, placement, {gpuBytes: room - cache, ramBytes: free.ramBytes, offloaded});
  const resident = !('choose' in placement) && placement.gpu === undefined && allGpuBytes(weights) + least <= room;
  // With fewest weights in VRAM, unless they all are.
  const pages = pagesIn(
    shape,
    room - (resident ? allGpuBytes(weights) : leastGpuBytes(weights, {ramBytes: free.ramBytes, offloaded})),
    wanted,
  );
  const placed = place('choose' in placement || resident ? least : cacheBytes(shape, Math.max(pages, pagesPerSequence)));
  const cached = pagesIn(shape, room - gpuBytesOf(placed), wanted);
  const passing = placed.ringBytes + placed.bytes.staging;
  return {
    placed,
    pages: cached,
    steps,
    gpu: {weights: gpuBytesOf(placed) - passing, places: passing, cache: cacheBytes(shape, cached), ...taken},
  };
}

/** The first that fits of what changes least. */
function nearest(demand: MemoryDemand): FittingOptions | undefined {
  const {placement} = demand;
  const isAuto = !('choose' in placement) && placement.gpu === undefined && placement.ram === undefined;
  const fits = (changes: Partial<MemoryDemand>) => {
    try {
      return planned({...demand, ...changes});
    } catch {
      return undefined;
    }
  };
  if (!isAuto && fits({placement: {}})) {
    if ('choose' in placement) return {placement: 'auto'};
    const gpu = memoryOption(leastGpuBytes(demand.weights, {ramBytes: demand.free.ramBytes, offloaded: demand.offloaded}));
    return {placement: {gpu}};
  }
  for (const maxBatch of [demand.maxBatch, 1]) {
    const changes = {maxBatch, placement: {}};
    const context = largestContext(demand.maxContext, demand.shape.pageSize, (maxContext) => fits({...changes, maxContext}) !== undefined);
    if (context === undefined) continue;
    return {
      maxContext: context,
      ...(maxBatch === demand.maxBatch ? {} : {maxBatch}),
      ...(isAuto ? {} : {placement: 'auto'}),
    };
  }
  return undefined;
}

/** Of whole pages, below `asked`. */
function largestContext(asked: number, pageSize: number, fits: (maxContext: number) => boolean): number | undefined {
  let [low, high] = [0, Math.ceil(asked / pageSize)];
  // `low` pages fit, `high` do not.
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (fits(middle * pageSize)) low = middle;
    else high = middle;
  }
  return low === 0 ? undefined : low * pageSize;
}

/** Elements that the products of a layer give for a row, as its weights tell: each has at least the hidden size of columns. */
function outputsOf({hiddenSize}: DecoderShape, {runs}: DecoderWeights): number {
  return Math.max(0, ...runs.map(({kind, elements}) => (kind === 'block' ? elements / hiddenSize : 0)));
}

function unpackedBytesOf({runs}: DecoderWeights): number {
  return Math.max(0, ...runs.map(({kind, unpackedBytes}) => (kind === 'block' ? unpackedBytes : 0)));
}
