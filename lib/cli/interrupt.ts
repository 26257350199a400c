/** Ctrl-C and SIGTERM as an AbortSignal, so that work ends by the same road as in a program. */

import {constants} from 'node:os';

import {Interrupted} from './errors.js';

/** Runs `work`; the first signal aborts it, a second one ends the process at once. */
export async function withInterrupt<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController();
  const onSignal = (name: NodeJS.Signals): void => {
    if (controller.signal.aborted) process.exit(128 + constants.signals[name]);
    controller.abort(new Interrupted(name as 'SIGINT' | 'SIGTERM'));
  };
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);
  try {
    return await work(controller.signal);
  } finally {
    process.off('SIGINT', onSignal);
    process.off('SIGTERM', onSignal);
  }
}
