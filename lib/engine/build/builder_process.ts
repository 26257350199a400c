/** Runs a builder process and makes of every way it can end a result or a typed error. */

import {type ChildProcess, fork} from 'node:child_process';
import {fileURLToPath} from 'node:url';

import {atExit} from '../../at_exit.js';
import {AbortError, messageOf, throwIfAborted, UnsupportedError} from '../../errors.js';
import type {NativeBuildRequest, NativeBuildResult, NativeEngineInfo} from '../../native/engine_addon.js';
import {typed} from '../../native/errors.js';
import {onAbort} from '../../on_abort.js';
import {BuildError, describeEnd} from './build_error.js';
import type {BuildLog} from './build_log.js';
import type {BatchSource} from './calibration/batch_source.js';
import type {FromBuilder, PlainError, ProgressEvent, ToBuilder} from './messages.js';

/** From a request to stop to the process's end by force, in milliseconds. */
const GRACE = 500;
/** From then until it is no longer waited for: the kernel may take a while to take a process off a GPU. */
const TAKEN_OFF = 300;
/** For an answered process to end by itself: tearing TensorRT down may hang. */
const FAREWELL = 5000;

export interface BuilderRun {
  request: NativeBuildRequest;
  /** The timing cache that takes what the build measured. */
  mergeTimingsInto?: string;
  log: BuildLog;
  /** What the calibrator is fed with. */
  batches?: BatchSource;
  onProgress(event: ProgressEvent): void;
  signal?: AbortSignal;
  /** The program to run; for tests. */
  program?: string;
}

export interface Built {
  result: NativeBuildResult;
  info: NativeEngineInfo;
  /** Why the timing cache could not be written. */
  timingsProblem?: string;
}

const PROGRAM = fileURLToPath(new URL('./child.js', import.meta.url));

/**
 * Resolves, or rejects, when the process is gone, or killed and as good as gone. Rejects with BuildError,
 * UnsupportedError for what the loaded TensorRT does not know, AbortError within a second of the signal.
 */
export async function runBuilder(run: BuilderRun): Promise<Built> {
  try {
    // One that has fired would not be heard of again.
    throwIfAborted(run.signal);
    return await new BuilderProcess(run).ended;
  } finally {
    await run.batches?.close();
  }
}

class BuilderProcess {
  readonly ended: Promise<Built>;
  readonly #run: BuilderRun;
  readonly #child: ChildProcess;
  #answer: FromBuilder | undefined;
  #reject!: (why: unknown) => void;
  /** Why it was stopped from this side. */
  #stopped: unknown;
  #timer: NodeJS.Timeout | undefined;

  constructor(run: BuilderRun) {
    this.#run = run;
    const {request, mergeTimingsInto, log, signal, program = PROGRAM} = run;
    // No execArgv: a debugger's port or a loader of the parent's is not the child's.
    this.#child = fork(program, [], {serialization: 'advanced', execArgv: [], stdio: ['ignore', 'pipe', 'pipe', 'ipc']});
    // A process that could not be started has none.
    for (const stream of [this.#child.stdout, this.#child.stderr]) if (stream) log.read(stream);
    // It would end by itself, but might write a little longer.
    const ended = atExit(() => this.#child.kill('SIGKILL'));
    const release = signal && onAbort(signal, () => this.#stop(new AbortError(signal.reason)));
    this.ended = new Promise<Built>((resolve, reject) => {
      this.#reject = reject;
      this.#child.on('error', (cause) => {
        // Reported also when a message could not be sent to a process that is ending, which 'close' follows.
        if (this.#child.pid === undefined)
          reject(new BuildError(`the builder process did not start: ${cause.message}`, [], undefined, undefined, {cause}));
      });
      this.#child.on('close', (code, end) => {
        try {
          resolve(this.#outcome(code, end));
        } catch (error) {
          reject(error);
        }
      });
    }).finally(() => {
      clearTimeout(this.#timer);
      ended();
      release?.();
    });
    this.#child.on('message', (message: FromBuilder) => this.#receive(message));
    this.#send({type: 'build', request, mergeTimingsInto});
  }

  #receive(message: FromBuilder): void {
    if (this.#stopped !== undefined) return;
    switch (message.type) {
      case 'progress':
        this.#run.onProgress(message.event);
        break;
      case 'batch-wanted':
        void this.#provideBatch();
        break;
      case 'built':
      case 'failed':
        this.#answer = message;
        this.#timer = setTimeout(() => this.#child.kill('SIGKILL'), FAREWELL);
        break;
    }
  }

  async #provideBatch(): Promise<void> {
    try {
      const batch = (await this.#run.batches?.next()) ?? null;
      if (this.#stopped === undefined) this.#send({type: 'batch', batch});
    } catch (cause) {
      const problem = messageOf(cause);
      this.#stop(new BuildError(`calibration failed: ${problem}`, this.#run.log.last, undefined, undefined, {cause}));
    }
  }

  #stop(why: unknown): void {
    if (this.#stopped !== undefined) return;
    this.#stopped = why;
    this.#send({type: 'cancel'});
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#child.kill('SIGKILL');
      this.#timer = setTimeout(() => {
        // What is left of it keeps nobody.
        for (const stream of [this.#child.stdout, this.#child.stderr]) stream?.destroy();
        this.#child.unref();
        this.#reject(why);
      }, TAKEN_OFF);
    }, GRACE);
  }

  #send(message: ToBuilder): void {
    // A process that has ended takes no messages; 'close' says how it ended.
    if (this.#child.connected) this.#child.send(message, () => {});
  }

  #outcome(code: number | null, signal: NodeJS.Signals | null): Built {
    if (this.#stopped !== undefined) throw this.#stopped;
    const {log} = this.#run;
    const answer = this.#answer;
    if (answer?.type === 'built') return answer;
    if (answer?.type === 'failed') throw failure(answer.error, log.last);
    const end = {code, signal};
    throw new BuildError(`the builder process ${describeEnd(end)}${lastWords(log.last)}`, log.last, end);
  }
}

function lastWords(log: readonly string[]): string {
  const last = log.at(-1);
  return last === undefined ? '' : `; it said last: ${last}`;
}

function failure(plain: PlainError, log: readonly string[]): Error {
  const cause = typed(Object.assign(new Error(plain.message), plain));
  if (cause instanceof UnsupportedError) return cause;
  return new BuildError(plain.message, log, undefined, plain.hint, {cause});
}
