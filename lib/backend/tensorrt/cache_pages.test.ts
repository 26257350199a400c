import {expect, it} from 'vitest';

import {blockBytes, type CacheDemand, cachePages} from './cache_pages.js';

/** 1 MiB a page. */
const shape = {layers: 16, kvHeads: 4, headSize: 64, pageSize: 64};
const MIB = 2 ** 20;
const demand = (changes: Partial<CacheDemand>): CacheDemand => ({
  shape,
  maxBatch: 4,
  maxContext: 100,
  freeBytes: 80 * 2 ** 30,
  weightsBytes: 0,
  ...changes,
});

it('is enough for all sequences at their longest', () => {
  expect(cachePages(demand({}))).toBe(8);
});

it('is what fits beside the weights, an eighth of the memory left', () => {
  expect(cachePages(demand({freeBytes: 16 * MIB, weightsBytes: 8 * MIB}))).toBe(6);
});

it('leaves room for what blocks are rounded up to', () => {
  // 32 blocks of 32 KiB pages in 7.5 MiB: 240 KiB each, of which a block may have 224.
  expect(cachePages(demand({maxBatch: 8, freeBytes: 16 * MIB, weightsBytes: 6.5 * MIB}))).toBe(7);
});

it.each([
  [1, 512],
  [512, 512],
  [513, 1024],
  [4096, 4096],
  [4097, 5120],
  [7 * MIB + 1, 8 * MIB],
  [9 * MIB, 10 * MIB],
])('knows that %d bytes take %d', (bytes, taken) => {
  expect(blockBytes(bytes)).toBe(taken);
});

it('refuses where no sequence fits, and says why', () => {
  expect(() => cachePages(demand({freeBytes: 16 * MIB, weightsBytes: 13 * MIB}))).toThrow(
    expect.objectContaining({
      code: 'ERR_OUT_OF_MEMORY',
      message: expect.stringMatching(/16 MiB free: .*13 MiB of weights, 2 MiB of cache for 100 tokens.*smaller maxContext/),
    }),
  );
});
