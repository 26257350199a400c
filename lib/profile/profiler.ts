/** Records traces of this process: what the GPU did, whoever made it do so, and what the host did meanwhile. */

import {setImmediate as nextTurn} from 'node:timers/promises';

import {atExit} from '../at_exit.js';
import {messageOf, OptionError, TensorrtNodeError, throwIfAborted} from '../errors.js';
import {GpuCollection, type GpuCollectionOptions} from '../native/gpu_collection.js';
import {loadAddon} from '../native/load.js';
import {onAbort} from '../on_abort.js';
import {abortSignal, noOthers, number, object} from '../options.js';
import type {CardSpeeds, TraceInfo} from './activity.js';
import {HostRecorder} from './host_recorder.js';
import {TraceWriter, type TraceWriterOptions} from './trace_writer.js';

export interface ProfileOptions extends Pick<TraceWriterOptions, 'maxBytes'>, Pick<GpuCollectionOptions, 'cuptiPath' | 'graphNodes'> {
  /** The trace to write; what is there is replaced. */
  file: string;
  /** true: fail where the GPU's activity cannot be collected. false: the host alone. Default: with the GPU's where that can be. */
  gpu?: boolean;
  /** What the card can do, in bytes a second, for summaries to say how much of that was reached. */
  speeds?: CardSpeeds;
  /** Stops the recording, as `stop` does. */
  signal?: AbortSignal;
}

export interface ProfileResult {
  file: string;
  /** In the file. */
  events: number;
  /** That were lost, or left out to keep within `maxBytes`. */
  dropped: number;
}

const TAKE_MILLISECONDS = 100;

/** A trace that is being recorded. Leaves a whole file whenever the process exits. */
export class Recording implements AsyncDisposable {
  readonly #writer: TraceWriter;
  readonly #gpu: GpuCollection | undefined;
  readonly #host: HostRecorder;
  readonly #timer: NodeJS.Timeout;
  readonly #offAtExit: () => void;
  readonly #offAbort: (() => void) | undefined;
  #taking: Promise<void> | undefined;
  #failure: unknown;
  #stopped: Promise<ProfileResult> | undefined;

  /** Use `profiler.start`. */
  constructor(
    /** The file. */
    readonly file: string,
    writer: TraceWriter,
    gpu: GpuCollection | undefined,
    /** Why the GPU's activity is not in the trace, where it is not. */
    readonly problem: string | undefined,
    signal: AbortSignal | undefined,
  ) {
    this.#writer = writer;
    this.#gpu = gpu;
    this.#host = new HostRecorder((event) => this.#write(() => writer.addHostEvent(event)));
    this.#timer = setInterval(() => {
      this.#taking ??= this.#take().finally(() => {
        this.#taking = undefined;
      });
    }, TAKE_MILLISECONDS).unref();
    // Runs before the writer's own, which closes the file.
    this.#offAtExit = atExit(() => {
      while (this.#takeOne() > 0);
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
    clearInterval(this.#timer);
    this.#offAbort?.();
    try {
      await this.#gpu?.stop();
      await this.#taking;
      await this.#take();
    } finally {
      this.#host[Symbol.dispose]();
      this.#offAtExit();
      current = undefined;
      this.#writer.close();
    }
    if (this.#failure !== undefined) throw this.#failure;
    const {events, dropped} = this.#writer.state;
    return {file: this.file, events, dropped};
  }

  /** All that has been collected, with turns of the event loop in between. */
  async #take(): Promise<void> {
    while (this.#takeOne() > 0) await nextTurn();
  }

  #takeOne(): number {
    if (this.#gpu === undefined || this.#failure !== undefined) return 0;
    try {
      const {activities, dropped} = this.#gpu.take();
      if (dropped > 0) this.#writer.addLost(dropped);
      for (const activity of activities) this.#writer.add(activity);
      return activities.length;
    } catch (error) {
      this.#failure = error;
      return 0;
    }
  }

  /** What fails here is told by `stop`, not to whoever is observed. */
  #write(write: () => void): void {
    if (this.#failure !== undefined) return;
    try {
      write();
    } catch (error) {
      this.#failure = error;
    }
  }
}

let current: Recording | 'starting' | undefined;

export const profiler = {
  /**
   * Records from now on. Load models after this: of graphs that were captured earlier, CUPTI need not know the kernels.
   * Rejects with ERR_BUSY while another recording is under way, AbortError, OptionError, FileError, and with `gpu: true` with what
   * GPU collection fails with.
   */
  async start(options: ProfileOptions): Promise<Recording> {
    const {file, gpu, maxBytes, cuptiPath, graphNodes, speeds, signal} = object('options', options);
    noOthers('options', options, ['file', 'gpu', 'maxBytes', 'cuptiPath', 'graphNodes', 'speeds', 'signal']);
    checkSpeeds(speeds);
    if (typeof file !== 'string' || file === '') throw new OptionError('file', 'a path', file);
    if (gpu !== undefined && typeof gpu !== 'boolean') throw new OptionError('gpu', 'true or false', gpu);
    throwIfAborted(abortSignal(signal));
    if (current !== undefined) throw new TensorrtNodeError('ERR_BUSY', 'a trace is being recorded', 'stop that one first');
    current = 'starting';
    try {
      const [collection, problem] = await collect(gpu, {cuptiPath, graphNodes});
      try {
        const writer = new TraceWriter(file, {maxBytes, info: {...describe(collection), speeds}});
        current = new Recording(file, writer, collection, problem, signal);
      } catch (error) {
        await collection?.stop();
        throw error;
      }
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

async function collect(gpu: boolean | undefined, options: GpuCollectionOptions): Promise<[GpuCollection | undefined, string | undefined]> {
  if (gpu === false) return [undefined, 'not asked for'];
  try {
    return [await GpuCollection.start(options), undefined];
  } catch (error) {
    if (gpu === true || error instanceof OptionError) throw error;
    return [undefined, messageOf(error)];
  }
}

function describe(collection: GpuCollection | undefined): TraceInfo {
  const timeOrigin = performance.timeOrigin;
  if (collection === undefined) return {source: 'host', timeOrigin};
  return {source: `CUPTI ${collection.version}`, timeOrigin, device: loadAddon().addon?.devices()[0]?.name};
}

function checkSpeeds(speeds: CardSpeeds | undefined): void {
  if (speeds === undefined) return;
  noOthers('speeds', object('speeds', speeds), ['memory', 'toDevice', 'toHost']);
  for (const [name, speed] of Object.entries(speeds)) if (speed !== undefined) number(`speeds.${name}`, speed, {min: 1});
}
