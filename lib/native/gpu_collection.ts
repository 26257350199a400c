/** Collects what the GPU does in this process, whoever makes it do so. */

import {OptionError, UnsupportedError} from '../errors.js';
import {ActivityReader, type PackedActivities, readSteps} from './activities.js';
import {cuptiCandidates} from './cupti_libraries.js';
import {rethrowTyped, translated, typed} from './errors.js';
import {requireDriver} from './find_device.js';
import {addonTooOld, requireAddon} from './load.js';
import type {ActivityBatch, NativeCollection, ProfilerAddon} from './profiler_addon.js';

export interface GpuCollectionOptions {
  /** libcupti's file; default: CUPTI_LIBRARY, else where CUDA and pip put it. The first that served stays for the whole process. */
  cuptiPath?: string;
  /** Kernels of launched graphs one by one; else a launch is one activity, which costs the GPU less. Default false. */
  graphNodes?: boolean;
  /** Activities held in memory until they are taken; more are dropped, and counted. About 100 bytes each. Default 262,144. */
  maxActivities?: number;
  /** Where there is no CUPTI that serves: collect steps alone, as activities of the kind 'range', by events around their work. Default false. */
  orEvents?: boolean;
  /** What times count from, in nanoseconds of the clock of `process.hrtime()`; default: `performance.timeOrigin` of this thread. */
  origin?: number;
}

/** Activities of one batch, so that no batch holds up the event loop for long. */
const mostAtOnce = 16_384;

export class GpuCollection {
  readonly #addon: ProfilerAddon;
  readonly #collection: NativeCollection;
  readonly #reader = new ActivityReader();

  private constructor(
    addon: ProfilerAddon,
    collection: NativeCollection,
    /** The libcupti that is open. */
    readonly library: string,
    /** CUPTI's version: 130001 is CUDA 13.0's. */
    readonly version: number,
    /** Why there are steps alone, where that is so; `library` is empty then. */
    readonly problem: string | undefined,
  ) {
    this.#addon = addon;
    this.#collection = collection;
  }

  /**
   * Collects from now on.
   * Rejects with ERR_UNSUPPORTED without CUPTI or the right to use it, ERR_BUSY while another collection of the process
   * is under way, ERR_CUDA without a driver.
   */
  static async start(options: GpuCollectionOptions = {}): Promise<GpuCollection> {
    const {cuptiPath, graphNodes = false, maxActivities = 262_144, orEvents = false, origin = originOfTimes()} = options;
    if (typeof graphNodes !== 'boolean') throw new OptionError('graphNodes', 'true or false', graphNodes);
    if (!Number.isInteger(maxActivities) || maxActivities < 1 || maxActivities > 2 ** 24) {
      throw new OptionError('maxActivities', `an integer from 1 to ${2 ** 24}`, maxActivities);
    }
    const addon = requireAddon();
    if (!hasProfiler(addon)) throw addonTooOld();
    requireDriver(addon);
    const libraries = cuptiCandidates(cuptiPath, addon.driverVersion().api);
    const wanted = {libraries, origin, graphNodes, ranges: true, byEvents: false, maxActivities};
    let problem: string | undefined;
    const started = await addon.startProfiler(wanted).catch((error: unknown) => {
      const failure = typed(error);
      if (!orEvents || !(failure instanceof UnsupportedError)) throw failure;
      problem = `steps are recorded as a whole, without their kernels and copies: ${failure.message}`;
      return addon.startProfiler({...wanted, byEvents: true}).catch(rethrowTyped);
    });
    const {collection, library, version} = started;
    return new GpuCollection(addon, collection, library, version, problem);
  }

  /** What has been collected and not taken, in no order; at most 16,384 activities. They come once their step is known, up to a second after they ended. */
  take(): ActivityBatch {
    const taken = translated(() => this.#addon.takeActivities(this.#collection, mostAtOnce));
    return {activities: this.#reader.read(taken), steps: readSteps(taken), dropped: taken.dropped};
  }

  /** The same, as the addon packs them. */
  takePacked(): Omit<ActivityBatch, 'activities'> & {activities: PackedActivities} {
    const taken = translated(() => this.#addon.takeActivities(this.#collection, mostAtOnce));
    return {activities: this.#reader.packed(taken), steps: readSteps(taken), dropped: taken.dropped};
  }

  /** Ends it; `take` then gives what is left, until an empty batch. Work under way is not waited for. More calls do nothing. */
  async stop(): Promise<void> {
    await this.#addon.stopProfiler(this.#collection).catch(rethrowTyped);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

function hasProfiler<T extends Partial<ProfilerAddon>>(addon: T): addon is T & ProfilerAddon {
  return addon.startProfiler !== undefined && addon.stopProfiler !== undefined && addon.takeActivities !== undefined;
}

/** `performance.timeOrigin` by the clock of `process.hrtime()`, in nanoseconds; both count by the same clock. */
export function originOfTimes(): number {
  // What lies between two readings can only make the difference larger, so the least is the best.
  const differences = Array.from({length: 5}, () => {
    const elapsed = performance.now() * 1e6;
    return Number(process.hrtime.bigint()) - elapsed;
  });
  return Math.round(Math.min(...differences));
}
