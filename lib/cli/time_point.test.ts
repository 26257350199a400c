import {expect, test} from 'vitest';

import {parseTimePoint} from './time_point.js';

test.each([
  ['1.2s', 1_200_000_000],
  ['350ms', 350_000_000],
  ['40 us', 40_000],
  ['40µs', 40_000],
  ['-3ms', -3_000_000],
  ['7ns', 7],
])('%s', (text, nanoseconds) => expect(parseTimePoint('--from', text)).toBe(nanoseconds));

test.each(['', '5', 'ms', '1.2.3s', '1h'])('%j is refused', (text) => {
  expect(() => parseTimePoint('--from', text)).toThrow("--from must be a number with ns, us, ms or s, such as '1.2s'");
});
