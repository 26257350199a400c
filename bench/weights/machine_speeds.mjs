/** How fast this machine's link and disk are, measured beside what uses them. */

import {execFile} from 'node:child_process';
import {stat} from 'node:fs/promises';
import {promisify} from 'node:util';

import {Device} from '../../dist/native/device.js';
import {median} from '../lib/results.mjs';

const run = promisify(execFile);

/** Bytes a second of copies from pinned memory to the GPU, timed by its own events. */
export async function copySpeed(bytes = 256 * 2 ** 20, rounds = 20) {
  const device = Device.open(0);
  const stream = device.createStream('copy speed');
  const [start, end] = [device.createEvent({timing: true}), device.createEvent({timing: true})];
  const source = device.allocatePinned(bytes);
  const memory = device.allocate(bytes, stream);
  new Uint8Array(source.buffer).fill(1);
  const speeds = [];
  for (let round = -2; round < rounds; round++) {
    stream.record(start);
    stream.copyToDevice(memory, source);
    stream.record(end);
    await stream.done();
    if (round >= 0) speeds.push((1000 * bytes) / end.millisecondsSince(start));
  }
  for (const each of [memory, source, start, end, stream]) each.dispose();
  return median(speeds);
}

/** Bytes a second that dd gets of a file past the page cache: one, or several at once in parts of it, whichever is faster. */
export async function directReadSpeed(file, most = 8 * 2 ** 30) {
  const bytes = Math.min(most, (await stat(file)).size);
  const speeds = [];
  for (const readers of [1, 8]) speeds.push(await speedOfReaders(file, bytes, readers));
  return Math.max(...speeds);
}

async function speedOfReaders(file, bytes, readers) {
  const block = 16 * 2 ** 20;
  const count = Math.floor(bytes / block / readers);
  const start = performance.now();
  const read = await Promise.all(
    Array.from({length: readers}, async (_, index) => {
      const {stderr} = await run('dd', [
        `if=${file}`,
        'of=/dev/null',
        `bs=${block}`,
        `count=${count}`,
        `skip=${index * count}`,
        'iflag=direct',
      ]);
      const [, done] = /^(\d+) bytes/m.exec(stderr) ?? [];
      if (done === undefined) throw new Error(`dd said: ${stderr}`);
      return Number(done);
    }),
  );
  const seconds = (performance.now() - start) / 1000;
  return read.reduce((sum, each) => sum + each, 0) / seconds;
}
