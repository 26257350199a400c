import {mkdir, writeFile} from 'node:fs/promises';
import {dirname} from 'node:path';

import {describe, expect, it} from 'vitest';

import {temporaryFolder} from '../../test/support/temporary_folder.js';
import {hostMemory} from './host_memory.js';

const folder = temporaryFolder();
const MEMINFO = 'MemTotal:       16000000 kB\nMemFree:  1000 kB\nMemAvailable:    8000000 kB\n';

/** A machine whose files are these. */
async function machine(name: string, files: Record<string, string>): Promise<string> {
  for (const [path, text] of Object.entries({'proc/meminfo': MEMINFO, ...files})) {
    const file = folder(`${name}/${path}`);
    await mkdir(dirname(file), {recursive: true});
    await writeFile(file, text);
  }
  return folder(name);
}

describe('hostMemory', () => {
  it("is the machine's where nothing limits it", async () => {
    const root = await machine('plain', {'proc/self/cgroup': '0::/user.slice\n', 'sys/fs/cgroup/user.slice/memory.max': 'max\n'});
    expect(hostMemory(root)).toEqual({totalBytes: 16e6 * 1024, availableBytes: 8e6 * 1024, limitBytes: 16e6 * 1024});
  });

  it('is limited by the tightest group, a parent too, and by whichever has least left', async () => {
    const root = await machine('v2', {
      'proc/self/cgroup': '0::/slice/service\n',
      'sys/fs/cgroup/slice/service/memory.max': '4000000000\n',
      'sys/fs/cgroup/slice/service/memory.current': '1000000000\n',
      'sys/fs/cgroup/slice/memory.max': '6000000000\n',
      'sys/fs/cgroup/slice/memory.current': '5500000000\n',
      'sys/fs/cgroup/slice/memory.stat': 'anon 5\nactive_file 7\ninactive_file 400000000\n',
    });
    expect(hostMemory(root)).toEqual({
      totalBytes: 16e6 * 1024,
      availableBytes: 900_000_000,
      limitBytes: 4e9,
      cgroup: {path: '/sys/fs/cgroup/slice/service', limitBytes: 4e9, usedBytes: 1e9},
    });
  });

  it("reads version 1, where a container's group is the mount itself", async () => {
    const root = await machine('v1', {
      'proc/self/cgroup': '4:memory:/docker/abc\n0::/\n',
      'sys/fs/cgroup/memory/memory.limit_in_bytes': '3000000000\n',
      'sys/fs/cgroup/memory/memory.usage_in_bytes': '2000000000\n',
      'sys/fs/cgroup/memory/memory.stat': 'inactive_file 1\ntotal_inactive_file 500000000\n',
    });
    expect(hostMemory(root)).toMatchObject({availableBytes: 1.5e9, limitBytes: 3e9, cgroup: {usedBytes: 1.5e9}});
  });

  it('has no negative memory left, and takes no limit above the machine for one', async () => {
    const over = {'proc/self/cgroup': '0::/\n', 'sys/fs/cgroup/memory.max': '1000\n', 'sys/fs/cgroup/memory.current': '2000\n'};
    expect(hostMemory(await machine('over', over))).toMatchObject({availableBytes: 0, limitBytes: 1000});
    const wide = {...over, 'sys/fs/cgroup/memory.max': '9223372036854771712\n'};
    expect(hostMemory(await machine('wide', wide))).toEqual({totalBytes: 16e6 * 1024, availableBytes: 8e6 * 1024, limitBytes: 16e6 * 1024});
  });

  it('tells of this machine', () => {
    const {totalBytes, availableBytes, limitBytes} = hostMemory();
    expect(availableBytes).toBeGreaterThan(0);
    expect(availableBytes).toBeLessThanOrEqual(limitBytes);
    expect(limitBytes).toBeLessThanOrEqual(totalBytes);
  });

  it('makes do without the files', () => {
    expect(hostMemory(folder('nothing')).totalBytes).toBeGreaterThan(0);
  });
});
