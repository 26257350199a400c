/** What rows of logits say about the tokens that came, and how far two models' rows lie apart. All sums are float64. */

/** Of one row of a model: minus the logarithm of the target's probability, in nats. NaN where a logit is not a number. */
export function negativeLogLikelihood(logits: Float32Array, target: number): number {
  return logSumExp(logits) - logits[target]!;
}

export interface RowComparison {
  /** Negative log-likelihood of the target under the reference, and under the other; nats. */
  reference: number;
  other: number;
  /** KL(reference || other) in nats; not below 0 but for rounding, infinite where the other rules out what the reference does not. */
  divergence: number;
  /** Whether both have their largest logit at the same token; ties go to the smallest. */
  sameBest: boolean;
}

/**
 * With P and Q the softmax of p and q:
 *   KL(P || Q) = sum P_i (p_i - q_i) - log sum exp p + log sum exp q
 */
export function compareRows(p: Float32Array, q: Float32Array, target: number): RowComparison {
  const [bestP, bestQ] = [largest(p), largest(q)];
  const [maxP, maxQ] = [p[bestP]!, q[bestQ]!];
  let [sumP, sumQ, difference] = [0, 0, 0];
  for (let index = 0; index < p.length; index++) {
    const weight = Math.exp(p[index]! - maxP);
    sumP += weight;
    sumQ += Math.exp(q[index]! - maxQ);
    // Nothing of P is there where its logit is -Infinity, whatever Q says.
    if (weight !== 0) difference += weight * (p[index]! - q[index]!);
  }
  const [logP, logQ] = [maxP + Math.log(sumP), maxQ + Math.log(sumQ)];
  return {
    reference: logP - p[target]!,
    other: logQ - q[target]!,
    divergence: difference / sumP - logP + logQ,
    sameBest: bestP === bestQ,
  };
}

function logSumExp(logits: Float32Array): number {
  const max = logits[largest(logits)]!;
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - max);
  return max + Math.log(sum);
}

function largest(logits: Float32Array): number {
  let best = 0;
  for (let index = 1; index < logits.length; index++) if (logits[index]! > logits[best]!) best = index;
  return best;
}
