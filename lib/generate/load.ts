/** `loadModel`: from a folder to a model that answers. */

import {availableParallelism} from 'node:os';
import {basename, resolve} from 'node:path';

import type {Backend, ModelLimits} from '../backend/backend.js';
import {CpuBackend} from '../backend/cpu/cpu_backend.js';
import type {KvCacheType} from '../backend/kv_cache_type.js';
import {nameBackend} from '../backend/named_backends.js';
import {checkLimits, type DecoderFolder, findDecoderFolder} from '../backend/tensorrt/decoder_manifest.js';
import {checkKernels, findTensorrt} from '../backend/tensorrt/environment.js';
import {OptionError, TensorrtNodeError, throwIfAborted, UnsupportedError} from '../errors.js';
import {observed} from '../observers.js';
import {abortSignal, callback, integer, object, oneOf} from '../options.js';
import type {OnProgress} from '../progress.js';
import {loadTokenizer, type TextTokenizer} from '../tokenizer/tokenizer.js';
import {AdmittedBackend} from '../weights/monitor/admitted_backend.js';
import {addMemoryHolder} from '../weights/monitor/holders.js';
import {MemoryMonitor} from '../weights/monitor/memory_monitor.js';
import {checkPlacement, type Placement} from '../weights/placement_option.js';
import {checkModelOptions, contextLimit, DEFAULT_MAX_BATCH} from './limits.js';
import {LanguageModel} from './model.js';
import {type ModelConfig, openModelFolder} from './model_folder.js';

export interface LoadOptions {
  /**
   * What runs the model. 'auto', the default: TensorRT where driver, GPU, TensorRT with its ONNX parser and the addon are
   * there, the addon has kernels for the GPU, and the model can be lowered for it; else the CPU. Where only the last two
   * are missing the model's description says so.
   */
  backend?: 'auto' | 'cpu' | 'tensorrt';
  /** GPU, as CUDA numbers them; not for the CPU backend. Default 0. */
  device?: number;
  /** What TensorRT computes in. Default: bfloat16 where the model's weights are, else float16. */
  type?: 'float16' | 'bfloat16';
  /**
   * On TensorRT: weights of 8 and 4 bits become floats of `type` when they are loaded, which takes two to four times the memory
   * and time of each step, to compare with. Default false: they stay as they are stored, but for forms that no kernel takes.
   */
  dequantize?: boolean;
  /** Tokens a sequence may hold, prompt and reply together. Default: what the model was trained for, at most 8192. */
  maxContext?: number;
  /** Requests that run at once; further ones wait. Default 8. */
  maxBatch?: number;
  /** With an engine folder as the source: the model's folder or ONNX file, where it is not where the engines' manifest says. */
  model?: string;
  /**
   * A request's tokens do not depend on what runs beside it, before it, or on maxBatch, to the last bit. On TensorRT that
   * costs: steps are all as long as the longest, with up to 16 streams, prompts are read one after another, and sessions
   * keep nothing, so that each turn runs its whole prompt. The CPU backend is like that anyway. Default false.
   */
  deterministic?: boolean;
  /**
   * What keys and values are kept in. 'auto', the default: what the model computes in. 'fp8' (E3M4) and 'int8' take 8 bits an
   * element and a scale for each token and head of keys or values: about half of the memory, so that twice as many tokens fit
   * and long contexts are read faster. The CPU backend rounds to the same numbers, but its cache is no smaller. With an engine
   * folder: what its engines were built for.
   */
  kvCacheType?: KvCacheType;
  /**
   * Where the weights are, on TensorRT. 'auto', the default: in the GPU's memory what fits, the rest in pinned host memory, what
   * does not fit there on disk. Or limits of both, as {gpu: '4GiB', ram: '80%'}, or a function that says it of each layer,
   * which may be called more than once. What is not in the GPU's memory passes through it in each step.
   */
  placement?: Placement;
  /**
   * A folder on a fast disk, for weights that are on disk and not in the form that steps take, as those of 4 bits: they are
   * written there once. Default: they are made of the model's own files in each step.
   */
  offloadFolder?: string;
  /** What metrics, spans and logs call it. Default: its folder's name. */
  name?: string;
  /** Threads of the CPU backend. Default: as many as this process may use at once. */
  threads?: number;
  /**
   * How the CPU backend multiplies 4- and 8-bit weights (MatMulNBits' accuracy level). 0 keeps activations as they
   * are, exact to 1e-6. 4 rounds them to 8 bits by block, as llama.cpp does, and decodes one and a half times as fast.
   * Default 0: this backend is the reference for all others.
   */
  accuracyLevel?: 0 | 4;
  /** Lets requests in: while memory is short they wait or are refused, as its options say. Default: none. */
  monitor?: MemoryMonitor;
  signal?: AbortSignal;
  onProgress?: OnProgress;
}

/** Long enough to be efficient, short enough for others to take turns. */
const PREFILL_CHUNK = 128;

/** Options that mean nothing to the other backend. */
const OPTIONS_OF = {cpu: ['threads', 'accuracyLevel'], tensorrt: ['device', 'type', 'dequantize', 'placement', 'offloadFolder']} as const;

/** What a language model is made of. */
export interface OpenedModel {
  /** What observers call it. */
  name: string;
  tokenizer: TextTokenizer;
  config: ModelConfig;
  /** The ONNX file. */
  modelPath: string;
  /** Loads the weights; each call does so anew. Throws as `loadModel` does. */
  loadBackend(options?: Pick<LoadOptions, 'signal' | 'onProgress'>): Promise<Backend>;
}

/**
 * Loads a language model from its folder or ONNX file, or from an engine folder that `buildModel` made. On TensorRT the
 * engines that are neither there nor in the engine cache are built first, which is told as the phase 'build'. Throws OptionError; FormatError for missing or damaged files;
 * UnsupportedError for a model that the backend cannot do; DoesNotFitError, before anything is loaded, for one that the
 * memory or the placement does not hold; CudaError and TensorrtError for what TensorRT lacks;
 * BuildError; AbortError.
 */
export async function loadModel(source: string, options: LoadOptions = {}): Promise<LanguageModel> {
  checkLoadOptions(source, options);
  const {signal, onProgress, monitor} = options;
  const step = (done: number, detail: string) => onProgress?.({phase: 'load', done, total: 2, unit: 'steps', detail});
  const {name, tokenizer, config, loadBackend} = await openModel(source, options, () => step(0, 'tokenizer'));
  step(1, 'weights');
  const backend = await loadBackend({signal, onProgress});
  try {
    step(2, 'ready');
    return new LanguageModel(monitor ? new AdmittedBackend(backend, monitor) : backend, tokenizer, config, name);
  } catch (error) {
    // The caller's function threw: nobody else will free the model.
    await backend[Symbol.asyncDispose]();
    throw error;
  }
}

/** All of a model but its weights, of checked options. `found` is called once its files are. Throws as `loadModel` does. */
export async function openModel(source: string, options: LoadOptions, found?: () => void): Promise<OpenedModel> {
  const {signal} = options;
  throwIfAborted(signal);
  const decoder = await findDecoderFolder(source);
  if (decoder === undefined && options.model !== undefined) {
    throw new OptionError('model', "left out where the source is not a decoder's engine folder", options.model);
  }
  const {modelPath, folder, config} = await openModelFolder(decoder === undefined ? source : (options.model ?? decoder.modelPath));
  const engines = decoder && {...decoder, modelPath};
  found?.();
  const tokenizer = await loadTokenizer(folder);
  throwIfAborted(signal);
  const {maxBatch = DEFAULT_MAX_BATCH, deterministic = false, dequantize = false, kvCacheType = 'auto'} = options;
  const limits = engines
    ? checkLimits(engines.manifest, options)
    : {maxContext: contextLimit(config, options.maxContext), maxBatch, deterministic, dequantize, kvCacheType};
  const name = options.name ?? basename(folder);
  return {
    name,
    tokenizer,
    config,
    modelPath,
    async loadBackend(hooks) {
      const load = () => loadBackend(modelPath, limits, engines, {...options, ...hooks, name});
      const backend = await observed('load', name, load, ({description}) => ({backend: description, source: resolve(source)}));
      nameBackend(name, backend);
      addMemoryHolder(name, backend);
      return backend;
    },
  };
}

/** Throws OptionError. */
export function checkLoadOptions(source: string, options: LoadOptions): void {
  if (typeof source !== 'string' || source === '') throw new OptionError('source', 'the path of a folder or an ONNX file', source);
  checkOptions(options);
}

function checkOptions(options: LoadOptions): void {
  const {backend = 'auto', model, placement, offloadFolder, threads, accuracyLevel, signal, onProgress} = object('options', options);
  oneOf('backend', backend, ['auto', 'cpu', 'tensorrt']);
  checkModelOptions(options);
  if (model !== undefined && (typeof model !== 'string' || model === '')) {
    throw new OptionError('model', 'the path of a folder or an ONNX file', model);
  }
  if (options.name !== undefined && (typeof options.name !== 'string' || options.name === '')) {
    throw new OptionError('name', 'a name', options.name);
  }
  checkPlacement(placement);
  if (offloadFolder !== undefined && (typeof offloadFolder !== 'string' || offloadFolder === '')) {
    throw new OptionError('offloadFolder', 'the path of a folder', offloadFolder);
  }
  if (threads !== undefined) integer('threads', threads, {min: 1, max: 1024});
  if (accuracyLevel !== undefined && accuracyLevel !== 0 && accuracyLevel !== 4) {
    throw new OptionError('accuracyLevel', '0 or 4', accuracyLevel);
  }
  if (options.monitor !== undefined && !(options.monitor instanceof MemoryMonitor)) {
    throw new OptionError('monitor', 'what createMemoryMonitor made', options.monitor);
  }
  abortSignal(signal);
  if (onProgress !== undefined) callback('onProgress', onProgress);
  if (backend === 'auto') return;
  for (const name of OPTIONS_OF[backend === 'cpu' ? 'tensorrt' : 'cpu']) {
    if (options[name] !== undefined) throw new OptionError(name, `left out with backend: '${backend}'`, options[name]);
  }
}

async function loadBackend(
  modelPath: string,
  {deterministic, dequantize, ...limits}: ModelLimits & {deterministic: boolean; dequantize: boolean; kvCacheType: KvCacheType},
  engines: DecoderFolder | undefined,
  options: LoadOptions,
): Promise<Backend> {
  const {backend = 'auto', device = 0, type, threads = availableParallelism(), accuracyLevel = 0} = options;
  const {signal, onProgress} = options;
  let unsupported: string | undefined;
  if (backend !== 'cpu') {
    const environment = findTensorrt(device);
    if (!(environment instanceof TensorrtNodeError)) {
      try {
        checkKernels(environment);
        // Not before it is needed: what lowers and builds is much to load.
        const {TensorrtBackend} = await import('../backend/tensorrt/tensorrt_backend.js');
        const placement = checkPlacement(options.placement);
        const offloadFolder = options.offloadFolder && resolve(options.offloadFolder);
        return await TensorrtBackend.load({
          modelPath,
          name: options.name,
          engines,
          environment,
          ...limits,
          type,
          deterministic,
          dequantize,
          placement,
          offloadFolder,
          signal,
          onProgress,
        });
      } catch (error) {
        if (backend === 'tensorrt' || !(error instanceof UnsupportedError)) throw error;
        unsupported = error.message;
      }
    } else if (backend === 'tensorrt') {
      throw environment;
    }
  }
  return await CpuBackend.load({
    modelPath,
    threads,
    accuracyLevel,
    ...limits,
    prefillChunk: PREFILL_CHUNK,
    unsupported,
    signal,
  });
}
