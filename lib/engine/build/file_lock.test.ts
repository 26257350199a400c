import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import {afterAll, beforeAll, describe, expect, it} from 'vitest';

import {lockFile, type TryLock} from './file_lock.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tensorrt-node-lock-'));
});
afterAll(() => rm(folder, {recursive: true}));

function memoryLocks(): {tryLock: TryLock; held: Set<string>} {
  const held = new Set<string>();
  return {
    held,
    tryLock: (path) => {
      if (held.has(path)) return null;
      held.add(path);
      return {release: () => void held.delete(path)};
    },
  };
}

describe('lockFile', () => {
  it('waits until the holder lets go, and says so once', async () => {
    const {tryLock, held} = memoryLocks();
    const path = join(folder, 'new', 'a.lock');
    const events: string[] = [];
    const first = await lockFile(tryLock, path);
    const second = lockFile(tryLock, path, {onWait: () => events.push('wait')}).then((lock) => {
      events.push('locked');
      return lock;
    });
    while (events.length === 0) await new Promise(setImmediate);
    events.push('release');
    first[Symbol.dispose]();
    (await second)[Symbol.dispose]();
    expect(events).toEqual(['wait', 'release', 'locked']);
    expect(held.size).toBe(0);
  });

  it('gives up with the signal', async () => {
    const {tryLock} = memoryLocks();
    const path = join(folder, 'b.lock');
    using _lock = await lockFile(tryLock, path);
    const controller = new AbortController();
    const reason = new Error('no more');
    const waiting = lockFile(tryLock, path, {signal: controller.signal, onWait: () => controller.abort(reason)});
    await expect(waiting).rejects.toMatchObject({code: 'ERR_ABORTED', cause: reason});
    await expect(lockFile(tryLock, path, {signal: AbortSignal.abort()})).rejects.toMatchObject({code: 'ERR_ABORTED'});
  });

  it('passes on what the system refuses', async () => {
    const refuse: TryLock = () => {
      throw Object.assign(new Error('EACCES'), {code: 'EACCES'});
    };
    await expect(lockFile(refuse, join(folder, 'c.lock'))).rejects.toMatchObject({code: 'EACCES'});
  });
});
