import {mkdir, writeFile} from 'node:fs/promises';

import {expect, it} from 'vitest';

import {temporaryFolder} from '../../../test/support/temporary_folder.js';
import {readHost} from './host_reading.js';

const folder = temporaryFolder();

it('reads what the kernel tells', async () => {
  const root = folder('machine');
  await mkdir(`${root}/proc/self`, {recursive: true});
  await writeFile(`${root}/proc/meminfo`, 'MemTotal: 1000 kB\nMemAvailable: 400 kB\nSwapTotal: 300 kB\nSwapFree: 100 kB\n');
  await writeFile(`${root}/proc/self/status`, 'Name:\tnode\nVmRSS:\t     200 kB\nVmSwap:\t       5 kB\n');
  // A name that looks like fields.
  await writeFile(`${root}/proc/self/stat`, '77 (a) 1 2) S 1 77 77 0 -1 4194304 100 200 31 42 5 6 7 8 20 0 11 0 1 2 3\n');
  expect(readHost(root)).toEqual({
    totalBytes: 1_024_000,
    availableBytes: 409_600,
    limitBytes: 1_024_000,
    rssBytes: 204_800,
    swappedBytes: 5120,
    swapUsedBytes: 204_800,
    swapTotalBytes: 307_200,
    majorFaults: 31,
  });
});

it('reads this machine, and what it can without /proc', () => {
  const {rssBytes, majorFaults, availableBytes} = readHost();
  expect(rssBytes).toBeGreaterThan(1e7);
  expect(availableBytes).toBeGreaterThan(0);
  if (process.platform === 'linux') expect(majorFaults).toBeGreaterThanOrEqual(0);
  expect(readHost(folder('nothing'))).toMatchObject({majorFaults: undefined, swapUsedBytes: undefined});
  expect(readHost(folder('nothing')).rssBytes).toBeGreaterThan(1e7);
});
