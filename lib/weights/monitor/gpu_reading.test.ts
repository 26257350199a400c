import {describe, expect, it} from 'vitest';

import type {NativeDriver, NativeGpuMemory} from '../../native/addon.js';
import {type GpuMemoryAddon, readGpus} from './gpu_reading.js';

const READY: NativeDriver = {status: 'ready', path: 'libcuda.so.1', problem: '', hint: ''};
const MEMORY: NativeGpuMemory = {ordinal: 1, totalBytes: 100, usedBytes: 30, freeBytes: 70, receivedBytesPerSecond: 5};
const device = (ordinal: number, name: string) => ({
  ordinal,
  name,
  computeMajor: 9,
  computeMinor: 0,
  multiprocessors: 132,
  totalBytes: 100,
  pciBusId: `0000:0${ordinal}:00.0`,
});
const addon = (changes: Partial<GpuMemoryAddon> = {}): GpuMemoryAddon => ({
  loadDriver: () => READY,
  devices: () => [device(0, 'one'), device(1, 'other')],
  gpuMemory: async () => [MEMORY],
  ...changes,
});

describe('readGpus', () => {
  it('tells of those that tell, by name', async () => {
    expect(await readGpus(addon())).toEqual([{name: 'other', ...MEMORY}]);
  });

  it.each<[string, Partial<GpuMemoryAddon>, string]>([
    [
      'no driver',
      {loadDriver: () => ({...READY, status: 'library-missing', problem: 'libcuda.so.1 is missing'})},
      'libcuda.so.1 is missing',
    ],
    ['no GPU', {devices: () => []}, 'the driver sees no GPU'],
    ['none that tells', {gpuMemory: async () => []}, 'no GPU tells of its memory'],
    ['an old addon', {gpuMemory: undefined}, 'older than this package'],
    ['a reading that fails', {gpuMemory: async () => Promise.reject(new Error('the GPU is lost'))}, 'the GPU is lost'],
  ])('says why there is %s', async (_, changes, reason) => {
    expect(await readGpus(addon(changes))).toEqual(expect.objectContaining({reason: expect.stringContaining(reason)}));
  });
});
