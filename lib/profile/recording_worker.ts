/** A recording's thread: takes what the GPU did from the addon and writes the trace, so that the service's thread does neither. */

import {setImmediate as nextTurn} from 'node:timers/promises';
import {parentPort, workerData} from 'node:worker_threads';

import {defaultCacheFolder} from '../engine/build/cache_paths.js';
import {messageOf} from '../errors.js';
import type {NativeDeviceInfo} from '../native/addon.js';
import {GpuCollection} from '../native/gpu_collection.js';
import {loadAddon} from '../native/load.js';
import {keptGpuSpeeds} from '../weights/measured_speeds.js';
import type {CardSpeeds, TraceInfo} from './activity.js';
import {toPlainError} from './plain_error.js';
import {
  ENDED,
  type FromRecorder,
  type ProfileResult,
  type RecorderData,
  type RecorderOptions,
  type RecorderState,
  TAKEN,
  type ToRecorder,
} from './recording_messages.js';
import {stepEvent} from './steps.js';
import {TraceWriter} from './trace_writer.js';

const TAKE_MILLISECONDS = 50;

class Recorder {
  readonly #file: string;
  readonly #writer: TraceWriter;
  readonly #gpu: GpuCollection | undefined;
  readonly #timer: NodeJS.Timeout;
  #taking: Promise<void> | undefined;
  /** What the file could not be written for: the rest is dropped. */
  #failure: unknown;

  private constructor(
    file: string,
    writer: TraceWriter,
    gpu: GpuCollection | undefined,
    /** Why the GPU's activity is not recorded, where it is not. */
    readonly problem: string | undefined,
  ) {
    this.#file = file;
    this.#writer = writer;
    this.#gpu = gpu;
    this.#timer = setInterval(() => this.#takeOn(), TAKE_MILLISECONDS);
  }

  static async start(options: RecorderOptions): Promise<Recorder> {
    const {file, maxBytes, speeds, timeOrigin} = options;
    const [collection, problem] = await collect(options);
    try {
      const writer = new TraceWriter(file, {
        maxBytes,
        info: {...(await describe(collection, options)), timeOrigin, ...(speeds && {speeds})},
      });
      return new Recorder(file, writer, collection, problem);
    } catch (error) {
      await collection?.stop();
      throw error;
    }
  }

  add({events, dropped}: Extract<ToRecorder, {kind: 'events'}>): void {
    this.#write(() => {
      this.#writer.addLost(dropped);
      for (const event of events) this.#writer.addHostEvent(event);
    });
  }

  /** Throws what could not be written, once all that can be ended has. */
  async stop(): Promise<ProfileResult> {
    clearInterval(this.#timer);
    try {
      await this.#gpu?.stop();
      await this.#taking;
      await this.#take();
    } finally {
      this.#writer.close();
    }
    if (this.#failure !== undefined) throw this.#failure;
    const {events, dropped, lost} = this.#writer.state;
    return {file: this.#file, events, dropped, lost};
  }

  #takeOn(): void {
    this.#taking ??= this.#take().finally(() => {
      this.#taking = undefined;
    });
  }

  /** All that has been collected, with turns of the event loop in between for what the host did. */
  async #take(): Promise<void> {
    while (this.#takeOne() > 0) await nextTurn();
  }

  #takeOne(): number {
    const gpu = this.#gpu;
    let count = 0;
    if (gpu === undefined) return count;
    this.#write(() => {
      const {activities, steps, dropped} = gpu.takePacked();
      this.#writer.addLost(dropped);
      for (const step of steps) this.#writer.addHostEvent(stepEvent(step));
      this.#writer.addPacked(activities);
      count = activities.length;
    });
    return count;
  }

  #write(write: () => void): void {
    if (this.#failure !== undefined) return;
    try {
      write();
    } catch (error) {
      this.#failure = error;
      clearInterval(this.#timer);
      // Nobody would take what it collects. What fails here changes nothing for whoever hears of the first failure.
      void this.#gpu?.stop().catch(() => {});
    }
  }
}

async function collect(options: RecorderOptions): Promise<[GpuCollection | undefined, string | undefined]> {
  const {gpu, cuptiPath, graphNodes, origin} = options;
  if (gpu === false) return [undefined, 'not asked for'];
  try {
    const collection = await GpuCollection.start({cuptiPath, graphNodes, origin, orEvents: gpu !== true});
    return [collection, collection.problem];
  } catch (error) {
    if (gpu === true) throw error;
    return [undefined, messageOf(error)];
  }
}

async function describe(collection: GpuCollection | undefined, {graphNodes = false}: RecorderOptions): Promise<TraceInfo> {
  if (collection === undefined) return {source: 'host'};
  const gpu = loadAddon().addon?.devices()[0];
  const about = {device: gpu?.name, speeds: gpu && (await keptSpeeds(gpu))};
  if (collection.problem !== undefined) return {source: 'events', ...about};
  return {source: `CUPTI ${collection.version}`, graphNodes, ...about};
}

async function keptSpeeds({name, computeMajor, computeMinor}: NativeDeviceInfo): Promise<CardSpeeds | undefined> {
  const gpu = {name, computeCapability: `${computeMajor}.${computeMinor}`};
  const kept = await keptGpuSpeeds({folder: defaultCacheFolder(process.env), gpu});
  return kept && {memory: kept.weightReads, toDevice: kept.hostToDevice};
}

const port = parentPort!;
const {options, state} = workerData as RecorderData;

function send(message: FromRecorder): void {
  port.postMessage(message);
}

async function stop(recorder: Recorder, ended: RecorderState): Promise<void> {
  let message: FromRecorder;
  try {
    message = {kind: 'stopped', result: await recorder.stop()};
  } catch (error) {
    message = {kind: 'failed', error: toPlainError(error)};
  }
  send(message);
  // An exiting thread waits for this.
  Atomics.store(ended, ENDED, 1);
  Atomics.notify(ended, ENDED);
  port.close();
}

try {
  const recorder = await Recorder.start(options);
  let stopping = false;
  port.on('message', (message: ToRecorder) => {
    if (message.kind === 'events') {
      recorder.add(message);
      Atomics.add(state, TAKEN, 1);
    } else if (!stopping) {
      // An exit in the middle of a stop asks again.
      stopping = true;
      void stop(recorder, state);
    }
  });
  send({kind: 'started', problem: recorder.problem});
} catch (error) {
  send({kind: 'failed', error: toPlainError(error)});
  port.close();
}
