/** One thread of a CPU engine, seen from the thread that uses it: calls that are awaited, or waited for. */

import {MessageChannel, type MessagePort, receiveMessageOnPort, type Worker} from 'node:worker_threads';

import {AbortError, TensorrtNodeError, throwIfAborted} from '../../errors.js';
import {onAbort} from '../../on_abort.js';
import {fromPlainError} from '../../onnxruntime/plain_error.js';
import {createRunGuard} from '../../onnxruntime/run_guard.js';
import {startThread, threadFailed} from '../../onnxruntime/thread.js';
import type {FromThread, TensorMessage, ThreadData, ToThread} from './messages.js';

export interface ThreadOptions {
  modelPath: string;
  sha256?: string;
  threads: number;
  spinning: boolean;
  /** As in ThreadData. */
  profile?: string;
  signal?: AbortSignal;
}

interface Call {
  resolve(outputs: TensorMessage[]): void;
  reject(error: Error): void;
}

export type Ready = Extract<FromThread, {kind: 'ready'}>;

export class CpuThread {
  readonly #worker: Worker;
  readonly #port: MessagePort;
  readonly #sent: Int32Array<SharedArrayBuffer>;
  readonly #calls = new Map<number, Call>();
  #nextId = 1;
  /** Why nothing can be asked of the thread any more. */
  #ended: Error | undefined;
  #closing: Promise<void> | undefined;

  private constructor(worker: Worker, port: MessagePort, sent: Int32Array<SharedArrayBuffer>) {
    this.#worker = worker;
    this.#port = port;
    this.#sent = sent;
    port.on('message', (message: FromThread) => this.#receive(message));
    // An engine that is loaded and idle must not keep the process alive.
    port.unref();
    worker.on('error', (cause) => this.#end(threadFailed(cause)));
    worker.on('exit', () => {
      // The port's last messages may still be on their way.
      for (const message of received(port)) this.#receive(message);
      this.#end(disposed());
    });
  }

  /** Throws FormatError and UnsupportedError for models that ONNX Runtime or engines do not take, ERR_BACKEND, AbortError. */
  static async start({signal, ...options}: ThreadOptions): Promise<{thread: CpuThread; ready: Ready}> {
    throwIfAborted(signal);
    const guard = createRunGuard();
    const {port1: port, port2} = new MessageChannel();
    const sent = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
    const data: ThreadData = {...options, guard, sent, port: port2};
    const worker = startThread(new URL('./worker.js', import.meta.url), data, {
      name: 'tensorrt-node cpu engine',
      guard,
      transferList: [port2],
    });
    try {
      const ready = await firstMessage(worker, port, signal);
      worker.unref();
      return {thread: new CpuThread(worker, port, sent), ready};
    } catch (error) {
      // It ends by itself, after the load that is under way.
      port.postMessage({kind: 'close'} satisfies ToThread);
      port.unref();
      worker.unref();
      worker.on('error', () => {});
      throw error;
    }
  }

  /** The buffers are gone afterwards. */
  run(inputs: TensorMessage[]): Promise<TensorMessage[]> {
    return new Promise((resolve, reject) => this.#call({kind: 'run', id: this.#nextId++, inputs}, {resolve, reject}));
  }

  /** As run(), but blocks this thread; answers to other calls are taken in meanwhile. */
  runSync(inputs: TensorMessage[]): TensorMessage[] {
    let outcome: {outputs: TensorMessage[]} | {error: Error} | undefined;
    const call = {
      resolve: (outputs: TensorMessage[]) => {
        outcome = {outputs};
      },
      reject: (error: Error) => {
        outcome = {error};
      },
    };
    this.#call({kind: 'run', id: this.#nextId++, inputs}, call);
    while (outcome === undefined) {
      const sent = Atomics.load(this.#sent, 0);
      for (const message of received(this.#port)) this.#receive(message);
      if (outcome === undefined) Atomics.wait(this.#sent, 0, sent);
    }
    if ('error' in outcome) throw outcome.error;
    return outcome.outputs;
  }

  async refit(modelPath: string): Promise<void> {
    await new Promise<TensorMessage[]>((resolve, reject) => this.#call({kind: 'refit', id: this.#nextId++, modelPath}, {resolve, reject}));
  }

  /** Where the thread was started for a profile: it is written then. */
  async endProfiling(): Promise<void> {
    await new Promise<TensorMessage[]>((resolve, reject) => this.#call({kind: 'endProfiling', id: this.#nextId++}, {resolve, reject}));
  }

  /** Settles when the calls under way have ended, and the thread with them. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    if (this.#ended !== undefined) return;
    const exited = new Promise((resolve) => this.#worker.once('exit', resolve));
    this.#worker.ref();
    this.#port.postMessage({kind: 'close'} satisfies ToThread);
    await exited;
  }

  #call(message: Exclude<ToThread, {kind: 'close'}>, call: Call): void {
    if (this.#ended !== undefined || this.#closing !== undefined) {
      call.reject(this.#ended ?? disposed());
      return;
    }
    this.#calls.set(message.id, call);
    // A run under way keeps the process alive, as a pending read of a file does.
    this.#port.ref();
    this.#port.postMessage(message, message.kind === 'run' ? message.inputs.map(({buffer}) => buffer) : []);
  }

  #receive(message: FromThread): void {
    if (message.kind !== 'done' && message.kind !== 'failed') return;
    const call = this.#calls.get(message.id);
    this.#calls.delete(message.id);
    if (this.#calls.size === 0) this.#port.unref();
    if (message.kind === 'done') call?.resolve(message.outputs);
    else call?.reject(fromPlainError(message.error));
  }

  #end(error: Error): void {
    this.#ended ??= error;
    for (const call of this.#calls.values()) call.reject(this.#ended);
    this.#calls.clear();
    this.#port.close();
  }
}

export function disposed(): TensorrtNodeError {
  return new TensorrtNodeError('ERR_DISPOSED', 'the engine was disposed');
}

async function firstMessage(worker: Worker, port: MessagePort, signal: AbortSignal | undefined): Promise<Ready> {
  const heard: (() => void)[] = [];
  try {
    return await new Promise((resolve, reject) => {
      const onMessage = (message: FromThread) => {
        if (message.kind === 'ready') resolve(message);
        else if (message.kind === 'loadFailed') reject(fromPlainError(message.error));
      };
      const onError = (cause: Error) => reject(threadFailed(cause));
      const onExit = () => {
        for (const message of received(port)) onMessage(message);
        reject(new TensorrtNodeError('ERR_BACKEND', "the CPU backend's thread ended while it loaded the model"));
      };
      port.on('message', onMessage);
      worker.on('error', onError);
      worker.on('exit', onExit);
      heard.push(
        () => port.off('message', onMessage),
        () => worker.off('error', onError),
        () => worker.off('exit', onExit),
      );
      if (signal !== undefined) heard.push(onAbort(signal, () => reject(new AbortError(signal.reason))));
    });
  } finally {
    for (const stop of heard) stop();
  }
}

/** What waits in the port, without the event loop. */
function* received(port: MessagePort): Generator<FromThread> {
  for (let next = receiveMessageOnPort(port); next !== undefined; next = receiveMessageOnPort(port)) yield next.message as FromThread;
}
