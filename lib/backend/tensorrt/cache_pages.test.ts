import {describe, expect, it} from 'vitest';

import {blockBytes, cacheBytes, pagesIn} from './cache_pages.js';

/** 1 MiB a page: 32 blocks of 32 KiB. */
const shape = {layers: 16, kvHeads: 4, headSize: 64, pageSize: 64};
const MIB = 2 ** 20;

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

describe('pages', () => {
  it('take what their blocks are rounded up to', () => {
    expect(cacheBytes(shape, 8)).toBe(8 * MIB);
    expect(cacheBytes(shape, 9)).toBe(10 * MIB);
  });

  it('are as many as wanted, or as fit', () => {
    expect(pagesIn(shape, 100 * MIB, 8)).toBe(8);
    expect(pagesIn(shape, 6 * MIB, 8)).toBe(6);
    // 240 KiB a block, of which it may have 224.
    expect(pagesIn(shape, 7.5 * MIB, 8)).toBe(7);
    expect(pagesIn(shape, 0, 8)).toBe(0);
    expect(pagesIn(shape, -5 * MIB, 8)).toBe(0);
  });

  it('never take more than there is', () => {
    for (let bytes = 0; bytes < 40 * MIB; bytes += 333_333)
      expect(cacheBytes(shape, pagesIn(shape, bytes, 64))).toBeLessThanOrEqual(Math.max(bytes, 32 * 512));
  });
});
