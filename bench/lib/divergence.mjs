/** How far two models' next-token distributions lie apart, over the same tokens. */

import {compareRows} from '../../dist/eval/row_statistics.js';

/** Sums up position after position; `reference` is the distribution that the other is held against. */
export class Divergence {
  positions = 0;
  agreed = 0;
  /** Disagreements where the reference's own two candidates are closer than 0.01 in logits: a coin's edge. */
  nearTies = 0;
  maxAbsDifference = 0;
  worstKl = 0;
  #klSum = 0;

  /** Both are logits, [n, vocabSize]. */
  add(reference, other, vocabSize) {
    for (let start = 0; start < reference.length; start += vocabSize) {
      const p = reference.subarray(start, start + vocabSize);
      const q = other.subarray(start, start + vocabSize);
      const kl = compareRows(p, q, 0).divergence;
      this.#klSum += kl;
      this.worstKl = Math.max(this.worstKl, kl);
      const expected = argmax(p);
      const got = argmax(q);
      this.positions++;
      if (expected === got) this.agreed++;
      else if (p[expected] - p[got] < 0.01) this.nearTies++;
      for (let i = 0; i < vocabSize; i++) this.maxAbsDifference = Math.max(this.maxAbsDifference, Math.abs(p[i] - q[i]));
    }
  }

  get top1() {
    return this.agreed / this.positions;
  }

  get meanKl() {
    return this.#klSum / this.positions;
  }

  toString() {
    return (
      `top-1 ${(100 * this.top1).toFixed(2)} % (${this.positions - this.agreed} of ${this.positions} differ, ${this.nearTies} near ties), ` +
      `mean KL ${this.meanKl.toExponential(2)}, worst ${this.worstKl.toExponential(2)}, largest logit difference ${this.maxAbsDifference.toExponential(2)}`
    );
  }
}

function argmax(values) {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i] > values[best]) best = i;
  return best;
}
