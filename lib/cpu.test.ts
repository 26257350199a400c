import {describe, expect, it} from 'vitest';

import {cgroupCores, cpu} from './cpu.js';

function files(contents: Record<string, string>) {
  return (file: string) => contents[file];
}

describe('cgroupCores', () => {
  it.each<[string, Record<string, string>, number | undefined]>([
    ['no cgroups', {}, undefined],
    ['a folder that does not begin at the root', {'/proc/self/cgroup': '0::\n4:cpu:x/y\n'}, undefined],
    ['version 2 without a limit', {'/proc/self/cgroup': '0::/\n', '/sys/fs/cgroup/cpu.max': 'max 100000\n'}, undefined],
    ['version 2 in a container', {'/proc/self/cgroup': '0::/\n', '/sys/fs/cgroup/cpu.max': '150000 100000\n'}, 1.5],
    [
      'version 2, the tightest of the folders on the way up',
      {
        '/proc/self/cgroup': '0::/a/b\n',
        '/sys/fs/cgroup/a/cpu.max': '200000 100000\n',
        '/sys/fs/cgroup/a/b/cpu.max': '800000 100000\n',
      },
      2,
    ],
    [
      'version 1',
      {
        '/proc/self/cgroup': '5:memory:/x\n4:cpu,cpuacct:/x\n',
        '/sys/fs/cgroup/cpu/x/cpu.cfs_quota_us': '300000\n',
        '/sys/fs/cgroup/cpu/x/cpu.cfs_period_us': '100000\n',
      },
      3,
    ],
    [
      'version 1 without a limit',
      {
        '/proc/self/cgroup': '4:cpu,cpuacct:/\n',
        '/sys/fs/cgroup/cpu/cpu.cfs_quota_us': '-1\n',
        '/sys/fs/cgroup/cpu/cpu.cfs_period_us': '100000\n',
      },
      undefined,
    ],
  ])('%s', (_name, contents, cores) => {
    expect(cgroupCores(files(contents))).toBe(cores);
  });
});

describe('cpu', () => {
  it('reports at least a core and some memory', () => {
    const {cores, memoryBytes, model} = cpu();
    expect(cores).toBeGreaterThanOrEqual(1);
    expect(memoryBytes).toBeGreaterThan(2 ** 26);
    expect(model).not.toBe('');
  });
});
