/** What a profile is made of: what the GPU did, and what the host did meanwhile, on one clock. */

import type {Activity as Collected} from '../native/profiler_addon.js';

/** Something that a stream did, or that the host waited for. */
export interface Activity extends Collected {
  /** 'prefill', 'decode', … Where it is not told, the innermost range of the stream around it that is no layer's tells it. */
  phase?: string;
  /** 'layer 3'. Where it is not told, the innermost range of the stream around it whose name begins with 'layer' tells it. */
  layer?: string;
}

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
}

/** A whole trace in memory. */
export interface Trace {
  info: TraceInfo;
  activities: Activity[];
  hostEvents: HostEvent[];
}
