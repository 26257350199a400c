import {describe, expect, it} from 'vitest';

import {philox, uniform} from './random.js';

describe('philox', () => {
  // The known answers that the authors' Random123 library is distributed with.
  it.each([
    [
      [0, 0, 0, 0],
      [0, 0],
      [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8],
    ],
    [
      [0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff],
      [0xffffffff, 0xffffffff],
      [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd],
    ],
    [
      [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
      [0xa4093822, 0x299f31d0],
      [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
    ],
  ] as const)('of counter %o and key %o gives the published words', (counter, key, words) => {
    expect(philox(counter, key)).toEqual(words);
  });
});

describe('uniform', () => {
  it('stays in [0, 1) and fills it evenly', () => {
    const counts = new Array<number>(16).fill(0);
    for (let position = 0; position < 16_000; position++) {
      const value = uniform(7, position);
      expect(value).toBeGreaterThanOrEqual(0);
      expect(value).toBeLessThan(1);
      counts[Math.floor(value * 16)]!++;
    }
    for (const count of counts) expect(Math.abs(count - 1000)).toBeLessThan(150);
  });

  it('depends on the seed and on the position', () => {
    expect(uniform(1, 5)).toBe(uniform(1, 5));
    expect(uniform(1, 5)).not.toBe(uniform(2, 5));
    expect(uniform(1, 5)).not.toBe(uniform(1, 6));
  });
});
