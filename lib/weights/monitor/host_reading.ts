/** The host's memory as this process uses it, from /proc. */

import {readFileSync} from 'node:fs';
import {join} from 'node:path';
import {memoryUsage} from 'node:process';

import {type HostMemory, hostMemory, kibibytes} from '../host_memory.js';

/** Bytes, but for faults. */
export interface HostReading extends HostMemory {
  /** Of this process: resident, files mapped included. */
  rssBytes: number;
  /** Of this process, swapped out; undefined where /proc does not tell. */
  swappedBytes?: number;
  /** Of the machine: swap in use, and all there is. */
  swapUsedBytes?: number;
  swapTotalBytes?: number;
  /** Of this process since it began: pages that had to come from disk. */
  majorFaults?: number;
}

/** `root` stands for '/'. */
export function readHost(root = '/'): HostReading {
  const status = read(join(root, 'proc/self/status'));
  const meminfo = read(join(root, 'proc/meminfo'));
  const swapTotal = kibibytes(meminfo, 'SwapTotal');
  const swapFree = kibibytes(meminfo, 'SwapFree');
  return {
    ...hostMemory(root),
    rssBytes: kibibytes(status, 'VmRSS') ?? memoryUsage.rss(),
    swappedBytes: kibibytes(status, 'VmSwap'),
    swapUsedBytes: swapTotal !== undefined && swapFree !== undefined ? swapTotal - swapFree : undefined,
    swapTotalBytes: swapTotal,
    majorFaults: majorFaults(read(join(root, 'proc/self/stat'))),
  };
}

/** The twelfth field; the second is the program's name in brackets, which may hold anything. */
function majorFaults(stat: string | undefined): number | undefined {
  const field = stat?.slice(stat.lastIndexOf(')') + 2).split(' ')[9];
  return field !== undefined && /^\d+$/.test(field) ? Number(field) : undefined;
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
