import {writeFile} from 'node:fs/promises';

import {expect, it} from 'vitest';

import {temporaryFolder} from '../../test/support/temporary_folder.js';
import {diskSpeed} from './disk_speed.js';

const folder = temporaryFolder();

it('reads a file, and says whether the page cache had a part in it', async () => {
  const file = folder('weights');
  await writeFile(file, Buffer.alloc(40 * 2 ** 20, 7));
  const speed = await diskSpeed(file);
  expect(speed).toEqual({bytesPerSecond: expect.any(Number), direct: expect.any(Boolean)});
  expect(speed!.bytesPerSecond).toBeGreaterThan(0);
});

it('fills the memory that it is given', async () => {
  const file = folder('bytes');
  await writeFile(file, Buffer.alloc(32 * 2 ** 20, 7));
  const buffers: Uint8Array[] = [];
  const allocate = (bytes: number) => {
    const buffer = new Uint8Array(bytes);
    buffers.push(buffer);
    return buffer;
  };
  await diskSpeed(file, {allocate});
  expect(buffers.map((buffer) => buffer.at(-1))).toEqual([7, 7, 7, 7]);
});

it('cannot tell from a short file', async () => {
  const file = folder('short');
  await writeFile(file, Buffer.alloc(2 ** 20));
  expect(await diskSpeed(file)).toBeUndefined();
});

it('is stopped, and says what is wrong with a file', async () => {
  const file = folder('stopped');
  await writeFile(file, Buffer.alloc(40 * 2 ** 20));
  await expect(diskSpeed(file, {signal: AbortSignal.abort()})).rejects.toMatchObject({code: 'ERR_ABORTED'});
  await expect(diskSpeed(folder('none'))).rejects.toMatchObject({code: 'ENOENT'});
});
