/** How fast this machine's link and disk are, measured beside what uses them. */

import {execFileSync} from 'node:child_process';

import {Device} from '../../dist/native/device.js';
import {median} from '../lib/results.mjs';

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

/** Bytes a second that dd gets of a file past the page cache, a read at a time. */
export function directReadSpeed(file, most = 8 * 2 ** 30) {
  const block = 16 * 2 ** 20;
  const start = performance.now();
  const told = execFileSync(
    'sh',
    ['-c', `LC_ALL=C dd if="$0" of=/dev/null bs=${block} count=${Math.ceil(most / block)} iflag=direct 2>&1`, file],
    {
      encoding: 'utf8',
    },
  );
  const seconds = (performance.now() - start) / 1000;
  const [, bytes] = /^(\d+) bytes/m.exec(told) ?? [];
  if (bytes === undefined) throw new Error(`dd said: ${told}`);
  return Number(bytes) / seconds;
}
