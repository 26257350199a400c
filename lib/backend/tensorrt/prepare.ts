/** From an ONNX decoder to plans: lowered, and its parts built or taken from the engine cache. */

import {readFile} from 'node:fs/promises';
import {join} from 'node:path';

import {lowerDecoder} from '../../decoder/lower_decoder.js';
import type {ByRange, DecoderIndex, DecoderShape, LoweredDecoder, RowRange} from '../../decoder/lowered_decoder.js';

import {buildEngine} from '../../engine/build/build.js';
import {AbortError, throwIfAborted, UnsupportedError} from '../../errors.js';
import {readModel} from '../../onnx/read.js';
import type {OnProgress, Progress} from '../../progress.js';
import type {KvCacheType} from '../kv_cache_type.js';
import {planFolder} from './decoder_manifest.js';
import type {PartPlans} from './native_request.js';
import {MOST_ROWS, partProfiles} from './part_profile.js';

export interface PrepareOptions {
  device: number;
  /** Tokens a sequence may hold. */
  maxContext: number;
  /** Sequences at once. */
  maxBatch: number;
  /** Whether steps have but one size. Default false. */
  deterministic?: boolean;
  /** Hidden type. Default: bfloat16 where the model's weights are, else float16. */
  type?: 'float16' | 'bfloat16';
  /** Whether quantized weights become floats of that type. Default false. */
  dequantize?: boolean;
  /** What pages of the key/value cache hold. Default 'auto': the hidden type. */
  kvCacheType?: KvCacheType;
  /** An existing folder that is given an engine folder for each plan, as planFolder names it. */
  output?: string;
  /** Looks at what the model was lowered to before anything is built, and may throw. */
  onLowered?: (index: DecoderIndex) => void;
  signal?: AbortSignal;
  /** Phase 'build', in plans; nothing when all are in the cache. */
  onProgress?: OnProgress;
}

export interface PreparedDecoder {
  index: DecoderIndex;
  plans: PartPlans;
  /** Bytes that the plans' engines compute in, sharing them. */
  scratchBytes: number;
}

/** Each is a process that holds the GPU and a core. */
const BUILDS_AT_ONCE = 6;
/** That attention has kernels for. */
const HEAD_SIZES: readonly number[] = [64, 80, 96, 128, 256];

/**
 * Throws UnsupportedError for a model that cannot be lowered, before anything is built; FormatError for a damaged one;
 * AbortError; what buildEngine throws, and onLowered.
 */
export async function prepareDecoder(modelPath: string, options: PrepareOptions): Promise<PreparedDecoder> {
  const lowered = await lowerModel(modelPath, options);
  options.onLowered?.(lowered);
  return {index: lowered, ...(await buildPlans(lowered, options))};
}

/** Throws as prepareDecoder does before it builds. */
export async function lowerModel(
  modelPath: string,
  {
    maxContext,
    type,
    dequantize,
    kvCacheType,
    signal,
  }: Pick<PrepareOptions, 'maxContext' | 'type' | 'dequantize' | 'kvCacheType' | 'signal'>,
): Promise<LoweredDecoder> {
  const model = await readModel(modelPath, {signal});
  const lowered = await lowerDecoder(model, {type, maxPositions: maxContext, dequantize, kvCacheType, signal});
  checkShape(lowered.shape, maxContext, modelPath);
  return lowered;
}

function checkShape({headSize, maxPositions, rotarySize}: DecoderShape, maxContext: number, modelPath: string): void {
  if (!HEAD_SIZES.includes(headSize)) {
    throw new UnsupportedError(`${modelPath}: heads of ${headSize} elements; there are kernels for ${HEAD_SIZES.join(', ')}`);
  }
  if (rotarySize > 0 && maxPositions < maxContext) {
    throw new UnsupportedError(
      `${modelPath}: its rotary tables have ${maxPositions} positions, fewer than maxContext, ${maxContext}`,
      `give a maxContext of at most ${maxPositions}`,
    );
  }
}

async function buildPlans(lowered: LoweredDecoder, options: PrepareOptions): Promise<Omit<PreparedDecoder, 'index'>> {
  const ranges = rangesOf(options);
  const builds = lowered.parts.flatMap(({name, kind}) => {
    const models = lowered.models.get(name)!;
    return ranges.flatMap((range) => (models[range] === undefined ? [] : [{name, kind, range, model: models[range]}]));
  });
  const progress = new BuildsProgress(builds.length, options.onProgress);
  const sizes = {slots: options.maxBatch, pagesPerSlot: Math.ceil(options.maxContext / lowered.shape.pageSize)};
  const plans = new Map<string, Partial<Record<RowRange, Uint8Array>>>(lowered.parts.map(({name}) => [name, {}]));
  let scratchBytes = 0;
  await atOnce(BUILDS_AT_ONCE, builds, options.signal, async ({name, kind, range, model}, signal) => {
    const title = kind === 'block' ? `${name} (${range})` : name;
    const profiles = partProfiles(model, kind, range, sizes);
    const {plan, manifest} = await buildEngine(model, {
      name: title,
      device: options.device,
      typing: 'strong',
      ...(options.output === undefined ? {} : {output: join(options.output, planFolder(name, range))}),
      ...(profiles.length === 0 ? {} : {profiles}),
      signal,
      onProgress: (each) => progress.at(title, each),
    });
    plans.get(name)![range] = await readFile(plan);
    scratchBytes = Math.max(scratchBytes, manifest.deviceMemoryBytes);
    progress.finish();
  });
  throwIfAborted(options.signal);
  return {plans: plans as Map<string, ByRange<Uint8Array>>, scratchBytes};
}

/** What is built of a part that has models for all ranges. */
function rangesOf({maxBatch, deterministic}: PrepareOptions): readonly RowRange[] {
  const wide = maxBatch > MOST_ROWS.decode && !deterministic;
  return wide ? ['decode', 'wide', 'prefill'] : ['decode', 'prefill'];
}

/** Several builds as one phase, in plans. */
class BuildsProgress {
  #done = 0;
  #building = false;

  constructor(
    readonly total: number,
    readonly onProgress: OnProgress | undefined,
  ) {}

  at(name: string, {phase, detail}: Progress): void {
    // Whatever else there is, takes no time.
    if (phase !== 'build' && phase !== 'wait') return;
    this.#building = true;
    this.#tell(`${name}${detail === undefined ? '' : `: ${detail}`}`);
  }

  finish(): void {
    this.#done++;
    if (this.#building) this.#tell(this.#done === this.total ? 'ready' : undefined);
  }

  #tell(detail: string | undefined): void {
    this.onProgress?.({phase: 'build', done: this.#done, total: this.total, unit: 'steps', ...(detail === undefined ? {} : {detail})});
  }
}

/** Runs `work` on all items, `count` at a time. The first error stops the others, and is thrown when they have ended. */
async function atOnce<T>(
  count: number,
  items: readonly T[],
  signal: AbortSignal | undefined,
  work: (item: T, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const failing = new AbortController();
  const stop = signal === undefined ? failing.signal : AbortSignal.any([signal, failing.signal]);
  const left = items.values();
  let failure: {error: unknown} | undefined;
  const worker = async (): Promise<void> => {
    for (const item of left) {
      try {
        throwIfAborted(stop);
        await work(item, stop);
      } catch (error) {
        failure ??= {error};
        failing.abort();
        return;
      }
    }
  };
  await Promise.all(Array.from({length: count}, worker));
  if (signal?.aborted) throw new AbortError(signal.reason);
  if (failure !== undefined) throw failure.error;
}
