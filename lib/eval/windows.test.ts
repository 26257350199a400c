import {describe, expect, it} from 'vitest';

import {windowsOf} from './windows.js';

const tokensOf = (count: number) => Uint32Array.from({length: count}, (_, index) => 100 + index);

describe('windowsOf', () => {
  it.each([
    [10, 4, 4],
    [10, 4, 1],
    [10, 4, 3],
    [9, 8, 5],
    [2, 4, 2],
    [5, 4, 4],
    [64, 16, 8],
  ])('scores each of %i tokens but the first once, windows of %i, stride %i', (count, window, stride) => {
    const tokens = tokensOf(count);
    const windows = windowsOf(tokens, {window, stride});
    expect(windows.flatMap(({targets, firstScored}) => [...targets.subarray(firstScored)])).toEqual([...tokens.subarray(1)]);
    for (const [index, {input, targets, firstScored}] of windows.entries()) {
      expect(input.length).toBeLessThanOrEqual(window);
      // After each token of the input comes the text's next one.
      expect([...targets]).toEqual([...input].map((token) => token + 1));
      if (index > 0) expect(firstScored).toBeGreaterThanOrEqual(window - stride);
    }
  });

  it('begins each window with the token that begins texts', () => {
    const windows = windowsOf(Uint32Array.of(1, 10, 11, 12, 13, 14), {window: 3, stride: 3, bos: 1});
    expect(windows.map(({input, targets}) => [[...input], [...targets]])).toEqual([
      [
        [1, 10, 11],
        [10, 11, 12],
      ],
      // The two windows share nothing but that token, which stands where the one before its first target was.
      [[1, 12, 13].slice(0, 3), [12, 13, 14]],
    ]);
  });

  it('has no window where there is nothing to say', () => {
    expect(windowsOf(tokensOf(1), {window: 4, stride: 4})).toEqual([]);
  });
});
