import {describe, expect, it} from 'vitest';

import {cacheBytes, pageBytes, pagesIn} from './cache_pages.js';

/** 1 MiB a page. */
const shape = {layers: 16, kvHeads: 4, headSize: 64, pageSize: 64, kvCacheType: 'auto'} as const;
const MIB = 2 ** 20;

describe('pages', () => {
  it('are keys and values of all layers', () => {
    expect(pageBytes(shape)).toBe(MIB);
  });

  it('are a byte an element and four for the scale of each vector', () => {
    for (const kvCacheType of ['fp8', 'int8'] as const) expect(pageBytes({...shape, kvCacheType})).toBe((MIB / 128) * (64 + 4));
  });

  it('take memory that is mapped in pieces of 2 MiB', () => {
    expect(cacheBytes(shape, 8)).toBe(8 * MIB);
    expect(cacheBytes(shape, 9)).toBe(10 * MIB);
  });

  it('are as many as wanted, or as fit', () => {
    expect(pagesIn(shape, 100 * MIB, 8)).toBe(8);
    expect(pagesIn(shape, 6 * MIB, 8)).toBe(6);
    expect(pagesIn(shape, 7.5 * MIB, 8)).toBe(6);
    expect(pagesIn(shape, 0, 8)).toBe(0);
    expect(pagesIn(shape, -5 * MIB, 8)).toBe(0);
  });

  it('never take more than there is', () => {
    for (let bytes = 0; bytes < 40 * MIB; bytes += 333_333) {
      expect(cacheBytes(shape, pagesIn(shape, bytes, 64))).toBeLessThanOrEqual(bytes);
    }
  });
});
