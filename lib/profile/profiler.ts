/** Records traces of this process: what the GPU did, whoever made it do so, and what the host did meanwhile. */

import {resolve} from 'node:path';

import {atExit} from '../at_exit.js';
import {OptionError, TensorrtNodeError, throwIfAborted} from '../errors.js';
import {type GpuCollectionOptions, originOfTimes} from '../native/gpu_collection.js';
import {onAbort} from '../on_abort.js';
import {abortSignal, integer, noOthers, number, object} from '../options.js';
import type {CardSpeeds} from './activity.js';
import {HostRecorder} from './host_recorder.js';
import {RecorderThread} from './recorder_thread.js';
import type {ProfileResult} from './recording_messages.js';
import {MIN_MAX_BYTES, type TraceWriterOptions} from './trace_writer.js';

export interface ProfileOptions extends Pick<TraceWriterOptions, 'maxBytes'>, Pick<GpuCollectionOptions, 'cuptiPath' | 'graphNodes'> {
  /** The trace to write; what is there is replaced. */
  file: string;
  /** true: fail where the GPU's activity cannot be collected. false: the host alone. Default: with the GPU's where that can be. */
  gpu?: boolean;
  /** What the card can do, in bytes a second, for summaries to say how much of that was reached. Default: as it was measured for a plan and kept in the cache folder. */
  speeds?: CardSpeeds;
  /** Stops the recording, as `stop` does. */
  signal?: AbortSignal;
}

export type {ProfileResult};

/** A trace that is being recorded, on a thread of its own. Leaves a whole file whenever the process exits. */
export class Recording implements AsyncDisposable {
  readonly #thread: RecorderThread;
  readonly #host: HostRecorder;
  readonly #offAtExit: () => void;
  readonly #offAbort: (() => void) | undefined;
  #stopped: Promise<ProfileResult> | undefined;

  /** Use `profiler.start`. */
  constructor(
    /** The file. */
    readonly file: string,
    thread: RecorderThread,
    /** Why the GPU's activity is not in the trace, where it is not. */
    readonly problem: string | undefined,
    signal: AbortSignal | undefined,
  ) {
    this.#thread = thread;
    this.#host = new HostRecorder((event) => thread.add(event));
    this.#offAtExit = atExit(() => {
      this.#host[Symbol.dispose]();
      thread.stopNow();
    });
    // Whoever waits for the end calls `stop` too, and hears of failures there.
    this.#offAbort = signal && onAbort(signal, () => void this.stop().catch(() => {}));
  }

  /** Ends the trace, with all that has ended on the GPU. More calls give the same. Rejects with FileError if it could not be written. */
  stop(): Promise<ProfileResult> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #stop(): Promise<ProfileResult> {
    this.#offAbort?.();
    this.#host[Symbol.dispose]();
    try {
      return {...(await this.#thread.stop()), file: this.file};
    } finally {
      this.#offAtExit();
      current = undefined;
    }
  }
}

let current: Recording | 'starting' | undefined;

export const profiler = {
  /**
   * Records from now on.
   * Rejects with ERR_BUSY while another recording is under way, AbortError, OptionError, FileError, and with `gpu: true` with what
   * GPU collection fails with.
   */
  async start(options: ProfileOptions): Promise<Recording> {
    const {file, gpu, maxBytes, cuptiPath, graphNodes, speeds, signal} = object('options', options);
    noOthers('options', options, ['file', 'gpu', 'maxBytes', 'cuptiPath', 'graphNodes', 'speeds', 'signal']);
    checkSpeeds(speeds);
    if (typeof file !== 'string' || file === '') throw new OptionError('file', 'a path', file);
    for (const [name, flag] of Object.entries({gpu, graphNodes})) {
      if (flag !== undefined && typeof flag !== 'boolean') throw new OptionError(name, 'true or false', flag);
    }
    if (cuptiPath !== undefined && (typeof cuptiPath !== 'string' || cuptiPath === '')) {
      throw new OptionError('cuptiPath', 'the path of libcupti', cuptiPath);
    }
    if (maxBytes !== undefined) integer('maxBytes', maxBytes, {min: MIN_MAX_BYTES});
    throwIfAborted(abortSignal(signal));
    if (current !== undefined) throw new TensorrtNodeError('ERR_BUSY', 'a trace is being recorded', 'stop that one first');
    current = 'starting';
    try {
      const clock = {timeOrigin: performance.timeOrigin, origin: originOfTimes()};
      const [thread, problem] = await RecorderThread.start({
        file: resolve(file),
        gpu,
        maxBytes,
        cuptiPath,
        graphNodes,
        speeds,
        ...clock,
      });
      current = new Recording(file, thread, problem, signal);
    } catch (error) {
      current = undefined;
      throw error;
    }
    if (signal?.aborted) await current.stop();
    return current as Recording;
  },

  /** Stops the recording that is under way; undefined where none is. */
  async stop(): Promise<ProfileResult | undefined> {
    return current === undefined || current === 'starting' ? undefined : current.stop();
  },
};

function checkSpeeds(speeds: CardSpeeds | undefined): void {
  if (speeds === undefined) return;
  noOthers('speeds', object('speeds', speeds), ['memory', 'toDevice', 'toHost']);
  for (const [name, speed] of Object.entries(speeds)) if (speed !== undefined) number(`speeds.${name}`, speed, {min: 1});
}
