import {describe, expect, it} from 'vitest';

import {byteSize} from './byte_size.js';

describe('byteSize', () => {
  it.each([
    [0, 0],
    [4096, 4096],
    ['4096', 4096],
    ['4GiB', 4 * 2 ** 30],
    ['1.5 GiB', 1.5 * 2 ** 30],
    ['500MB', 5e8],
    ['64 kB', 64_000],
    ['1TiB', 2 ** 40],
    ['0.1KiB', 102],
  ])('%s', (value, bytes) => {
    expect(byteSize('gpu', value)).toBe(bytes);
  });

  it.each([
    [-1],
    [1.5],
    [Number.NaN],
    [Infinity],
    [''],
    ['GiB'],
    ['4 gigs'],
    ['-4GiB'],
    ['4GiB or so'],
    ['9999999TiB'],
    [null],
    [undefined],
    [{}],
  ])('refuses %s', (value) => {
    expect(() => byteSize('gpu', value)).toThrow(expect.objectContaining({code: 'ERR_OPTION', option: 'gpu', value}));
  });
});
