/** What a profile is made of: what the GPU did, and what the host did meanwhile, on one clock. */

import type {Activity as Collected} from '../native/profiler_addon.js';

/**
 * Something that a stream did, or that the host waited for. Where phase and layer are not told, the innermost ranges of
 * the stream around it tell them: those whose names begin with 'layer' a layer, others a phase.
 */
export type Activity = Collected;

/** Something that the host did. Those of one track follow or enclose one another. */
export interface HostEvent {
  /** 'scheduler', 'tokenizer', 'gc', …; 'request 7' for a request's own. */
  track: string;
  name: string;
  /** Nanoseconds since `performance.timeOrigin`. */
  start: number;
  end: number;
  /** `bytesRead`: what the kernels of this event read from the GPU's memory, such as weights and keys and values. */
  args?: Readonly<Record<string, unknown>>;
}

/** What the card could do, in bytes a second. */
export interface CardSpeeds {
  memory?: number;
  toDevice?: number;
  toHost?: number;
}

/** What a trace says about where it comes from. */
export interface TraceInfo {
  /** 'NVIDIA H100 80GB HBM3'. */
  device?: string;
  speeds?: CardSpeeds;
  /** Unix time in milliseconds of the clock's zero. */
  timeOrigin?: number;
  /** Where activity comes from: 'CUPTI', 'events'. */
  source?: string;
  /** Whether kernels of graphs are told one by one; else a launch is one activity. */
  graphNodes?: boolean;
}

/** A whole trace in memory. */
export interface Trace {
  info: TraceInfo;
  activities: Activity[];
  hostEvents: HostEvent[];
}
