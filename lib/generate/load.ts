/** `loadModel`: from a folder to a model that answers. */

import {availableParallelism} from 'node:os';

import {CpuBackend} from '../backend/cpu/cpu_backend.js';
import {OptionError, throwIfAborted, UnsupportedError} from '../errors.js';
import {abortSignal, integer, object, oneOf} from '../options.js';
import type {OnProgress} from '../progress.js';
import {loadTokenizer} from '../tokenizer/tokenizer.js';
import {LanguageModel} from './model.js';
import {openModelFolder} from './model_folder.js';

export interface LoadOptions {
  /** What runs the model. 'auto', the default, takes the fastest that can. */
  backend?: 'auto' | 'cpu' | 'tensorrt';
  /** GPU, as CUDA numbers them; not for the CPU backend. */
  device?: number;
  /** Tokens a sequence may hold, prompt and reply together. Default: what the model was trained for, at most 8192. */
  maxContext?: number;
  /** Requests that run at once; further ones wait. Default 8. */
  maxBatch?: number;
  /** Threads of the CPU backend. Default: as many as this process may use at once. */
  threads?: number;
  /**
   * How the CPU backend multiplies 4- and 8-bit weights (MatMulNBits' accuracy level). 0 keeps activations as they
   * are, exact to 1e-6. 4 rounds them to 8 bits by block, as llama.cpp does, and decodes one and a half times as fast.
   * Default 0: this backend is the reference for all others.
   */
  accuracyLevel?: 0 | 4;
  signal?: AbortSignal;
  onProgress?: OnProgress;
}

const DEFAULT_MAX_CONTEXT = 8192;
const DEFAULT_MAX_BATCH = 8;
/** Long enough to be efficient, short enough for others to take turns. */
const PREFILL_CHUNK = 128;

/**
 * Loads a language model from its folder or ONNX file. Throws OptionError; FormatError for missing or damaged files;
 * UnsupportedError for a model or backend that this version cannot do; AbortError.
 */
export async function loadModel(source: string, options: LoadOptions = {}): Promise<LanguageModel> {
  if (typeof source !== 'string' || source === '') throw new OptionError('source', 'the path of a folder or an ONNX file', source);
  const {backend = 'auto', device, maxContext, maxBatch = DEFAULT_MAX_BATCH, threads = availableParallelism()} = object('options', options);
  const {accuracyLevel = 0, signal, onProgress} = options;
  oneOf('backend', backend, ['auto', 'cpu', 'tensorrt']);
  if (device !== undefined) integer('device', device, {min: 0});
  if (maxContext !== undefined) integer('maxContext', maxContext, {min: 1});
  integer('maxBatch', maxBatch, {min: 1});
  integer('threads', threads, {min: 1, max: 1024});
  if (accuracyLevel !== 0 && accuracyLevel !== 4) throw new OptionError('accuracyLevel', '0 or 4', accuracyLevel);
  abortSignal(signal);
  if (onProgress !== undefined && typeof onProgress !== 'function') throw new OptionError('onProgress', 'a function', onProgress);
  if (backend === 'tensorrt') {
    throw new UnsupportedError('this version does not run language models on TensorRT', "use backend: 'cpu' or 'auto'");
  }
  throwIfAborted(signal);

  const step = (done: number, detail: string) => onProgress?.({phase: 'load', done, total: 2, unit: 'steps', detail});
  const {modelPath, folder, config} = await openModelFolder(source);
  const trained = config.maxPositionEmbeddings ?? DEFAULT_MAX_CONTEXT;
  if (maxContext !== undefined && maxContext > trained) {
    throw new OptionError('maxContext', `at most ${trained}, the positions the model was trained for`, maxContext);
  }
  step(0, 'tokenizer');
  const tokenizer = await loadTokenizer(folder);
  throwIfAborted(signal);
  step(1, 'weights');
  const cpu = await CpuBackend.load({
    modelPath,
    threads,
    accuracyLevel,
    maxContext: maxContext ?? Math.min(trained, DEFAULT_MAX_CONTEXT),
    maxBatch,
    prefillChunk: PREFILL_CHUNK,
    signal,
  });
  try {
    step(2, 'ready');
    return new LanguageModel(cpu, tokenizer, config);
  } catch (error) {
    // The caller's function threw: nobody else will free the model.
    await cpu[Symbol.asyncDispose]();
    throw error;
  }
}
