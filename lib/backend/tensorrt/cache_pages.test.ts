import {expect, it} from 'vitest';

import {type CacheDemand, cachePages} from './cache_pages.js';

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

it('refuses where no sequence fits, and says why', () => {
  expect(() => cachePages(demand({freeBytes: 16 * MIB, weightsBytes: 13 * MIB}))).toThrow(
    expect.objectContaining({
      code: 'ERR_OUT_OF_MEMORY',
      message: expect.stringMatching(/16 MiB free: .*13 MiB of weights, 2 MiB of cache for 100 tokens.*smaller maxContext/),
    }),
  );
});
