/** Ctrl-C, SIGTERM and a closed pipe as an AbortSignal, so that work ends by the same road as in a program. */

import {Interrupted} from './errors.js';

/** Runs `work`; the first signal aborts it, a second one ends the process at once. */
export async function withInterrupt<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController();
  const stop = (by: Interrupted['by']): void => controller.abort(new Interrupted(by));
  const onSignal = (name: NodeJS.Signals): void => {
    if (controller.signal.aborted) {
      // As the signal does when nobody handles it. `process.exit` would wait for a thread that may be at work.
      release();
      process.kill(process.pid, name);
    }
    stop(name as 'SIGINT' | 'SIGTERM');
  };
  const onError = (error: NodeJS.ErrnoException): void => {
    if (error.code === 'EPIPE') stop('EPIPE');
  };
  const release = (): void => {
    process.off('SIGINT', onSignal);
    process.off('SIGTERM', onSignal);
    process.stdout.off('error', onError);
  };
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);
  process.stdout.on('error', onError);
  try {
    return await work(controller.signal);
  } finally {
    release();
  }
}
