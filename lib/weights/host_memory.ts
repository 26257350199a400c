/** Memory of the machine as this process may use it: the machine's own, and the limits of the control groups it is in. */

import {readFileSync} from 'node:fs';
import {freemem, totalmem} from 'node:os';
import {dirname, join} from 'node:path';

/** Bytes. */
export interface HostMemory {
  /** Of the machine. */
  totalBytes: number;
  /** What can be had without swapping: the machine's MemAvailable, or less where a control group has less left. */
  availableBytes: number;
  /** The most this process may ever have: the smallest limit of its control groups, or all of the machine's. */
  limitBytes: number;
  /** The control group whose limit that is; undefined where none limits it. */
  cgroup?: {path: string; limitBytes: number; usedBytes: number};
}

interface ControlGroup {
  path: string;
  limitBytes: number;
  usedBytes: number;
}

/** Of version 2 and version 1: the names of the same figures. */
const FILES = [
  {mount: '/sys/fs/cgroup', line: /^0::(.*)$/m, limit: 'memory.max', used: 'memory.current', cached: /^inactive_file (\d+)$/m},
  {
    mount: '/sys/fs/cgroup/memory',
    line: /^\d+:(?:[^:]*,)?memory(?:,[^:]*)?:(.*)$/m,
    limit: 'memory.limit_in_bytes',
    used: 'memory.usage_in_bytes',
    cached: /^total_inactive_file (\d+)$/m,
  },
] as const;

/** Reads it anew: a limit may be changed at any time. `root` stands for '/'. Takes some 100 microseconds. */
export function hostMemory(root = '/'): HostMemory {
  const meminfo = read(join(root, 'proc/meminfo'));
  const total = kibibytes(meminfo, 'MemTotal') ?? totalmem();
  const available = kibibytes(meminfo, 'MemAvailable') ?? freemem();
  const groups = controlGroups(root).filter(({limitBytes}) => limitBytes < total);
  const left = groups.map(({limitBytes, usedBytes}) => Math.max(0, limitBytes - usedBytes));
  const [tightest] = groups.sort((a, b) => a.limitBytes - b.limitBytes);
  return {
    totalBytes: total,
    availableBytes: Math.min(available, ...left),
    limitBytes: tightest?.limitBytes ?? total,
    ...(tightest === undefined ? {} : {cgroup: tightest}),
  };
}

/** Of a line of /proc/meminfo or /proc/self/status, which are in KiB; undefined where there is none. */
export function kibibytes(text: string | undefined, name: string): number | undefined {
  const found = text && new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(text);
  return found ? Number(found[1]) * 1024 : undefined;
}

/** Of this process, innermost first, those that can be seen from here. */
function controlGroups(root: string): ControlGroup[] {
  const membership = read(join(root, 'proc/self/cgroup')) ?? '';
  return FILES.flatMap(({mount, line, limit, used, cached}) => {
    const group = line.exec(membership)?.[1];
    if (group === undefined) return [];
    const groups: ControlGroup[] = [];
    // In a container its own group is often the mount itself, whatever path the kernel tells.
    for (let path = join('/', group); ; path = dirname(path)) {
      const folder = join(root, mount, path);
      const limitBytes = bytes(read(join(folder, limit)));
      const usedBytes = bytes(read(join(folder, used)));
      if (limitBytes !== undefined && usedBytes !== undefined) {
        // What files left in the cache goes when memory is wanted.
        const reclaimable = bytes(cached.exec(read(join(folder, 'memory.stat')) ?? '')?.[1]) ?? 0;
        groups.push({path: join(mount, path), limitBytes, usedBytes: Math.max(0, usedBytes - reclaimable)});
      }
      if (path === '/') return groups;
    }
  });
}

/** undefined for 'max', and for no file. */
function bytes(text: string | undefined): number | undefined {
  return text !== undefined && /^\d+$/.test(text.trim()) ? Number(text) : undefined;
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
