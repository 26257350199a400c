/**
 * Lets a process end while ONNX Runtime is at work on another thread.
 *
 * onnxruntime-node throws a C++ exception where it cannot make a JavaScript one, and a thread that is being torn down
 * can make none: a process that exits in the middle of a run would abort. So runs are counted in shared memory, and an
 * exiting thread forbids further ones and waits for the end of those under way, a step at most.
 */

import {atExit} from '../at_exit.js';

const FORBIDDEN = 0;
const ACTIVE = 1;

/** Longer than any step or load; what hangs must not keep the process. */
const EXIT_TIMEOUT_MS = 30_000;

/** Shared between the thread that runs and the one that may exit. */
export type RunGuard = Int32Array<SharedArrayBuffer>;

export function createRunGuard(): RunGuard {
  return new Int32Array(new SharedArrayBuffer(2 * Int32Array.BYTES_PER_ELEMENT));
}

/** On the running thread. Once runs are forbidden it never settles: the thread is about to end. */
export async function guardedRun<T>(guard: RunGuard, run: () => Promise<T>): Promise<T> {
  Atomics.add(guard, ACTIVE, 1);
  if (Atomics.load(guard, FORBIDDEN) === 1) {
    leave(guard);
    return new Promise<never>(() => {});
  }
  try {
    return await run();
  } finally {
    leave(guard);
  }
}

function leave(guard: RunGuard): void {
  Atomics.sub(guard, ACTIVE, 1);
  Atomics.notify(guard, ACTIVE);
}

/** On the exiting thread: blocks until no run is under way. */
export function forbidRuns(guard: RunGuard): void {
  Atomics.store(guard, FORBIDDEN, 1);
  for (let active = Atomics.load(guard, ACTIVE); active > 0; active = Atomics.load(guard, ACTIVE)) {
    if (Atomics.wait(guard, ACTIVE, active, EXIT_TIMEOUT_MS) === 'timed-out') return;
  }
}

/** Makes this thread's exit wait for `guard`'s runs, until the returned function is called. */
export function waitAtExit(guard: RunGuard): () => void {
  return atExit(() => forbidRuns(guard));
}
