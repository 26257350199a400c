/** What the addon's engine is, on the CPU: an ONNX model on as many threads as there are contexts. */

import {AbortError, UnsupportedError} from '../../errors.js';
import type {
  NativeBinding,
  NativeEngine,
  NativeEngineInfo,
  NativeLayerProfiling,
  NativeRun,
  NativeTensorData,
  NativeTensorInfo,
} from '../../native/engine_addon.js';
import {CpuBinding} from './cpu_binding.js';
import type {ModelTensor, TensorMessage} from './messages.js';
import {nodeTimes} from './node_times.js';
import {CpuThread, disposed, type ThreadOptions} from './thread.js';

export interface CpuEngineOptions {
  name: string;
  modelPath: string;
  /** Refuses a model with another hash. */
  sha256?: string;
  /** Of inputs, by name: what a plan of the same model takes. None: any shape that the model does. */
  profiles?: ReadonlyMap<string, NativeTensorInfo['profiles']>;
  /** Runs that are under way at once, each on a thread of its own. */
  contexts: number;
  /** ONNX Runtime's threads for all of them together. */
  threads: number;
  signal?: AbortSignal;
}

interface Job {
  inputs: TensorMessage[];
  resolve(outputs: TensorMessage[]): void;
  reject(error: unknown): void;
}

export class CpuEngine implements NativeEngine {
  readonly #info: NativeEngineInfo;
  readonly #threads: readonly CpuThread[];
  readonly #idle: CpuThread[];
  /** What its threads run. */
  #session: ThreadOptions;
  readonly #waiting = new Set<Job>();
  #disposed: Promise<void> | undefined;

  private constructor(
    info: NativeEngineInfo,
    threads: readonly CpuThread[],
    session: ThreadOptions,
    /** For people: what runs it. */
    readonly description: string,
  ) {
    this.#info = info;
    this.#threads = threads;
    this.#session = session;
    this.#idle = [...threads];
  }

  /** Throws FormatError, UnsupportedError, TensorrtNodeError (ERR_BACKEND), AbortError. */
  static async load({name, modelPath, sha256, profiles, contexts, threads, signal}: CpuEngineOptions): Promise<CpuEngine> {
    const each = Math.max(1, Math.floor(threads / contexts));
    const session = {modelPath, threads: each, spinning: contexts === 1};
    const start = (more = {}) => CpuThread.start({...session, signal, ...more});
    // Alone, so that a model that does not load is read once.
    const first = await start({sha256});
    const others = await Promise.allSettled(Array.from({length: contexts - 1}, () => start()));
    const started = [first, ...others.flatMap((other) => (other.status === 'fulfilled' ? [other.value] : []))].map(({thread}) => thread);
    for (const other of others) {
      if (other.status === 'fulfilled') continue;
      await Promise.all(started.map((thread) => thread.close()));
      throw other.reason;
    }
    const {inputs, outputs, version} = first.ready;
    const counts = contexts === 1 ? `${each} ${plural('thread', each)}` : `${contexts} contexts of ${each} ${plural('thread', each)}`;
    return new CpuEngine(infoOf(name, inputs, outputs, profiles), started, session, `ONNX Runtime ${version} on the CPU, ${counts}`);
  }

  info(): NativeEngineInfo {
    return this.#info;
  }

  layerInformation(): string {
    throw new UnsupportedError('the CPU backend has no layers to tell of', 'a plan has: load it on TensorRT');
  }

  /** Of ONNX Runtime's nodes, in a session of their own. */
  profileLayers(inputs: readonly NativeTensorData[], {runs, warmUp}: {runs: number; warmUp: number}): NativeLayerProfiling {
    if (this.#disposed !== undefined) throw disposed();
    const kept = inputs.map(copyOf);
    let cancelled = false;
    const result = nodeTimes({
      ...this.#session,
      runs,
      warmUp,
      inputs: () => kept.map(({dims, buffer}) => ({dims, buffer: buffer.slice(0)})),
      stopped: () => cancelled,
    });
    return {
      result,
      cancel: () => {
        cancelled = true;
      },
    };
  }

  run(inputs: readonly NativeTensorData[]): NativeRun {
    let cancel = () => {};
    const result = new Promise<TensorMessage[]>((resolve, reject) => {
      if (this.#disposed !== undefined) throw disposed();
      const job: Job = {inputs: inputs.map(copyOf), resolve, reject};
      this.#waiting.add(job);
      cancel = () => {
        this.#waiting.delete(job);
        // Of a run under way the result is dropped: this settles the promise first.
        reject(new AbortError());
      };
      this.#next();
    });
    return {result: result as NativeRun['result'], cancel};
  }

  /** Runs once, since nothing else tells the shapes of outputs. */
  bind(dims: readonly (readonly number[])[]): NativeBinding {
    if (this.#disposed !== undefined) throw disposed();
    return new CpuBinding(this, this.#info.tensors, dims);
  }

  /** On any thread, behind what it is at; blocks until it is done. */
  runSync(inputs: readonly NativeTensorData[]): TensorMessage[] {
    if (this.#disposed !== undefined) throw disposed();
    return (this.#idle.at(-1) ?? this.#threads[0]!).runSync(inputs.map(copyOf));
  }

  async refit(model: string): Promise<void> {
    if (this.#disposed !== undefined) throw disposed();
    // The first alone: a model that does not fit changes nothing.
    const [first, ...others] = this.#threads;
    await first!.refit(model);
    await Promise.all(others.map((thread) => thread.refit(model)));
    this.#session = {...this.#session, modelPath: model};
  }

  dispose(): Promise<void> {
    this.#disposed ??= this.#dispose();
    return this.#disposed;
  }

  async #dispose(): Promise<void> {
    for (const job of this.#waiting) job.reject(disposed());
    this.#waiting.clear();
    await Promise.all(this.#threads.map((thread) => thread.close()));
  }

  #next(): void {
    while (this.#idle.length > 0) {
      const [job] = this.#waiting;
      if (job === undefined) return;
      this.#waiting.delete(job);
      void this.#start(this.#idle.pop()!, job);
    }
  }

  async #start(thread: CpuThread, job: Job): Promise<void> {
    try {
      job.resolve(await thread.run(job.inputs));
    } catch (error) {
      job.reject(error);
    } finally {
      this.#idle.push(thread);
      this.#next();
    }
  }
}

function infoOf(
  name: string,
  inputs: readonly ModelTensor[],
  outputs: readonly ModelTensor[],
  profiles: CpuEngineOptions['profiles'] = new Map(),
): NativeEngineInfo {
  const tensor = (mode: 'input' | 'output', {name: own, type, dims}: ModelTensor): NativeTensorInfo => {
    const ranges = mode === 'input' ? (profiles.get(own) ?? []) : [];
    const isShapeTensor = ranges.some(({values}) => values !== undefined);
    return {name: own, mode, type, dims, location: 'host', isShapeTensor, profiles: ranges};
  };
  return {
    name,
    tensors: [...inputs.map((each) => tensor('input', each)), ...outputs.map((each) => tensor('output', each))],
    profiles: Math.max(0, ...[...profiles.values()].map(({length}) => length)),
    layers: 0,
    deviceMemoryBytes: 0,
    streamableWeightsBytes: 0,
    refittable: true,
    hardwareCompatibility: 'none',
  };
}

/** What is sent to a thread is taken away here, and callers keep theirs. */
function copyOf({buffer, byteOffset, byteLength, dims}: NativeTensorData): TensorMessage {
  return {dims, buffer: buffer.slice(byteOffset, byteOffset + byteLength)};
}

function plural(word: string, count: number): string {
  return count === 1 ? word : `${word}s`;
}
