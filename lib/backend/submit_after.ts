/** A request that has to wait for something before its backend gets it. */

import {AbortError} from '../errors.js';
import type {BackendListener, BackendRequestHandle} from './backend.js';

/**
 * Calls `submit` once `wait` has resolved, with the milliseconds that took. An abort before that fires the signal, and
 * the request is told to be aborted; what else `wait` rejects with, the request fails with.
 */
export function submitAfter<T>(
  wait: (signal: AbortSignal) => Promise<T>,
  submit: (value: T, waited: number) => BackendRequestHandle,
  listener: BackendListener,
): BackendRequestHandle {
  const began = performance.now();
  const waiting = new AbortController();
  let handle: BackendRequestHandle | undefined;
  wait(waiting.signal).then(
    (value) => {
      handle = submit(value, performance.now() - began);
      if (waiting.signal.aborted) handle.abort();
    },
    (error: Error) => {
      if (!(error instanceof AbortError)) return listener.failed(error);
      listener.finished('aborted', {queue: performance.now() - began, prefill: 0, decode: 0, prefilledTokens: 0});
    },
  );
  return {
    consumed: (tokens) => handle?.consumed(tokens),
    abort: () => {
      waiting.abort();
      handle?.abort();
    },
  };
}

/** `listener`, for which the request began so many milliseconds earlier. */
export function afterWaiting(listener: BackendListener, waited: number): BackendListener {
  return {
    tokens: (batch) => listener.tokens(batch),
    finished: (reason, timings) => listener.finished(reason, {...timings, queue: timings.queue + waited}),
    failed: (error) => listener.failed(error),
  };
}
