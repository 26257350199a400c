/** The processor and memory this process may use, limits of its container included. */

import {readFileSync} from 'node:fs';
import {availableParallelism, cpus, totalmem} from 'node:os';
import path from 'node:path';

export interface Cpu {
  model: string;
  /** Cores this process may use at once: those it may be scheduled on, and no more than its cgroup's share of time. */
  cores: number;
  /** Bytes this process may use: the machine's, and no more than its cgroup's limit. */
  memoryBytes: number;
}

export function cpu(): Cpu {
  // libuv counts the scheduler's mask always, cgroups only since 1.49 (Node 22.10).
  const cores = Math.min(availableParallelism(), cgroupCores(readText) ?? Infinity);
  const limit = process.constrainedMemory();
  return {
    model: cpus()[0]?.model.trim() ?? 'unknown',
    cores: Math.max(1, Math.ceil(cores)),
    // Without a limit some Node versions report 0 and some a number beyond any machine.
    memoryBytes: limit > 0 ? Math.min(limit, totalmem()) : totalmem(),
  };
}

/** The CPU time that the cgroup of this process gets, in cores; undefined without a limit. `read` gives a file's text or undefined. */
export function cgroupCores(read: (file: string) => string | undefined): number | undefined {
  const groups = (read('/proc/self/cgroup') ?? '').split('\n').map((line) => line.split(':'));
  const shares: number[] = [];
  // Version 2 has one hierarchy; a limit on any folder on the way up holds.
  for (const folder of upwards(groups.find(([id]) => id === '0')?.[2])) {
    const [quota, period] = (read(path.join('/sys/fs/cgroup', folder, 'cpu.max')) ?? 'max').trim().split(' ');
    if (quota !== 'max') shares.push(Number(quota) / Number(period));
  }
  for (const folder of upwards(groups.find(([, controllers]) => controllers?.split(',').includes('cpu'))?.[2])) {
    const quota = Number(read(path.join('/sys/fs/cgroup/cpu', folder, 'cpu.cfs_quota_us')) ?? -1);
    const period = Number(read(path.join('/sys/fs/cgroup/cpu', folder, 'cpu.cfs_period_us')));
    if (quota > 0) shares.push(quota / period);
  }
  return shares.length > 0 ? Math.min(...shares) : undefined;
}

function upwards(folder: string | undefined): string[] {
  if (folder === undefined) return [];
  const above = path.dirname(folder);
  return above === folder ? [folder] : [folder, ...upwards(above)];
}

function readText(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}
