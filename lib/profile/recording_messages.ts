/** What a recording's thread and the one that asked for it say to each other. */

import type {CardSpeeds, HostEvent} from './activity.js';
import type {PlainError} from './plain_error.js';

export interface RecorderOptions {
  file: string;
  maxBytes?: number;
  gpu?: boolean;
  cuptiPath?: string;
  graphNodes?: boolean;
  speeds?: CardSpeeds;
  /** Unix time in milliseconds of the clock's zero: `performance.timeOrigin` of the thread that asks. */
  timeOrigin: number;
  /** The same in nanoseconds of the clock of `process.hrtime()`. */
  origin: number;
}

export interface RecorderData {
  options: RecorderOptions;
  state: RecorderState;
}

/** Shared, as an exiting thread hears no messages. */
export type RecorderState = Int32Array<SharedArrayBuffer>;

/** Words of it: how many batches of events have been taken, and 1 once the file is closed. */
export const TAKEN = 0;
export const ENDED = 1;

export function createRecorderState(): RecorderState {
  return new Int32Array(new SharedArrayBuffer(2 * Int32Array.BYTES_PER_ELEMENT));
}

export interface ProfileResult {
  file: string;
  /** In the file. */
  events: number;
  /** That are not in the file: left out to keep within `maxBytes`, or lost. */
  dropped: number;
  /** Of these, events that came faster than they could be collected or written. */
  lost: number;
}

/** `dropped`: of the events since the last batch. */
export type ToRecorder = {kind: 'events'; events: readonly HostEvent[]; dropped: number} | {kind: 'stop'};

export type FromRecorder =
  | {kind: 'started'; problem: string | undefined}
  | {kind: 'stopped'; result: ProfileResult}
  /** Nothing follows. */
  | {kind: 'failed'; error: PlainError};
