/** Waits for a lock of a file, which the kernel frees when its holder dies. */

import {mkdir} from 'node:fs/promises';
import {dirname} from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';

import {AbortError, throwIfAborted} from '../../errors.js';
import type {NativeFileLock} from '../../native/engine_addon.js';
import {translated} from '../../native/errors.js';

export type TryLock = (path: string) => NativeFileLock | null;

const FIRST_PAUSE = 10;
const LONGEST_PAUSE = 200;

export interface LockOptions {
  signal?: AbortSignal;
  /** Called once, if somebody else holds it. */
  onWait?: () => void;
}

/** Throws AbortError, and what the system says where the file cannot be made. The empty file stays: removing it would let two hold it. */
export async function lockFile(tryLock: TryLock, path: string, {signal, onWait}: LockOptions = {}): Promise<Disposable> {
  await mkdir(dirname(path), {recursive: true});
  for (let pause = FIRST_PAUSE; ; pause = Math.min(pause * 2, LONGEST_PAUSE)) {
    throwIfAborted(signal);
    const lock = tryLockFile(tryLock, path);
    if (lock) return lock;
    if (pause === FIRST_PAUSE) onWait?.();
    await sleep(pause, undefined, {signal}).catch(() => {
      throw new AbortError(signal?.reason);
    });
  }
}

/** Null while somebody else holds it. The folder must exist. */
export function tryLockFile(tryLock: TryLock, path: string): Disposable | null {
  const lock = translated(() => tryLock(path));
  return lock && {[Symbol.dispose]: () => lock.release()};
}
