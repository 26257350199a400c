import {describe, expect, it} from 'vitest';

import {uniform} from '../backend/cpu/random.js';
import {compareRows, negativeLogLikelihood} from './row_statistics.js';

/** By definition, each probability apart. */
function softmax(logits: Float32Array): number[] {
  const exps = [...logits].map((logit) => Math.exp(logit));
  const sum = exps.reduce((a, b) => a + b);
  return exps.map((each) => each / sum);
}

describe('rows of logits', () => {
  it('have the loss and the divergence of their definitions', () => {
    const random = (seed: number, index: number) => uniform(seed, index) - 0.5;
    for (let trial = 0; trial < 20; trial++) {
      const p = Float32Array.from({length: 50}, (_, index) => 12 * random(2 * trial, index));
      const q = p.map((logit, index) => logit + random(2 * trial + 1, index));
      const [P, Q] = [softmax(p), softmax(q)];
      const divergence = P.reduce((sum, each, index) => sum + each * Math.log(each / Q[index]!), 0);
      const compared = compareRows(p, q, trial);
      expect(compared.divergence).toBeCloseTo(divergence, 12);
      expect(compared.reference).toBeCloseTo(-Math.log(P[trial]!), 12);
      expect(compared.other).toBeCloseTo(-Math.log(Q[trial]!), 12);
      expect(negativeLogLikelihood(q, trial)).toBe(compared.other);
      expect(compared.sameBest).toBe(P.indexOf(Math.max(...P)) === Q.indexOf(Math.max(...Q)));
    }
  });

  it('may be large, and the same but for a constant', () => {
    const p = Float32Array.of(1000, 998, -2000);
    expect(
      compareRows(
        p,
        p.map((logit) => logit - 1500),
        1,
      ),
    ).toMatchObject({sameBest: true, divergence: expect.closeTo(0, 12)});
    expect(negativeLogLikelihood(p, 1)).toBeCloseTo(2 + Math.log1p(Math.exp(-2)), 12);
  });

  it('may rule tokens out', () => {
    const some = Float32Array.of(0, -Infinity, 1);
    const all = Float32Array.of(0, 0, 1);
    // P gives them nothing, so only what Q takes away for them counts.
    expect(compareRows(some, all, 0).divergence).toBeCloseTo(Math.log((2 + Math.E) / (1 + Math.E)), 12);
    expect(compareRows(all, some, 0).divergence).toBe(Infinity);
    expect(negativeLogLikelihood(some, 1)).toBe(Infinity);
  });

  it('tell when they are no numbers', () => {
    expect(negativeLogLikelihood(Float32Array.of(0, Number.NaN, 1), 0)).toBeNaN();
    expect(compareRows(Float32Array.of(0, 1), Float32Array.of(Number.NaN, 1), 1).other).toBeNaN();
  });

  it('choose the smallest of equal tokens', () => {
    expect(compareRows(Float32Array.of(0, 2, 2), Float32Array.of(0, 3, 1), 0).sameBest).toBe(true);
    expect(compareRows(Float32Array.of(0, 2, 2), Float32Array.of(0, 1, 3), 0).sameBest).toBe(false);
  });
});
