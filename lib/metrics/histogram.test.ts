import {expect, it} from 'vitest';

import {Histogram} from './histogram.js';

it('counts values up to each bound, bounds included, and those above all', () => {
  const histogram = new Histogram([1, 2, 5]);
  for (const value of [0, 1, 1.5, 2, 2.0001, 5, 6, 100]) histogram.observe(value);
  expect(histogram.counts).toEqual([2, 2, 2, 2]);
  expect(histogram.sum).toBeCloseTo(117.5001);
});

it('counts a value as often as it was seen', () => {
  const histogram = new Histogram([1, 2]);
  histogram.observe(1.5, 10);
  expect([histogram.counts, histogram.sum]).toEqual([[0, 10, 0], 15]);
});
