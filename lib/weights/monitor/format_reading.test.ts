import {expect, it} from 'vitest';

import {formatReading} from './format_reading.js';
import type {MemoryReading} from './memory_monitor.js';

const GIB = 2 ** 30;
const READING: MemoryReading = {
  time: 0,
  gpus: [
    {
      name: 'H100',
      ordinal: 0,
      totalBytes: 80 * GIB,
      usedBytes: 20 * GIB,
      freeBytes: 60 * GIB,
      receivedBytesPerSecond: 3 * GIB,
      sentBytesPerSecond: 0,
    },
  ],
  host: {
    totalBytes: 128 * GIB,
    limitBytes: 64 * GIB,
    availableBytes: 32 * GIB,
    cgroup: {path: '/sys/fs/cgroup/service', limitBytes: 64 * GIB, usedBytes: 32 * GIB},
    rssBytes: 2 * GIB,
    swappedBytes: GIB,
    swapUsedBytes: GIB,
    swapTotalBytes: 4 * GIB,
    majorFaults: 12,
  },
  majorFaultsPerSecond: 0.25,
  pinnedBytes: 16 * GIB,
  holders: [{name: 'chat-8b', what: 'weights', where: 'gpu', bytes: 15 * GIB}],
  shares: {gpu: 0.25, ram: 0.5},
};

it('says all in lines', () => {
  expect(formatReading(READING)).toBe(
    `GPU 0         20.0 GiB of 80.0 GiB (25%) in use, 60.0 GiB free, PCIe in 3.00 GiB/s, out 0 B/s, H100
RAM           32.0 GiB of 64.0 GiB (50%) in use, 32.0 GiB available
Process       2.00 GiB resident, 16.0 GiB pinned, 1.00 GiB swapped out
Limit         64.0 GiB, of /sys/fs/cgroup/service
Swap          1.00 GiB of 4.00 GiB (25%) in use
Major faults  12, 0.3 a second
chat-8b       15.0 GiB of weights in VRAM
`,
  );
});

it('leaves out what nobody tells, and says why', () => {
  const {totalBytes, availableBytes, limitBytes, rssBytes} = READING.host;
  const host = {totalBytes, availableBytes, limitBytes, rssBytes, swapTotalBytes: 0, swapUsedBytes: 0};
  expect(formatReading({...READING, gpus: undefined, gpuMissing: {reason: 'no driver'}, host, holders: []})).toBe(
    `GPU      not read: no driver
RAM      32.0 GiB of 64.0 GiB (50%) in use, 32.0 GiB available
Process  2.00 GiB resident, 16.0 GiB pinned
`,
  );
});
