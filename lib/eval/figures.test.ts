import {describe, expect, it} from 'vitest';

import {comparisonOf, perplexityOf} from './figures.js';

describe('figures', () => {
  it('have the perplexity of their mean loss, with its standard error', () => {
    const {perplexity, perplexityError, crossEntropy} = perplexityOf([1, 2, 3]);
    expect(crossEntropy).toBe(2);
    expect(perplexity).toBeCloseTo(Math.exp(2), 12);
    // Deviation 1, of three values.
    expect(perplexityError).toBeCloseTo(Math.exp(2) / Math.sqrt(3), 12);
  });

  it('compare token by token', () => {
    const row = (reference: number, more: number, divergence: number, sameBest: boolean) => ({
      reference,
      other: reference + more,
      divergence,
      sameBest,
    });
    // Losses that differ by the same everywhere tell the ratio to the last digit, however far apart they are themselves.
    const rows = Array.from({length: 200}, (_, index) => row(index, 0.1, index + 1, index % 4 > 0));
    const compared = comparisonOf(rows);
    expect(compared.perplexityRatio).toBeCloseTo(Math.exp(0.1), 10);
    expect(compared.perplexityRatioError).toBeCloseTo(0, 10);
    expect(compared.top1Agreement).toBe(0.75);
    expect(compared.divergence).toEqual({mean: 100.5, median: 100, p99: 198, max: 200});
  });
});
