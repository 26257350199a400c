import {expect, it} from 'vitest';

import {pinnableBytes} from './pinnable.js';

const GIB = 2 ** 30;

it('leaves an eighth, at most 4 GiB, to others', () => {
  expect(pinnableBytes({availableBytes: 8 * GIB})).toBe(7 * GIB);
  expect(pinnableBytes({availableBytes: 128 * GIB})).toBe(124 * GIB);
  expect(pinnableBytes({availableBytes: 0})).toBe(0);
  expect(pinnableBytes()).toBeGreaterThan(0);
});
