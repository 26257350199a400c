/** What the addon exports to see what the GPU does: activities of every stream of the process, collected by CUPTI. */

/** 'graph': a launch of a graph as a whole. 'synchronize': the host waited. 'range': work of a step as a whole, where its kernels cannot be told. */
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
  /** The step that queued it: `CollectedStep.number`. */
  step?: number;
  /** Of that step. */
  phase?: string;
  /** The part of the model: 'prologue', 'layer 3', 'epilogue', 'sampling'. Of nodes of a graph where the launch is as it was captured. */
  layer?: string;
  /** Of kernels: blocks, threads of a block, shared memory of a block in bytes, registers of a thread. */
  grid?: [x: number, y: number, z: number];
  block?: [x: number, y: number, z: number];
  sharedBytes?: number;
  registers?: number;
}

export type StepPhase = 'prefill' | 'decode' | 'score';

/** What the host queued for one step of a model. */
export interface CollectedStep {
  /** From 1, in the process. */
  number: number;
  model: string;
  phase: StepPhase;
  /** Of queueing it: nanoseconds, as of activities. */
  start: number;
  end: number;
  /** Padding is not counted. */
  rows: number;
  /** Bytes of weights that its kernels read; what they read of keys and values is not counted. */
  bytesRead: number;
  /** By the scheduler's numbers, with the rows that each has in the step. */
  requests: {request: number; tokens: number}[];
}

/** Whatever has ended since the last one; in no order, as CUPTI hands over what a buffer holds. */
export interface ActivityBatch {
  activities: Activity[];
  /** Steps queued since; their activities come with later batches. */
  steps: CollectedStep[];
  /** Activities and steps that were lost since the last batch, because nobody took them in time or CUPTI had no memory. */
  dropped: number;
}

export interface ProfilerAddon {
  /**
   * Collects from now on, until `stopProfiler`, or until the thread that asked ends. One collection at a time in a
   * process: ERR_BUSY. ERR_UNSUPPORTED without CUPTI, or where the driver does not let this process profile.
   */
  startProfiler(options: NativeProfilerOptions): Promise<NativeProfiler>;
  /**
   * Ends it; what was collected can still be taken until another begins. Work that is under way is not waited for, and
   * counts as dropped. More calls do nothing.
   */
  stopProfiler(collection: NativeCollection): Promise<void>;
  /** The oldest that have been collected and not taken; at most `most`. New ones come about every 100 ms. */
  takeActivities(collection: NativeCollection, most: number): NativeActivities;
}

/** Stopped when it is collected as garbage. */
export type NativeCollection = object & {readonly __collection: unique symbol};

export interface NativeProfilerOptions {
  /** Candidates for libcupti, most wanted first: paths or bare names. The first that served stays for the whole process. */
  libraries: readonly string[];
  /** `performance.timeOrigin` in nanoseconds of the clock of `process.hrtime()`. */
  origin: number;
  /** Nodes of graphs one by one, which costs more; else each launch as one activity. */
  graphNodes: boolean;
  /** Which step each call was made in. */
  ranges: boolean;
  /** Without CUPTI: steps alone, as activities of the kind 'range', by events around their work. */
  byEvents: boolean;
  /** Activities held until they are taken; more are dropped, and counted. About 100 bytes each. */
  maxActivities: number;
}

export interface NativeProfiler {
  collection: NativeCollection;
  /** The library that is open. */
  library: string;
  /** Of CUPTI: 130001 is CUDA 13.0's; 18 to 99 are CUDA 12's. */
  version: number;
}

/** Activities as numbers; activities.ts reads them. */
export interface NativeActivities {
  records: ArrayBuffer;
  /** Names that are new, numbered on from those of earlier calls. */
  names: string[];
  /** Steps as numbers. */
  steps: ArrayBuffer;
  /** Of those steps. */
  models: string[];
  dropped: number;
}
