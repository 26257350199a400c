/** From a folder or an ONNX file to an engine on TensorRT or the CPU. */

import {stat} from 'node:fs/promises';
import path from 'node:path';

import {cpu} from '../cpu.js';
import {AbortError, FormatError, OptionError, TensorrtNodeError, throwIfAborted, UnsupportedError} from '../errors.js';
import type {NativeDeviceInfo} from '../native/addon.js';
import {Device} from '../native/device.js';
import type {NativeEngine} from '../native/engine_addon.js';
import {rethrowTyped, translated} from '../native/errors.js';
import {findDevice} from '../native/find_device.js';
import {addonTooOld, requireAddon} from '../native/load.js';
import {openTensorrt, tensorrtCandidates} from '../native/tensorrt_libraries.js';
import {onAbort} from '../on_abort.js';
import {abortSignal, callback, integer, noOthers, object, oneOf} from '../options.js';
import type {OnProgress} from '../progress.js';
import type {LoadedEngine} from './engine.js';
import {type EngineManifest, readManifest} from './manifest.js';
import {checkModelHash} from './model_hash.js';
import {loadPlan} from './plan.js';

export interface EngineLoadOptions {
  /**
   * 'auto', the default: a folder on TensorRT where driver, GPU and TensorRT are there, else its ONNX model on the CPU;
   * an ONNX file on the CPU.
   */
  backend?: 'auto' | 'tensorrt' | 'cpu';
  /** GPU, as CUDA numbers them. Default 0. */
  device?: number;
  /** Runs that are under way at once, each with memory of its own; on the CPU at most as many as cores. Default 1. */
  contexts?: number;
  /** Runs that may wait for a context; more are refused with ERR_BUSY. Default 1024. */
  maxQueue?: number;
  /** The ONNX file, where it is not where the manifest says: for the CPU backend, and for plans without weights. */
  model?: string;
  /** Bytes of weights kept on the GPU; for plans built with weight streaming. */
  weightStreamingBudget?: number;
  /** Threads of the CPU backend, for all contexts together. Default: as many as this process may use at once. */
  threads?: number;
  /** libnvinfer.so.10, or the folder it is in. Default: TENSORRT_ROOT, the loader's path, pip's packages. */
  tensorrtPath?: string;
  signal?: AbortSignal;
  onProgress?: OnProgress;
}

const OPTIONS: readonly (keyof EngineLoadOptions)[] = [
  'backend',
  'device',
  'contexts',
  'maxQueue',
  'model',
  'weightStreamingBudget',
  'threads',
  'tensorrtPath',
  'signal',
  'onProgress',
];

interface Checked extends EngineLoadOptions {
  device: number;
  contexts: number;
  maxQueue: number;
}

export async function loadEngine(source: string, options: EngineLoadOptions): Promise<LoadedEngine> {
  if (typeof source !== 'string' || source === '') throw new OptionError('source', 'the path of an engine folder or an ONNX file', source);
  const checked = check(options);
  const {backend = 'auto', signal} = checked;
  throwIfAborted(signal);
  if (!(await isFolder(source))) {
    if (path.extname(source) === '.plan' || path.extname(source) === '.engine') {
      throw new OptionError('source', 'an engine folder, whose manifest says what the plan in it is, or an ONNX file', source);
    }
    if (backend === 'tensorrt') {
      throw new UnsupportedError(`${source} is not an engine folder, and TensorRT runs plans`, 'build one: `tensorrt-node build`');
    }
    return loadOnCpu(source, undefined, 'an ONNX file', checked);
  }
  if (backend === 'cpu') return loadFolderOnCpu(source, "backend: 'cpu'", checked);
  const gpu = findGpu(checked);
  if ('error' in gpu) {
    if (backend === 'tensorrt') throw gpu.error;
    return loadFolderOnCpu(source, gpu.error.problem, checked);
  }
  return loadOnTensorrt(source, gpu, checked);
}

function check(options: EngineLoadOptions): Checked {
  const {
    backend = 'auto',
    device = 0,
    contexts = 1,
    maxQueue = 1024,
    threads,
    model,
    weightStreamingBudget,
    signal,
  } = object('options', options);
  const {onProgress, tensorrtPath} = options;
  noOthers('options', options, OPTIONS);
  oneOf('backend', backend, ['auto', 'tensorrt', 'cpu']);
  integer('device', device, {min: 0, max: 1023});
  integer('contexts', contexts, {min: 1, max: 256});
  integer('maxQueue', maxQueue, {min: 0});
  if (threads !== undefined) integer('threads', threads, {min: 1, max: 1024});
  if (model !== undefined && (typeof model !== 'string' || model === '')) throw new OptionError('model', 'the path of an ONNX file', model);
  if (weightStreamingBudget !== undefined) {
    integer('weightStreamingBudget', weightStreamingBudget, {min: 0, max: Number.MAX_SAFE_INTEGER});
  }
  abortSignal(signal);
  if (onProgress !== undefined) callback('onProgress', onProgress);
  // What it is, is looked at when it is opened.
  if (tensorrtPath !== undefined) tensorrtCandidates(tensorrtPath, {});
  return {...options, device, contexts, maxQueue};
}

interface Gpu {
  info: NativeDeviceInfo;
  tensorrtVersion: string;
}

/** Driver, the GPU asked for, and TensorRT; or the first of them that is missing. */
function findGpu({device, tensorrtPath}: Checked): Gpu | {error: TensorrtNodeError} {
  try {
    const addon = requireAddon();
    if (addon.loadEngine === undefined) throw addonTooOld();
    const info = findDevice(addon, device);
    return {info, tensorrtVersion: openTensorrt({path: tensorrtPath}).version};
  } catch (error) {
    if (error instanceof TensorrtNodeError) return {error};
    throw error;
  }
}

async function loadOnTensorrt(folder: string, {info: gpu, tensorrtVersion}: Gpu, options: Checked): Promise<LoadedEngine> {
  const {device, contexts, maxQueue, weightStreamingBudget, tensorrtPath, signal, onProgress, model} = options;
  const computeCapability = `${gpu.computeMajor}.${gpu.computeMinor}`;
  onProgress?.({phase: 'load', done: 0, total: 2, unit: 'steps', detail: 'plan'});
  const {manifest, plan} = await loadPlan(folder, {tensorrtVersion, gpu: {name: gpu.name, computeCapability}}, {signal});
  const refitFrom = manifest.stripped ? modelOf(folder, manifest, model, 'the plan holds no weights') : undefined;
  // A path the caller gives is the caller's choice, as on the CPU; but a plan that was not built for other weights gives
  // undefined results with them.
  if (refitFrom !== undefined && (model === undefined || !manifest.refittable)) {
    await checkModelHash(refitFrom, manifest.source.sha256, signal);
  }
  onProgress?.({phase: 'load', done: 1, total: 2, unit: 'steps', detail: 'engine'});
  throwIfAborted(signal);
  const loading = translated(() =>
    requireAddon().loadEngine({
      device,
      tensorrt: tensorrtCandidates(tensorrtPath, process.env),
      plan,
      contexts,
      weightStreamingBudget,
      refitFrom,
    }),
  );
  const native = await abandonable(loading.catch(rethrowTyped), signal);
  return await orDisposed(native, () => {
    onProgress?.({phase: 'load', done: 2, total: 2, unit: 'steps', detail: 'ready'});
    return {
      native,
      backend: 'tensorrt',
      description: `TensorRT ${tensorrtVersion} on ${gpu.name}, ${contexts} ${contexts === 1 ? 'context' : 'contexts'}`,
      manifest,
      model: model ?? (manifest.source.file && path.resolve(folder, manifest.source.file)),
      tensors: translated(() => native.info()).tensors,
      contexts,
      maxQueue,
      allocate: (bytes) => Device.open(device).allocatePinned(bytes).buffer,
    };
  });
}

/** What `describe` makes of an engine that is loaded; nobody else will dispose of it if that throws, as listeners may. */
async function orDisposed(native: NativeEngine, describe: () => LoadedEngine): Promise<LoadedEngine> {
  try {
    return describe();
  } catch (error) {
    await native.dispose().catch(() => {});
    throw error;
  }
}

/** TensorRT cannot be stopped while it loads: what comes of it after an abort is freed when it comes. */
function abandonable(loading: Promise<NativeEngine>, signal: AbortSignal | undefined): Promise<NativeEngine> {
  if (signal === undefined) return loading;
  return new Promise((resolve, reject) => {
    let abandoned = false;
    const forget = onAbort(signal, () => {
      abandoned = true;
      reject(new AbortError(signal.reason));
    });
    loading.then(
      (native) => {
        forget();
        if (abandoned) native.dispose().catch(() => {});
        else resolve(native);
      },
      (error) => {
        forget();
        reject(error);
      },
    );
  });
}

async function loadFolderOnCpu(folder: string, reason: string, options: Checked): Promise<LoadedEngine> {
  const manifest = await readManifest(folder);
  try {
    return await loadOnCpu(modelOf(folder, manifest, options.model, `the CPU backend runs it (${reason})`), manifest, reason, options);
  } catch (error) {
    if (!(error instanceof FormatError) || error.code !== 'ERR_NOT_FOUND' || options.model !== undefined) throw error;
    throw new FormatError(
      'ERR_NOT_FOUND',
      error.path,
      `the CPU backend needs the ONNX model, and there is none (${reason})`,
      'give `model` its path',
      {cause: error},
    );
  }
}

/** `needs`: what it is for, should it be missing. */
function modelOf(folder: string, {source}: EngineManifest, model: string | undefined, needs: string): string {
  if (model !== undefined) return path.resolve(model);
  if (source.file !== undefined) return path.resolve(folder, source.file);
  throw new OptionError('model', `the path of the ONNX file that the engine was built from: its manifest names none, and ${needs}`, model);
}

async function loadOnCpu(modelPath: string, manifest: EngineManifest | undefined, reason: string, options: Checked): Promise<LoadedEngine> {
  const {threads = cpu().cores, maxQueue, signal, onProgress} = options;
  const contexts = Math.min(options.contexts, cpu().cores);
  onProgress?.({phase: 'load', done: 0, total: 1, unit: 'steps', detail: 'model'});
  // Not before it is needed: ONNX Runtime takes a while to load.
  const {CpuEngine} = await import('./cpu/cpu_engine.js');
  const name = manifest?.name ?? path.basename(modelPath, path.extname(modelPath));
  // A path the caller gives is the caller's choice, as weights may differ.
  const sha256 = options.model === undefined ? manifest?.source.sha256 : undefined;
  // The ranges that the plan has: what goes here goes there.
  const profiles = new Map(manifest?.inputs.map((each) => [each.name, each.profiles ?? []]));
  const native = await CpuEngine.load({name, modelPath: path.resolve(modelPath), sha256, profiles, contexts, threads, signal});
  return await orDisposed(native, () => {
    onProgress?.({phase: 'load', done: 1, total: 1, unit: 'steps', detail: 'ready'});
    return {
      native,
      backend: 'cpu',
      description: `${native.description} (${reason})`,
      manifest,
      model: modelPath,
      tensors: native.info().tensors,
      contexts,
      maxQueue,
      allocate: (bytes) => new ArrayBuffer(bytes),
    };
  });
}

async function isFolder(source: string): Promise<boolean> {
  try {
    return (await stat(source)).isDirectory();
  } catch (cause) {
    const {code} = cause as NodeJS.ErrnoException;
    const missing = code === 'ENOENT' || code === 'ENOTDIR';
    throw new FormatError('ERR_NOT_FOUND', source, missing ? 'no such file or folder' : `cannot be looked at (${code})`, undefined, {
      cause,
    });
  }
}
