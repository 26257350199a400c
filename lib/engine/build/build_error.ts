/** A build that failed, with what TensorRT had to say. */

import {TensorrtNodeError} from '../../errors.js';

/** A line of TensorRT's log, or of whatever else the builder process wrote. */
export interface BuildLogLine {
  severity: 'internal-error' | 'error' | 'warning' | 'info' | 'verbose';
  message: string;
}

/** How the builder process ended by itself. */
export interface ProcessEnd {
  /** Its exit status, unless a signal ended it. */
  code: number | null;
  signal: NodeJS.Signals | null;
}

/**
 * TensorRT did not build the engine, or the process it ran in ended: this process is unharmed.
 * `cause` is the error of TensorRT, CUDA or the calibration batches, where there is one.
 */
export class BuildError extends TensorrtNodeError {
  override readonly name = 'BuildError';

  constructor(
    message: string,
    /** The last lines of the log, oldest first. */
    readonly log: readonly string[],
    /** Set where the process ended before it had an answer. */
    readonly process?: ProcessEnd,
    hint?: string,
    options?: ErrorOptions,
  ) {
    super('ERR_BUILD', message, hint, options);
  }
}

/** 'was ended by SIGSEGV, a segmentation fault'. */
export function describeEnd({code, signal}: ProcessEnd): string {
  if (signal === null) return `exited with status ${code}`;
  const meaning = SIGNALS[signal];
  return meaning === undefined ? `was ended by ${signal}` : `was ended by ${signal}, ${meaning}`;
}

const SIGNALS: Partial<Record<NodeJS.Signals, string>> = {
  SIGABRT: 'as when a library aborts',
  SIGSEGV: 'a segmentation fault',
  SIGBUS: 'a bus error',
  SIGFPE: 'an arithmetic error',
  SIGILL: 'an illegal instruction',
  SIGKILL: 'as the system does when memory runs out',
};
