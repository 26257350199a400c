import {execFile} from 'node:child_process';
import {mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {promisify} from 'node:util';

import {afterEach, beforeEach, describe, expect, it} from 'vitest';

import {openToRead, readWhole} from './whole_file.js';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tensorrt-node-file-'));
});
afterEach(() => rm(folder, {recursive: true}));

describe('readWhole', () => {
  it('reads in pieces, each told once', async () => {
    const bytes = Uint8Array.from({length: 10 * 1024 * 1024 + 3}, (_, index) => index * 31 + (index >> 12));
    await writeFile(join(folder, 'file'), bytes);
    await using handle = await openToRead(join(folder, 'file'));
    const pieces: Uint8Array[] = [];
    const whole = await readWhole(handle, bytes.length, (piece) => pieces.push(piece.slice()));
    expect(Buffer.compare(whole, bytes)).toBe(0);
    expect(pieces.length).toBeGreaterThan(2);
    expect(Buffer.compare(Buffer.concat(pieces), bytes)).toBe(0);
  });

  it('gives what there is of a file that ends before', async () => {
    await writeFile(join(folder, 'file'), 'abc');
    await using handle = await openToRead(join(folder, 'file'));
    expect(Buffer.from(await readWhole(handle, 5)).toString()).toBe('abc');
  });

  it('says that a file is too large', async () => {
    await writeFile(join(folder, 'file'), '');
    await using handle = await openToRead(join(folder, 'file'));
    await expect(readWhole(handle, Number.MAX_SAFE_INTEGER)).rejects.toMatchObject({
      code: 'ERR_OUT_OF_MEMORY',
      message: expect.stringContaining(`${Number.MAX_SAFE_INTEGER} bytes`),
    });
  });
});

it('opens a pipe that nobody writes to', async () => {
  await promisify(execFile)('mkfifo', [join(folder, 'pipe')]);
  await using handle = await openToRead(join(folder, 'pipe'));
  expect((await handle.stat()).isFile()).toBe(false);
});
