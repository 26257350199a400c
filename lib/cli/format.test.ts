import {describe, expect, it} from 'vitest';

import {formatBytes, formatDuration} from './format.js';

describe('formatBytes', () => {
  it.each([
    [0, '0 B'],
    [999, '999 B'],
    [1000, '1.0 kB'],
    [98_362_432, '98.4 MB'],
    [999_960_000, '1.0 GB'],
    [3_000_000_000_000_000, '3000.0 TB'],
  ])('%d', (bytes, text) => expect(formatBytes(bytes)).toBe(text));
});

describe('formatDuration', () => {
  it.each([
    [0.4, '0 ms'],
    [999, '999 ms'],
    [999.6, '1.00 s'],
    [9994, '9.99 s'],
    [12_340, '12.3 s'],
    [125_000, '2 min 5 s'],
  ])('%d', (milliseconds, text) => expect(formatDuration(milliseconds)).toBe(text));
});
