/** `buildModel`: the engines of a language model, built ahead of time. */

import {resolve} from 'node:path';

import type {KvCacheType} from '../backend/kv_cache_type.js';
import {isDecoderFolder} from '../backend/tensorrt/decoder_manifest.js';
import {findTensorrt} from '../backend/tensorrt/environment.js';
import type {PartPlans} from '../backend/tensorrt/native_request.js';
import {OptionError, TensorrtNodeError, throwIfAborted} from '../errors.js';
import {abortSignal, callback, noOthers, object} from '../options.js';
import type {OnProgress} from '../progress.js';
import {checkTarget, type TargetOptions, writeFolder} from '../target_folder.js';
import {checkModelOptions, contextLimit, DEFAULT_MAX_BATCH} from './limits.js';
import {openModelFolder} from './model_folder.js';

export interface BuildModelOptions {
  /**
   * The folder to write: `loadModel` takes it in place of the model's own, whose weights it reads where they are. A
   * decoder's engine folder that is there is replaced. Left out, the engines are in the engine cache alone, where
   * `loadModel` of the same model with the same limits finds them.
   */
  output?: string;
  /** GPU that it is built on and for, as CUDA numbers them. Default 0. */
  device?: number;
  /** What TensorRT computes in. Default: bfloat16 where the model's weights are, else float16. */
  type?: 'float16' | 'bfloat16';
  /** Tokens a sequence may hold at most. Default: what the model was trained for, at most 8192. */
  maxContext?: number;
  /** Requests at once, at most. Default 8. */
  maxBatch?: number;
  /** As of `loadModel`. Default false. */
  deterministic?: boolean;
  /** As of `loadModel`, which then takes it from the folder. Default false. */
  dequantize?: boolean;
  /** What keys and values are kept in, as of `loadModel`. Default 'auto'. */
  kvCacheType?: KvCacheType;
  signal?: AbortSignal;
  /** Phase 'build', in engines; nothing where all are in the cache. */
  onProgress?: OnProgress;
}

export interface BuildModelResult {
  /** Absolute; undefined without `output`. */
  folder: string | undefined;
  /** Distinct parts, with the ranges of rows that each has an engine for. */
  parts: {name: string; ranges: string[]}[];
  /** The limits that `loadModel` may ask for, at most. */
  maxContext: number;
  maxBatch: number;
  /** Seconds. */
  seconds: number;
}

const OPTIONS: readonly (keyof BuildModelOptions)[] = [
  'output',
  'device',
  'type',
  'maxContext',
  'maxBatch',
  'deterministic',
  'dequantize',
  'kvCacheType',
  'signal',
  'onProgress',
];

/**
 * Builds the engines of a language model, from its folder or ONNX file. Throws OptionError; FormatError for missing or
 * damaged files; UnsupportedError for a model that TensorRT cannot do; CudaError and TensorrtError for what is missing on
 * this machine; BuildError; AbortError. Nothing is left of a folder whose build fails.
 */
export async function buildModel(source: string, options: BuildModelOptions = {}): Promise<BuildModelResult> {
  if (typeof source !== 'string' || source === '') throw new OptionError('source', 'the path of a folder or an ONNX file', source);
  check(options);
  const {
    output,
    device = 0,
    type,
    maxBatch = DEFAULT_MAX_BATCH,
    deterministic = false,
    dequantize = false,
    kvCacheType,
    signal,
    onProgress,
  } = options;
  throwIfAborted(signal);
  const start = performance.now();
  const {modelPath, folder: modelFolder, config} = await openModelFolder(source);
  const maxContext = contextLimit(config, options.maxContext);
  const environment = findTensorrt(device);
  if (environment instanceof TensorrtNodeError) throw environment;
  const {prepareDecoder} = await import('../backend/tensorrt/prepare.js');
  const {writeDecoderFolder} = await import('../backend/tensorrt/decoder_folder.js');
  const target: TargetOptions = {
    option: 'output',
    overwrite: true,
    source: modelFolder,
    replaceable: {what: "a decoder's engine folder, to replace it", test: isDecoderFolder},
  };
  const prepare = (plans?: string) =>
    prepareDecoder(modelPath, {
      device: environment.device,
      type,
      maxContext,
      maxBatch,
      deterministic,
      dequantize,
      kvCacheType,
      output: plans,
      signal,
      onProgress,
    });
  const result = (plans: PartPlans): BuildModelResult => ({
    folder: output && resolve(output),
    parts: [...plans].map(([name, ranges]) => ({name, ranges: Object.keys(ranges)})),
    maxContext,
    maxBatch,
    seconds: (performance.now() - start) / 1000,
  });
  if (output === undefined) return result((await prepare()).plans);

  await checkTarget(output, target);
  let built: PartPlans = new Map();
  await writeFolder(output, target, async (folder) => {
    const {index, plans} = await prepare(folder);
    await writeDecoderFolder(folder, resolve(output), {modelPath, index, plans, maxContext, maxBatch, deterministic, dequantize});
    built = plans;
  });
  return result(built);
}

function check(options: BuildModelOptions): void {
  const {output, signal, onProgress} = object('options', options);
  noOthers('options', options, OPTIONS);
  if (output !== undefined && (typeof output !== 'string' || output === ''))
    throw new OptionError('output', 'the path of a folder', output);
  checkModelOptions(options);
  abortSignal(signal);
  if (onProgress !== undefined) callback('onProgress', onProgress);
}
