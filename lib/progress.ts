/** How long work tells its caller where it stands. */

export interface Progress {
  /** What is being done now, in the field's words: 'read', 'convert', 'write', 'load', 'warm-up', … */
  phase: string;
  /** Units done so far in this phase. */
  done: number;
  /** Units in this phase, or undefined while unknown. */
  total?: number;
  /** What a unit is. */
  unit: 'bytes' | 'tensors' | 'steps' | 'tokens' | 'batches';
  /** Of phases in bytes, where it is known: how fast they have come since the phase began. */
  bytesPerSecond?: number;
  /** What the work is at, for people: a tensor's or a file's name. */
  detail?: string;
}

export type OnProgress = (progress: Progress) => void;
