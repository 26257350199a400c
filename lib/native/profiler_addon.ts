/** What the addon exports to see what the GPU does: activities of every stream of the process, collected by CUPTI. */

/** 'range': from the first to the last piece of work that was queued inside a range of ours. */
export type ActivityKind = 'kernel' | 'copy' | 'set' | 'graph' | 'synchronize' | 'range';

export type CopyDirection = 'toDevice' | 'toHost' | 'onDevice';

/** One thing that a stream did, or that the host waited for. */
export interface Activity {
  kind: ActivityKind;
  /** Nanoseconds since `performance.timeOrigin` of the thread that collects. */
  start: number;
  end: number;
  device: number;
  /** CUPTI's number of the stream; 0 for a wait for more than one stream. */
  stream: number;
  /** The name it was made with; undefined for streams of other libraries. */
  streamName?: string;
  /** Of kernels the function's, demangled; else what it is: 'copy to device', 'graph'. */
  name: string;
  /** Copied or set. */
  bytes?: number;
  direction?: CopyDirection;
  /** Whether the host's end of a copy is pageable memory, which does not overlap. */
  pageable?: boolean;
  /** The graph it is a launch or a node of. */
  graph?: number;
  /** The same for all that one call of the driver queued, such as the kernels of a launched graph. */
  correlation?: number;
  /** The number of the innermost range that the call was made in. */
  range?: number;
  /** Of kernels: blocks, threads of a block, shared memory of a block in bytes, registers of a thread. */
  grid?: [x: number, y: number, z: number];
  block?: [x: number, y: number, z: number];
  sharedBytes?: number;
  registers?: number;
}

/** Whatever has ended since the last one; in no order, as CUPTI hands over what a buffer holds. */
export interface ActivityBatch {
  activities: Activity[];
  /** Activities that were lost since the last batch, because nobody took them in time or CUPTI had no memory. */
  dropped: number;
}

export interface ProfilerAddon {
  /**
   * Collects from now on. One collection at a time in a process: ERR_BUSY. ERR_UNSUPPORTED without CUPTI, or where the
   * driver does not let this process profile.
   */
  startProfiler(options: NativeProfilerOptions): NativeProfilerInfo;
  /** Ends it, with what is under way waited for; what was collected can still be taken. More calls do nothing. */
  stopProfiler(): void;
  /** What has been collected since the last call; at most `maxActivities`, so call it until it gives none. */
  takeActivities(maxActivities: number): NativeActivities;
}

export interface NativeProfilerOptions {
  /** Candidates for libcupti, most wanted first: paths or bare names. */
  libraries: readonly string[];
  /** `performance.timeOrigin` in nanoseconds of the clock of `process.hrtime()`. */
  origin: number;
  /** Nodes of graphs one by one, which costs more, not each launch as one activity. */
  graphNodes: boolean;
  /** Activities held until they are taken; more are dropped, and counted. */
  maxActivities: number;
}

export interface NativeProfilerInfo {
  /** The candidate that was opened. */
  library: string;
  /** Of CUPTI: 130000 and up with CUDA 13. */
  version: number;
}

/** Activities as numbers: `packedActivity` says where which one is. */
export interface NativeActivities {
  records: ArrayBuffer;
  /** Names that are new, numbered on from those of earlier calls. */
  names: string[];
  dropped: number;
}
