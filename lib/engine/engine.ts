/** `Engine`: a model that is loaded, and its runs. */

import {basename} from 'node:path';

import {AbortError, OptionError, TensorrtNodeError, throwIfAborted} from '../errors.js';
import type {NativeEngine, NativeLayerProfiling, NativeTensorInfo} from '../native/engine_addon.js';
import {rethrowTyped, translated, typed} from '../native/errors.js';
import {onAbort} from '../on_abort.js';
import {abortSignal, integer, noOthers, object} from '../options.js';
import {Binding} from './binding.js';
import {InputCheck, type InputValue} from './input_check.js';
import {type LayerProfile, layerProfile, wantsNames} from './layer_profile.js';
import {type EngineLayer, parseLayers} from './layers.js';
import {type EngineLoadOptions, loadEngine} from './load.js';
import type {EngineManifest} from './manifest.js';
import {nodeNames, nodeNamesIfThere} from './node_names.js';
import {RunMeter} from './run_meter.js';
import {type Tensor, type TensorType, type TensorTypes, tensorArray, tensorBytes} from './tensor.js';

/** An input or output. */
export interface EngineTensor {
  readonly name: string;
  readonly type: TensorType;
  /** -1 where dynamic. */
  readonly dims: readonly number[];
  /** Of inputs: shapes that each optimization profile allows. Empty on the CPU backend without a manifest: any shape goes. */
  readonly profiles?: readonly EngineProfile[];
}

export interface EngineProfile {
  readonly min: readonly number[];
  readonly opt: readonly number[];
  readonly max: readonly number[];
  /** Range of a shape tensor's content. */
  readonly values?: {readonly min: readonly number[]; readonly opt: readonly number[]; readonly max: readonly number[]};
}

export interface RunOptions {
  signal?: AbortSignal;
}

export interface BindOptions {
  /** Capture a CUDA graph, where the engine can be. Default true. */
  graph?: boolean;
  /** Measure each run's time on the GPU, for `gpuMilliseconds`. Default false. */
  timing?: boolean;
}

export interface ProfileLayersOptions {
  /** Runs whose layers are timed. Default 50. */
  runs?: number;
  /** Runs before those. Default 10. */
  warmUp?: number;
  /** The ONNX file whose nodes' names layers are joined to, for plans that do not tell them. Default: what the manifest names. */
  model?: string;
  signal?: AbortSignal;
}

/** What `loadEngine` hands over. @internal */
export interface LoadedEngine {
  native: NativeEngine;
  backend: 'tensorrt' | 'cpu';
  description: string;
  manifest: EngineManifest | undefined;
  /** The ONNX file it was built from, or is; where it was, at least. */
  model: string | undefined;
  /** Inputs and outputs, with profiles. */
  tensors: readonly NativeTensorInfo[];
  contexts: number;
  maxQueue: number;
  allocate(bytes: number): ArrayBuffer;
}

/**
 * What `Inputs` and `Outputs` say is the caller's word, for TypeScript alone:
 * `Engine.load<{x: 'float32'}, {logits: 'float32'}>('ocr-rec/')`.
 */
export class Engine<Inputs extends TensorTypes = TensorTypes, Outputs extends TensorTypes = TensorTypes> implements AsyncDisposable {
  readonly #native: NativeEngine;
  readonly #tensors: readonly NativeTensorInfo[];
  readonly #outputs: readonly NativeTensorInfo[];
  readonly #check: InputCheck;
  readonly #allocate: (bytes: number) => ArrayBuffer;
  readonly #contexts: number;
  readonly #maxQueue: number;
  readonly #bindings = new Set<Disposable>();
  readonly #model: string | undefined;
  readonly #profiling = new Set<NativeLayerProfiling>();
  #pending = 0;
  readonly #meter: RunMeter;
  #closing: Promise<void> | undefined;

  readonly backend: 'tensorrt' | 'cpu';
  /** For people: what runs it, and why that. */
  readonly description: string;
  /** Of an engine folder. */
  readonly manifest: EngineManifest | undefined;
  readonly inputs: readonly EngineTensor[];
  readonly outputs: readonly EngineTensor[];

  /** @internal */
  constructor({native, backend, description, manifest, model, tensors, contexts, maxQueue, allocate}: LoadedEngine) {
    this.#native = native;
    this.#tensors = tensors;
    this.#outputs = tensors.filter(({mode}) => mode === 'output');
    this.#check = new InputCheck(tensors);
    this.#allocate = allocate;
    this.#contexts = contexts;
    this.#maxQueue = maxQueue;
    this.#model = model;
    const name = manifest?.name ?? (model === undefined ? 'engine' : basename(model));
    this.#meter = new RunMeter(name, () => Math.max(0, this.#pending - this.#contexts));
    this.backend = backend;
    this.description = description;
    this.manifest = manifest;
    this.inputs = tensors.filter(({mode}) => mode === 'input').map(({name, type, dims, profiles}) => ({name, type, dims, profiles}));
    this.outputs = this.#outputs.map(({name, type, dims}) => ({name, type, dims}));
  }

  /**
   * Loads an engine folder, as `buildEngine` writes it, or an ONNX file on the CPU backend. A plan is code: load only
   * your own. Throws OptionError; FormatError for what is missing, damaged, or built for another TensorRT or GPU;
   * UnsupportedError; CudaError; TensorrtError; AbortError.
   */
  static async load<Inputs extends TensorTypes = TensorTypes, Outputs extends TensorTypes = TensorTypes>(
    source: string,
    options: EngineLoadOptions = {},
  ): Promise<Engine<Inputs, Outputs>> {
    return new Engine<Inputs, Outputs>(await loadEngine(source, options));
  }

  /**
   * Runs once. Up to `contexts` runs are under way at once, further ones wait their turn. Inputs are copied before this
   * returns, except those in memory of `allocate`, which must then stay as they are until it settles.
   * Results are the caller's. Rejects with OptionError, AbortError, CudaError, TensorrtError, and TensorrtNodeError:
   * ERR_BUSY when `maxQueue` runs wait, ERR_DISPOSED, ERR_BACKEND, ERR_OUT_OF_MEMORY.
   */
  async run(
    inputs: {readonly [Name in keyof Inputs]: InputValue<Inputs[Name]>},
    options?: RunOptions,
  ): Promise<{[Name in keyof Outputs]: Tensor<Outputs[Name]>}> {
    const signal = options === undefined ? undefined : abortSignal(object('options', options).signal);
    throwIfAborted(signal);
    this.#checkOpen();
    const feeds = this.#check.tensors(inputs);
    if (this.#pending >= this.#contexts + this.#maxQueue) {
      throw new TensorrtNodeError('ERR_BUSY', `${this.#maxQueue} runs wait already`, 'await some of them, or raise maxQueue or contexts');
    }
    let forget: (() => void) | undefined;
    this.#pending++;
    const began = this.#meter.begin();
    let done = false;
    try {
      const run = this.#native.run(feeds);
      if (signal !== undefined) forget = onAbort(signal, () => run.cancel());
      const results = await run.result;
      const outputs: Record<string, Tensor> = {};
      for (let i = 0; i < results.length; i++) {
        const {name, type} = this.#outputs[i]!;
        const {dims, buffer} = results[i]!;
        outputs[name] = {type, dims, data: tensorArray(type, dims, buffer)};
      }
      done = true;
      return outputs as {[Name in keyof Outputs]: Tensor<Outputs[Name]>};
    } catch (error) {
      if (signal?.aborted) throw new AbortError(signal.reason);
      throw typed(error);
    } finally {
      this.#pending--;
      if (began !== undefined) {
        if (done) this.#meter.ended(began);
        else this.#meter.failed();
      }
      forget?.();
    }
  }

  /**
   * Fixes the shapes of the inputs; those without dynamic dimensions may be left out. Blocks while the execution
   * context is made. Throws OptionError, CudaError, TensorrtError, TensorrtNodeError.
   */
  bind(dims: {readonly [Name in keyof Inputs]?: readonly number[]} = {}, options: BindOptions = {}): Binding<Inputs, Outputs> {
    const {graph = true, timing = false} = object('options', options);
    noOthers('options', options, ['graph', 'timing']);
    if (typeof graph !== 'boolean') throw new OptionError('graph', 'true or false', graph);
    if (typeof timing !== 'boolean') throw new OptionError('timing', 'true or false', timing);
    this.#checkOpen();
    const shapes = this.#check.shapes(dims as Readonly<Record<string, readonly number[]>>);
    const native = translated(() => this.#native.bind(shapes, {graph, timing}));
    const binding: Binding<Inputs, Outputs> = new Binding(native, this.#tensors, shapes, {
      outputsMayGrow: this.backend === 'cpu',
      meter: this.#meter,
      onDispose: () => this.#bindings.delete(binding),
    });
    this.#bindings.add(binding);
    return binding;
  }

  /**
   * A tensor for an input, in pinned memory: `run` takes it as it is, without a copy. Its content is whatever the memory
   * held. Freed when it is collected. Throws OptionError, CudaError (ERR_OUT_OF_MEMORY).
   */
  allocate<Name extends keyof Inputs & string>(name: Name, dims?: readonly number[]): Tensor<Inputs[Name]> {
    this.#checkOpen();
    const {info, dims: shape} = this.#check.shape(name, dims);
    const bytes = tensorBytes(info.type, shape);
    const buffer = bytes === 0 ? new ArrayBuffer(0) : this.#allocate(bytes);
    const tensor: Tensor = {type: info.type, dims: [...shape], data: tensorArray(info.type, shape, buffer)};
    return tensor as Tensor<Inputs[Name]>;
  }

  /** What TensorRT's engine inspector tells. Throws UnsupportedError on the CPU backend. */
  layers(): EngineLayer[] {
    this.#checkOpen();
    return parseLayers(translated(() => this.#native.layerInformation()));
  }

  /**
   * Times the engine's layers with TensorRT's profiler, in runs on an execution context of its own: half of them without
   * the profiler, for what it costs. Other runs beside it make layers seem longer, and refits are refused meanwhile.
   * On the CPU backend layers are the nodes that ONNX Runtime makes of the model, all runs are with its profiler, and times
   * of nodes with graphs of their own hold those of the nodes in them.
   * Rejects with OptionError, FormatError for a `model` that cannot be read, CudaError, TensorrtError, AbortError,
   * TensorrtNodeError (ERR_BUSY, ERR_DISPOSED, ERR_BACKEND).
   */
  async profileLayers(
    inputs: {readonly [Name in keyof Inputs]: InputValue<Inputs[Name]>},
    options: ProfileLayersOptions = {},
  ): Promise<LayerProfile> {
    const {runs = 50, warmUp = 10, model, signal} = object('options', options);
    noOthers('options', options, ['runs', 'warmUp', 'model', 'signal']);
    integer('runs', runs, {min: 1, max: 100_000});
    integer('warmUp', warmUp, {min: 0, max: 100_000});
    if (model !== undefined && (typeof model !== 'string' || model === ''))
      throw new OptionError('model', 'the path of an ONNX file', model);
    throwIfAborted(abortSignal(signal));
    this.#checkOpen();
    const feeds = this.#check.tensors(inputs);
    const profiling = translated(() => this.#native.profileLayers(feeds, {runs, warmUp}));
    this.#profiling.add(profiling);
    const forget = signal && onAbort(signal, () => profiling.cancel());
    try {
      const times = await profiling.result;
      return layerProfile(times, await this.#nodeNames(model, times.information, signal));
    } catch (error) {
      if (signal?.aborted) throw new AbortError(signal.reason);
      this.#checkOpen();
      throw typed(error);
    } finally {
      this.#profiling.delete(profiling);
      forget?.();
    }
  }

  /** Activation memory of one execution context, weights that can be streamed, the number of layers. Sizes in bytes. */
  statistics(): {deviceMemoryBytes: number; streamableWeightsBytes: number; layers: number; refittable: boolean} {
    this.#checkOpen();
    const {deviceMemoryBytes, streamableWeightsBytes, layers, refittable} = translated(() => this.#native.info());
    return {deviceMemoryBytes, streamableWeightsBytes, layers, refittable};
  }

  /**
   * Takes the weights of another ONNX file of the same graph; for plans that were built to be refitted, and on the CPU.
   * Meanwhile runs wait or have either weights, and bindings may be refused with ERR_BUSY.
   */
  async refit(model: string): Promise<void> {
    if (typeof model !== 'string' || model === '') throw new OptionError('model', 'the path of an ONNX file', model);
    this.#checkOpen();
    await translated(() => this.#native.refit(model)).catch(rethrowTyped);
  }

  /**
   * Runs that wait end with ERR_DISPOSED, bindings are disposed of; resolves when the runs under way have ended and all
   * memory is back. More calls give the same promise.
   */
  dispose(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }

  async #close(): Promise<void> {
    const closed = translated(() => this.#native.dispose());
    for (const binding of this.#bindings) binding[Symbol.dispose]();
    for (const profiling of this.#profiling) profiling.cancel();
    await Promise.allSettled([...this.#profiling].map(({result}) => result));
    await closed.catch(rethrowTyped);
  }

  /** Read where the plan does not tell all origins, or the caller gives a model. */
  async #nodeNames(model: string | undefined, information: string, signal: AbortSignal | undefined): Promise<string[] | undefined> {
    if (model !== undefined) return nodeNames(model, signal);
    if (this.#model === undefined || !wantsNames(information)) return undefined;
    return nodeNamesIfThere(this.#model, signal);
  }

  #checkOpen(): void {
    if (this.#closing !== undefined) throw new TensorrtNodeError('ERR_DISPOSED', 'the engine was disposed');
  }
}
