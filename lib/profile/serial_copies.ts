/** Copies that ran while the device computed nothing, though it had work before and after. */

import type {Activity} from './activity.js';
import {Coverage, type Interval} from './intervals.js';

/** Copies alike: of one stream, in one direction. Times in nanoseconds. */
export interface SerialCopies {
  stream: string;
  name: string;
  direction?: Activity['direction'];
  count: number;
  bytes: number;
  /** In which they ran and nothing was computed. */
  idle: number;
  /** The one with the most of that. */
  worst: {start: number; end: number; bytes: number; idle: number};
}

const SMALL_BYTES = 64 * 2 ** 10;
const SMALL_SHARE = 0.01;

/**
 * `compute`: the union of all that the device computed. A copy counts if it lies between the first and the last of that, and
 * nothing was computed in at least half of it. Small ones are left out unless all of a stream together made it idle for 1% of the
 * time, as each step has some. Most idle first.
 */
export function findSerialCopies(copies: readonly Activity[], compute: readonly Interval[]): SerialCopies[] {
  const [first, last] = [compute[0], compute.at(-1)];
  if (first === undefined || last === undefined) return [];
  const coverage = new Coverage(compute);
  const groups = new Map<string, SerialCopies>();
  for (const copy of copies) {
    const {start, end, direction, name, bytes = 0, stream: number, streamName: stream = `stream ${number}`} = copy;
    const idle = end - start - coverage.within(copy);
    if (start < first.start || end > last.end || end === start || idle < (end - start) / 2) continue;
    const key = `${stream}\n${name}\n${direction}`;
    const worst = {start, end, bytes, idle};
    const group = groups.get(key);
    if (group === undefined) {
      groups.set(key, {stream, name, direction, count: 1, bytes, idle, worst});
    } else {
      group.count++;
      group.bytes += bytes;
      group.idle += idle;
      if (idle > group.worst.idle) group.worst = worst;
    }
  }
  const least = (last.end - first.start) * SMALL_SHARE;
  return [...groups.values()]
    .filter(({count, bytes, idle}) => bytes >= SMALL_BYTES * count || idle >= least)
    .sort((a, b) => b.idle - a.idle);
}
