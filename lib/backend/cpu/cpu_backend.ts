/** The backend for machines without a GPU: ONNX Runtime's CPU kernels on a thread of their own. */

import type {Worker} from 'node:worker_threads';

import {AbortError, TensorrtNodeError, throwIfAborted} from '../../errors.js';
import {fromPlainError} from '../../onnxruntime/plain_error.js';
import {createRunGuard} from '../../onnxruntime/run_guard.js';
import {startThread, threadFailed} from '../../onnxruntime/thread.js';
import {modelFileBytes} from '../../weights/model_file_bytes.js';
import type {Backend, BackendListener, BackendRequest, BackendRequestHandle, MemoryPart, ModelLimits} from '../backend.js';
import type {FromWorker, ToWorker, WorkerOptions} from './messages.js';

export interface CpuBackendOptions extends Omit<WorkerOptions, 'guard'> {
  /** Why the GPU that is there does not run the model: for the description. */
  unsupported?: string;
  signal?: AbortSignal;
}

interface PendingScore {
  resolve(logits: Float32Array): void;
  reject(error: Error): void;
}

export class CpuBackend implements Backend {
  readonly name = 'cpu';
  private nextId = 1;
  private readonly listeners = new Map<number, BackendListener>();
  private readonly scores = new Map<number, PendingScore>();
  private closing: Promise<void> | undefined;
  /** Why nothing can be asked of the worker any more. */
  private ended: Error | undefined;

  private constructor(
    private readonly worker: Worker,
    readonly limits: ModelLimits,
    readonly vocabSize: number,
    readonly description: string,
    private readonly weightsBytes: number,
  ) {
    worker.on('message', (message: FromWorker) => this.receive(message));
    worker.on('error', (cause) => this.end(threadFailed(cause)));
    worker.on('exit', () => this.end(new TensorrtNodeError('ERR_DISPOSED', 'the model was disposed')));
    // A model that is loaded and idle must not keep the process alive.
    worker.unref();
  }

  /** Throws FormatError or UnsupportedError for a model it cannot run, AbortError, TensorrtNodeError ERR_BACKEND. */
  static async load({signal, unsupported, ...options}: CpuBackendOptions): Promise<CpuBackend> {
    throwIfAborted(signal);
    const guard = createRunGuard();
    const workerData: WorkerOptions = {...options, guard};
    // What is wrong with the files the thread tells.
    const weightsBytes = await modelFileBytes(options.modelPath).catch(() => 0);
    // An abort from here on is heard while the thread loads.
    throwIfAborted(signal);
    const worker = startThread(new URL('./worker.js', import.meta.url), workerData, {name: 'tensorrt-node cpu', guard});
    const {vocabSize, version} = await ready(worker, signal);
    const {maxContext, maxBatch, threads, accuracyLevel, kvCacheType = 'auto'} = options;
    const rounding = accuracyLevel === 4 ? ', activations of quantised products rounded to 8 bits' : '';
    const cache = kvCacheType === 'auto' ? '' : `, keys and values rounded to ${kvCacheType}`;
    const description = `ONNX Runtime ${version} on the CPU, ${threads} thread${threads === 1 ? '' : 's'}${rounding}${cache}${unsupported === undefined ? '' : ` (not TensorRT: ${unsupported})`}`;
    return new CpuBackend(worker, {maxContext, maxBatch}, vocabSize, description, weightsBytes);
  }

  /** As large as the files: ONNX Runtime does not tell. */
  memory(): readonly MemoryPart[] {
    return this.ended === undefined ? [{what: 'weights', where: 'ram', bytes: this.weightsBytes}] : [];
  }

  submit(request: BackendRequest, listener: BackendListener): BackendRequestHandle {
    const id = this.nextId++;
    if (this.ended !== undefined) {
      const error = this.ended;
      queueMicrotask(() => listener.failed(error));
      return {consumed: () => {}, abort: () => {}};
    }
    this.listeners.set(id, listener);
    this.updateRef();
    this.send({kind: 'submit', id, request});
    // Steps are slow enough here for any consumer.
    return {consumed: () => {}, abort: () => this.send({kind: 'abort', id})};
  }

  createSequence(): number {
    const sequence = this.nextId++;
    this.send({kind: 'createSequence', sequence});
    return sequence;
  }

  forkSequence(sequence: number): number {
    const copy = this.nextId++;
    this.send({kind: 'forkSequence', sequence, copy});
    return copy;
  }

  disposeSequence(sequence: number): void {
    this.send({kind: 'disposeSequence', sequence});
  }

  score(tokens: Uint32Array): Promise<Float32Array> {
    if (this.ended !== undefined) return Promise.reject(this.ended);
    return new Promise((resolve, reject) => {
      const id = this.nextId++;
      this.scores.set(id, {resolve, reject});
      this.updateRef();
      this.send({kind: 'score', id, tokens});
    });
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.closing ??= this.close();
    return this.closing;
  }

  private async close(): Promise<void> {
    if (this.ended !== undefined) return;
    const exited = new Promise((resolve) => this.worker.once('exit', resolve));
    this.worker.ref();
    this.end(new TensorrtNodeError('ERR_DISPOSED', 'the model was disposed'));
    this.worker.postMessage({kind: 'close'} satisfies ToWorker);
    await exited;
  }

  private send(message: ToWorker): void {
    if (this.ended === undefined) this.worker.postMessage(message);
  }

  private receive(message: FromWorker): void {
    switch (message.kind) {
      case 'tokens':
        this.listeners.get(message.id)?.tokens(message.batch);
        return;
      case 'finished':
        this.takeListener(message.id)?.finished(message.reason, message.timings);
        return;
      case 'failed': {
        const error = fromPlainError(message.error);
        this.takeListener(message.id)?.failed(error);
        this.takeScore(message.id)?.reject(error);
        return;
      }
      case 'scored':
        this.takeScore(message.id)?.resolve(message.logits);
        return;
    }
  }

  private takeListener(id: number): BackendListener | undefined {
    const listener = this.listeners.get(id);
    this.listeners.delete(id);
    this.updateRef();
    return listener;
  }

  private takeScore(id: number): PendingScore | undefined {
    const score = this.scores.get(id);
    this.scores.delete(id);
    this.updateRef();
    return score;
  }

  /** Work under way keeps the process alive, as a pending read of a file does. */
  private updateRef(): void {
    // A request's last message may come while the worker closes, which `close` waits for.
    if (this.ended !== undefined) return;
    if (this.listeners.size + this.scores.size > 0) this.worker.ref();
    else this.worker.unref();
  }

  private end(error: Error): void {
    this.ended ??= error;
    const listeners = [...this.listeners.values()];
    const scores = [...this.scores.values()];
    this.listeners.clear();
    this.scores.clear();
    for (const listener of listeners) listener.failed(this.ended);
    for (const score of scores) score.reject(this.ended);
  }
}

/** Waits for the model to be loaded. On failure and abort the worker ends by itself. */
async function ready(worker: Worker, signal: AbortSignal | undefined): Promise<Extract<FromWorker, {kind: 'ready'}>> {
  const heard = new AbortController();
  try {
    return await new Promise((resolve, reject) => {
      const on = <T>(event: string, listener: (value: T) => void) => {
        worker.on(event, listener);
        heard.signal.addEventListener('abort', () => worker.off(event, listener));
      };
      on('error', (cause: Error) => reject(threadFailed(cause)));
      on('exit', () => reject(new TensorrtNodeError('ERR_BACKEND', "the CPU backend's thread ended while it loaded the model")));
      on('message', (message: FromWorker) => {
        if (message.kind === 'ready') resolve(message);
        else if (message.kind === 'loadFailed') reject(fromPlainError(message.error));
      });
      signal?.addEventListener('abort', () => reject(new AbortError(signal.reason)), {signal: heard.signal});
    });
  } catch (error) {
    // Not `terminate`: a thread that is torn down inside ONNX Runtime takes the process with it.
    worker.postMessage({kind: 'close'} satisfies ToWorker);
    worker.unref();
    worker.on('error', () => {});
    throw error;
  } finally {
    heard.abort();
  }
}
