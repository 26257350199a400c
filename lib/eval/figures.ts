/** Figures of many scored tokens: perplexity, and how far a model is from another. */

import type {RowComparison} from './row_statistics.js';

export interface Perplexity {
  /** exp of the mean negative log-likelihood of the scored tokens. */
  perplexity: number;
  /** Standard error of `perplexity`, over tokens taken as independent. */
  perplexityError: number;
  /** The mean negative log-likelihood itself: nats a token. */
  crossEntropy: number;
}

export interface Comparison {
  /** The model's perplexity over the reference's. */
  perplexityRatio: number;
  /** Standard error of the ratio, from the two models' differences token by token: far smaller than those of both. */
  perplexityRatioError: number;
  /** KL(reference || model) over scored positions, in nats. */
  divergence: {mean: number; median: number; p99: number; max: number};
  /** What part of the positions has the same most likely token. */
  top1Agreement: number;
}

export function perplexityOf(negativeLogLikelihoods: readonly number[]): Perplexity {
  const {mean, error} = meanOf(negativeLogLikelihoods);
  const perplexity = Math.exp(mean);
  // To first order exp spreads its argument's error by its own value.
  return {perplexity, perplexityError: perplexity * error, crossEntropy: mean};
}

export function comparisonOf(rows: readonly RowComparison[]): Comparison {
  const {mean, error} = meanOf(rows.map(({reference, other}) => other - reference));
  const ratio = Math.exp(mean);
  const divergences = rows.map(({divergence}) => divergence).sort((a, b) => a - b);
  return {
    perplexityRatio: ratio,
    perplexityRatioError: ratio * error,
    divergence: {
      mean: meanOf(divergences).mean,
      median: percentile(divergences, 0.5),
      p99: percentile(divergences, 0.99),
      max: divergences.at(-1)!,
    },
    top1Agreement: rows.filter(({sameBest}) => sameBest).length / rows.length,
  };
}

/** Of sorted values: the smallest that `part` of them do not exceed. */
function percentile(sorted: readonly number[], part: number): number {
  return sorted[Math.max(0, Math.ceil(part * sorted.length) - 1)]!;
}

/** The mean and its standard error; 0 for a single value. */
function meanOf(values: readonly number[]): {mean: number; error: number} {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  if (values.length < 2) return {mean, error: 0};
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return {mean, error: Math.sqrt(squares / (values.length - 1) / values.length)};
}
