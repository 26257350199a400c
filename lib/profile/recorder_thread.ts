/** The thread that writes a trace, as the thread that asked for it sees it: events go there in batches, bounded. */

import {Worker} from 'node:worker_threads';

import {TensorrtNodeError} from '../errors.js';
import type {HostEvent} from './activity.js';
import {fromPlainError} from './plain_error.js';
import {
  createRecorderState,
  ENDED,
  type FromRecorder,
  type ProfileResult,
  type RecorderData,
  type RecorderOptions,
  TAKEN,
  type ToRecorder,
} from './recording_messages.js';

const SEND_MILLISECONDS = 100;
/** Of events here and of those on their way; more are dropped, and counted. */
const MOST_EVENTS = 65_536;
/** What an exit waits for the file's end; a GPU that hangs must not keep the process. */
const EXIT_MILLISECONDS = 5000;

export class RecorderThread {
  readonly #worker: Worker;
  readonly #state = createRecorderState();
  #events: HostEvent[] = [];
  #dropped = 0;
  /** Events of the batch under way; there is one at a time. */
  #underWay = 0;
  #batches = 0;
  #timer: NodeJS.Timeout | undefined;
  readonly #started: Promise<string | undefined>;
  readonly #stopped: Promise<ProfileResult>;
  #over = false;

  private constructor(options: RecorderOptions) {
    const workerData: RecorderData = {options, state: this.#state};
    const worker = new Worker(new URL('./recording_worker.js', import.meta.url), {
      workerData,
      name: 'tensorrt-node recorder',
      // Not the flags of the process: --input-type, which comes with --eval, would keep a file from being run.
      execArgv: [],
    });
    this.#worker = worker;
    worker.once('exit', () => {
      this.#over = true;
    });
    this.#started = answer(worker, (message) => message.kind === 'started' && {value: message.problem});
    this.#stopped = answer(worker, (message) => message.kind === 'stopped' && {value: message.result});
    // Whoever stops the recording hears of it.
    this.#stopped.catch(() => {});
  }

  /** With why the GPU's activity is not recorded, where it is not. Rejects with what keeps the recording from beginning. */
  static async start(options: RecorderOptions): Promise<[RecorderThread, string | undefined]> {
    const thread = new RecorderThread(options);
    const problem = await thread.#started;
    // A recording must not keep the process alive.
    thread.#worker.unref();
    return [thread, problem];
  }

  add(event: HostEvent): void {
    if (this.#over) return;
    if (this.#events.length + this.#waiting() >= MOST_EVENTS) {
      this.#dropped++;
      return;
    }
    this.#events.push(event);
    this.#timer ??= setTimeout(() => this.#send(), SEND_MILLISECONDS).unref();
  }

  /** Ends the trace. Rejects with what could not be written. */
  stop(): Promise<ProfileResult> {
    this.#askToStop();
    this.#worker.ref();
    return this.#stopped;
  }

  /** The same for a thread that exits: blocks until the file is closed, for some seconds at most. */
  stopNow(): void {
    if (this.#over) return;
    this.#askToStop();
    Atomics.wait(this.#state, ENDED, 0, EXIT_MILLISECONDS);
  }

  #askToStop(): void {
    this.#post();
    this.#worker.postMessage({kind: 'stop'} satisfies ToRecorder);
  }

  /** Events that the other thread has been sent and not taken. */
  #waiting(): number {
    return Atomics.load(this.#state, TAKEN) === this.#batches ? 0 : this.#underWay;
  }

  #send(): void {
    this.#timer = undefined;
    // While that thread has not taken the last batch, the next one grows here.
    if (this.#waiting() > 0) this.#timer = setTimeout(() => this.#send(), SEND_MILLISECONDS).unref();
    else this.#post();
  }

  #post(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#events.length === 0 && this.#dropped === 0) return;
    const [events, dropped] = [this.#events, this.#dropped];
    [this.#events, this.#dropped] = [[], 0];
    this.#underWay = events.length;
    this.#batches++;
    this.#worker.postMessage({kind: 'events', events, dropped} satisfies ToRecorder);
  }
}

/** What the first message that `read` knows holds. Rejects with what the thread fails with. */
function answer<T>(worker: Worker, read: (message: FromRecorder) => {value: T} | false): Promise<T> {
  return new Promise((resolve, reject) => {
    worker.on('message', (message: FromRecorder) => {
      const known = read(message);
      if (known) resolve(known.value);
      else if (message.kind === 'failed') reject(fromPlainError(message.error));
    });
    worker.once('error', (cause) => reject(threadFailed(cause)));
    worker.once('exit', () => reject(threadFailed(new Error('it ended'))));
  });
}

function threadFailed(cause: Error): TensorrtNodeError {
  return new TensorrtNodeError('ERR_BACKEND', `the recording's thread failed: ${cause.message}`, undefined, {cause});
}
