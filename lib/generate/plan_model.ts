/** `planModel`: what a language model takes of a machine's memory, where its weights are, and how fast it is. */

import {join} from 'node:path';

import type {KvCacheType} from '../backend/kv_cache_type.js';
import {pageBytes} from '../backend/tensorrt/cache_pages.js';
import {checkLimits, type DecoderFolder, findDecoderFolder, planFolder} from '../backend/tensorrt/decoder_manifest.js';
import {stepLimits} from '../backend/tensorrt/step_limits.js';
import type {LoweredDecoder} from '../decoder/lowered_decoder.js';
import {type QuantizedWeights, quantizedWeights} from '../decoder/quantized_weights.js';
import {readManifest} from '../engine/manifest.js';
import {OptionError, throwIfAborted} from '../errors.js';
import {abortSignal, boolean, callback, noOthers, object} from '../options.js';
import type {OnProgress} from '../progress.js';
import {type ByteSize, byteSize} from '../weights/byte_size.js';
import {type DecoderWeights, decoderWeights} from '../weights/decoder_weights.js';
import {DoesNotFitError} from '../weights/does_not_fit.js';
import {type PlacedRuns, pinnedBytesOf} from '../weights/place_runs.js';
import {checkPlacement, type Placement, type Tier} from '../weights/placement_option.js';
import {type MemoryDemand, type MemoryPlan, planMemory, RUNTIME_BYTES} from '../weights/plan_memory.js';
import {type PlannedMachine, planningMachine, withDiskSpeed} from '../weights/planning_machine.js';
import type {SpeedSource, Speeds} from '../weights/speeds.js';
import {stepSeconds} from '../weights/step_time.js';
import {checkModelOptions, contextLimit, DEFAULT_MAX_BATCH, type ModelOptions} from './limits.js';
import {openModelFolder} from './model_folder.js';

export interface PlanModelOptions extends ModelOptions {
  /** As of `loadModel`. Default 'auto'. */
  placement?: Placement;
  offloadFolder?: string;
  /** With an engine folder as the source: the model's folder or ONNX file, where it is not where the manifest says. */
  model?: string;
  /** Memory of a GPU to plan for, which need not be here; speeds are then assumed. Default: what is free of the one here. */
  gpuMemory?: ByteSize;
  /** Host memory to plan for. Default: what is free here. */
  ram?: ByteSize;
  /** Measure speeds again, which takes a second or two; else those of an earlier measurement of this GPU are taken. Default false. */
  measure?: boolean;
  signal?: AbortSignal;
  /** Phase 'measure'. */
  onProgress?: OnProgress;
}

export interface PlannedBlock {
  /** 'prologue', 'layer 0', …, 'epilogue', and 'shared' for weights that several of them take. */
  name: string;
  layer?: number;
  tier: Tier;
  bytes: number;
  /** Of them, what stays in VRAM though the block does not; left out: nothing. */
  keptBytes?: number;
}

export interface PlannedContext {
  /** Of a sequence. */
  tokens: number;
  /** Bytes of keys and values of one such sequence. */
  sequenceBytes: number;
  /** Undefined where not even one sequence fits. */
  fit?: {
    /** Sequences of that length at once, at most maxBatch. */
    sequences: number;
    /** Bytes of keys and values, and of all of the GPU's memory that the model takes. */
    cacheBytes: number;
    gpuBytes: number;
    /** Layers that stay in VRAM. */
    residentLayers: number;
    /** Of one stream at the end of its context. */
    tokensPerSecond: number;
  };
}

export interface ModelPlan {
  /** The ONNX file. */
  model: string;
  type: 'float16' | 'bfloat16';
  kvCacheType: KvCacheType;
  layers: number;
  maxContext: number;
  maxBatch: number;
  /** What stays as the files quantize it, and what does not. */
  quantized: QuantizedWeights;
  /** In the order they run. */
  blocks: PlannedBlock[];
  /** Bytes of the GPU. */
  gpu: {
    /** Undefined for one that is not here. */
    name?: string;
    totalBytes: number;
    /** Taken before the model is loaded: CUDA's context, and whatever others have. */
    usedBytes: number;
    /** Weights that stay; places that the others pass through; keys and values; rows, logits and tables of steps. */
    weightsBytes: number;
    placesBytes: number;
    cacheBytes: number;
    stepsBytes: number;
    /** What engines compute in: known from an engine folder, else estimated. */
    scratchBytes: number;
    scratch: 'known' | 'estimated';
    /** What TensorRT and the driver take for engines, kernels and captured graphs; assumed. */
    runtimeBytes: number;
    /** All of it that the model takes: without usedBytes. */
    modelBytes: number;
  };
  /** Bytes of host memory that may be pinned and that are, and of the files that each step reads. */
  ram: {availableBytes: number; pinnedBytes: number};
  disk: {stepBytes: number};
  /** Places in VRAM that weights pass through. */
  places: number;
  /** Bytes a second. */
  speeds: Record<keyof Speeds, {bytesPerSecond: number; source: SpeedSource}>;
  /** With short contexts: of one stream, and of maxBatch streams together. */
  tokensPerSecond: {one: number; all: number};
  /** By the length of sequences: 1024 tokens, 2048 and so on, up to what the model was trained for. */
  contexts: PlannedContext[];
}

const OPTIONS: readonly (keyof PlanModelOptions)[] = [
  'device',
  'type',
  'maxContext',
  'maxBatch',
  'deterministic',
  'dequantize',
  'kvCacheType',
  'placement',
  'offloadFolder',
  'model',
  'gpuMemory',
  'ram',
  'measure',
  'signal',
  'onProgress',
];
const SHORTEST_CONTEXT = 1024;
/** Where most replies begin. */
const SHORT_CONTEXT = 64;

/**
 * Plans what `loadModel` with the same options would do, on TensorRT, and loads nothing. Throws OptionError; FormatError for
 * missing or damaged files; UnsupportedError for a model that TensorRT cannot do; DoesNotFitError with the nearest options that
 * fit; CudaError and TensorrtNodeError where there is no GPU and none was given; AbortError.
 */
export async function planModel(source: string, options: PlanModelOptions = {}): Promise<ModelPlan> {
  if (typeof source !== 'string' || source === '') throw new OptionError('source', 'the path of a folder or an ONNX file', source);
  const checked = check(options);
  const {signal} = options;
  throwIfAborted(signal);
  const engines = await findDecoderFolder(source);
  if (engines === undefined && options.model !== undefined) {
    throw new OptionError('model', "left out where the source is not a decoder's engine folder", options.model);
  }
  const {modelPath, config} = await openModelFolder(engines === undefined ? source : (options.model ?? engines.modelPath));
  const {maxContext, maxBatch, deterministic, dequantize, kvCacheType} = engines
    ? checkLimits(engines.manifest, options)
    : {
        maxContext: contextLimit(config, options.maxContext),
        maxBatch: options.maxBatch ?? DEFAULT_MAX_BATCH,
        deterministic: options.deterministic ?? false,
        dequantize: options.dequantize ?? false,
        kvCacheType: options.kvCacheType,
      };
  // Not before it is needed: what lowers is much to load.
  const {lowerModel} = await import('../backend/tensorrt/prepare.js');
  const lowered = await lowerModel(modelPath, {maxContext, type: options.type, dequantize, kvCacheType, signal});
  const scratchBytes = engines && (await scratchOf(engines));
  const described = await planningMachine({...options, ...checked});
  throwIfAborted(signal);
  const offloaded = options.offloadFolder !== undefined;
  const demand: MemoryDemand = {
    shape: lowered.shape,
    weights: decoderWeights(lowered),
    maxContext,
    maxBatch,
    deterministic,
    placement: checked.placement,
    scratchBytes,
    free: described.free,
    offloaded,
  };
  const memory = planMemory(demand);
  const readsDisk = options.measure || memory.placed.bytes.disk > 0;
  const machine = readsDisk ? await withDiskSpeed(described, filesOf(lowered), signal) : described;
  const longest = Math.max(maxContext, engines ? maxContext : (config.maxPositionEmbeddings ?? maxContext));
  return {
    model: modelPath,
    type: lowered.shape.type,
    kvCacheType: lowered.shape.kvCacheType,
    layers: lowered.shape.layers,
    maxContext,
    maxBatch,
    quantized: quantizedWeights(lowered),
    blocks: blocksOf(demand.weights, memory),
    gpu: {
      ...machine.gpu,
      weightsBytes: memory.gpu.weights,
      placesBytes: memory.gpu.places,
      cacheBytes: memory.gpu.cache,
      stepsBytes: memory.gpu.steps,
      scratchBytes: memory.gpu.scratch,
      scratch: scratchBytes === undefined ? 'estimated' : 'known',
      runtimeBytes: RUNTIME_BYTES,
      modelBytes: modelBytes(memory),
    },
    ram: {availableBytes: machine.ramBytes, pinnedBytes: pinnedBytesOf(memory.placed)},
    disk: {stepBytes: memory.placed.bytes.disk},
    places: memory.placed.places,
    speeds: machine.speeds,
    tokensPerSecond: {
      one: tokensPerSecond(demand, memory, machine, {streams: 1, contextTokens: SHORT_CONTEXT}),
      all: tokensPerSecond(demand, memory, machine, {streams: maxBatch, contextTokens: SHORT_CONTEXT}),
    },
    contexts: contextsUpTo(longest, maxContext).map((tokens) => contextOf(demand, machine, tokens)),
  };
}

function check(options: PlanModelOptions) {
  const {placement, offloadFolder, model, gpuMemory, ram, measure, signal, onProgress} = object('options', options);
  noOthers('options', options, OPTIONS);
  checkModelOptions(options);
  for (const [name, value] of Object.entries({offloadFolder, model})) {
    if (value !== undefined && (typeof value !== 'string' || value === '')) throw new OptionError(name, 'a path', value);
  }
  if (measure !== undefined) boolean('measure', measure);
  if (measure && gpuMemory !== undefined) throw new OptionError('measure', 'left out with gpuMemory: that GPU need not be here', measure);
  abortSignal(signal);
  if (onProgress !== undefined) callback('onProgress', onProgress);
  return {
    placement: checkPlacement(placement),
    gpuMemory: gpuMemory === undefined ? undefined : byteSize('gpuMemory', gpuMemory),
    ram: ram === undefined ? undefined : byteSize('ram', ram),
  };
}

/** Of an engine folder's plans, which share it. */
async function scratchOf({folder, manifest}: DecoderFolder): Promise<number> {
  const plans = await Promise.all(manifest.plans.map(({part, range}) => readManifest(join(folder, planFolder(part, range)))));
  return Math.max(0, ...plans.map(({deviceMemoryBytes}) => deviceMemoryBytes));
}

function filesOf({weights}: LoweredDecoder): string[] {
  const stored = weights.flatMap(({rows}) => rows.map((part) => (part.kind === 'dense' ? part.data : part.codes)));
  return [...new Set(stored.flatMap((each) => ('file' in each ? [each.file] : [])))];
}

function blocksOf({runs, sharedBytes}: DecoderWeights, {placed}: MemoryPlan): PlannedBlock[] {
  const blocks = runs.map(({name, layer, bytes, index}): PlannedBlock => {
    return {name, ...(layer === undefined ? {} : {layer}), tier: placed.tiers[index]!, bytes, ...keptIn(placed, index)};
  });
  return sharedBytes === 0 ? blocks : [...blocks, {name: 'shared', tier: 'gpu', bytes: sharedBytes}];
}

function keptIn({tiers, keptBytes}: PlacedRuns, run: number): {keptBytes?: number} {
  const kept = keptBytes[run]!;
  return kept === 0 || tiers[run] === 'gpu' ? {} : {keptBytes: kept};
}

function modelBytes({gpu}: MemoryPlan): number {
  return Object.values(gpu).reduce((sum, bytes) => sum + bytes, RUNTIME_BYTES);
}

function tokensPerSecond(
  {shape, weights, maxBatch, deterministic, offloaded}: MemoryDemand,
  {placed}: MemoryPlan,
  {speeds}: PlannedMachine,
  how: {streams: number; contextTokens: number},
): number {
  const {narrowRows} = stepLimits({maxBatch, deterministic});
  const {weightReads, hostToDevice, disk} = speeds;
  const rates = {weightReads: weightReads.bytesPerSecond, hostToDevice: hostToDevice.bytesPerSecond, disk: disk.bytesPerSecond};
  return how.streams / stepSeconds({shape, weights, placed, speeds: rates, narrowRows, offloaded, ...how});
}

function contextsUpTo(longest: number, asked: number): number[] {
  const lengths: number[] = [];
  for (let tokens = SHORTEST_CONTEXT; tokens < longest; tokens *= 2) lengths.push(tokens);
  return [...new Set([...lengths, asked, longest])].sort((a, b) => a - b);
}

function contextOf(demand: MemoryDemand, machine: PlannedMachine, tokens: number): PlannedContext {
  const pagesEach = Math.ceil(tokens / demand.shape.pageSize);
  const sequenceBytes = pagesEach * pageBytes(demand.shape);
  try {
    const memory = planMemory({...demand, maxContext: tokens});
    return {
      tokens,
      sequenceBytes,
      fit: {
        sequences: Math.min(demand.maxBatch, Math.floor(memory.pages / pagesEach)),
        cacheBytes: memory.gpu.cache,
        gpuBytes: modelBytes(memory),
        residentLayers: demand.weights.runs.filter(({kind, index}) => kind === 'block' && memory.placed.tiers[index] === 'gpu').length,
        tokensPerSecond: tokensPerSecond(demand, memory, machine, {streams: 1, contextTokens: tokens}),
      },
    };
  } catch (error) {
    if (error instanceof DoesNotFitError) return {tokens, sequenceBytes};
    throw error;
  }
}
