import {expect, test} from 'vitest';

import {copy, decoderTrace, kernel} from '../../test/support/simulated_activity.js';
import {compareSummaries} from './compare.js';
import {formatComparison} from './compare_text.js';
import {summarize} from './summary.js';

const summaryOf = (...activities: ReturnType<typeof kernel>[]) => summarize({info: {}, activities, hostEvents: []});

test('a trace compared with itself has no change', () => {
  const summary = summarize(decoderTrace({steps: 3, layers: 2, layerBytes: 1e5}));
  const comparison = compareSummaries(summary, summary);
  expect(comparison).toMatchObject({kernels: [], phases: [], layers: [], gaps: [], host: []});
  expect(comparison.overlap).toEqual({before: 1, after: 1});
  expect(
    formatComparison(comparison)
      .match(/[\d.]+%\n/g)!
      .every((change) => change === '0.0%\n'),
  ).toBe(true);
});

test('kernels that grew, came and went are told, the largest change first; those that did not change are not', () => {
  const before = summaryOf(kernel('same', 0, 100), kernel('slower', 100, 200), kernel('gone', 200, 210));
  const after = summaryOf(kernel('same', 0, 100), kernel('slower', 100, 150), kernel('slower', 150, 300), kernel('new', 300, 350));
  const comparison = compareSummaries(before, after);
  expect(comparison.kernels).toEqual([
    {name: 'slower', count: {before: 1, after: 2}, total: {before: 100, after: 200}, mean: {before: 100, after: 100}},
    {name: 'new', count: {before: 0, after: 1}, total: {before: 0, after: 50}, mean: undefined},
    {name: 'gone', count: {before: 1, after: 0}, total: {before: 10, after: 0}, mean: undefined},
  ]);
  const text = formatComparison(comparison);
  expect(text).toMatch(/slower +1 -> 2 +100 ns -> 200 ns +\+100\.0% +0\.0%\n/);
  expect(text).toMatch(/new +0 -> 1 .* new\n/);
  expect(text).toMatch(/gone +1 -> 0 .* gone\n/);
});

test('copies that became serial, and the gap they make, are told', () => {
  const side = {stream: 20, streamName: 'uploads'};
  const before = summaryOf(kernel('a', 0, 100_000), copy(4e6, 10_000, 90_000, side), kernel('b', 100_000, 200_000));
  const after = summaryOf(kernel('a', 0, 100_000), copy(4e6, 100_000, 180_000, side), kernel('b', 180_000, 280_000));
  const comparison = compareSummaries(before, after);
  expect(comparison.serialIdle).toEqual({before: 0, after: 80_000});
  expect(comparison.overlap).toEqual({before: 1, after: 0});
  expect(comparison.bound).toEqual({before: 'kernels', after: 'copies'});
  expect(comparison.gaps).toEqual([
    {name: 'copy to device on uploads', count: {before: 0, after: 1}, total: {before: 0, after: 80_000}, mean: undefined},
  ]);
  expect(formatComparison(comparison)).toMatch(/copies overlapped +100\.0% +0\.0% +-100\.0%\n/);
});
