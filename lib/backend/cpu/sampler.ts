/** Chooses a request's next token: bias, penalties, temperature, top-k, top-p, min-p, then one draw. */

import {TensorrtNodeError} from '../../errors.js';
import type {SamplingParameters, TokenEvent} from '../backend.js';
import {uniform} from './random.js';
import {argmax, topTokens} from './top_tokens.js';

export class Sampler {
  private readonly seen = new Set<number>();
  private readonly replyCounts = new Map<number, number>();

  constructor(
    private readonly parameters: SamplingParameters,
    /** How many most likely tokens to report; undefined for none and no logprob either. */
    private readonly logprobs: number | undefined,
    prompt: Uint32Array,
  ) {
    if (parameters.repetitionPenalty !== 1) for (const token of prompt) this.seen.add(token);
  }

  /** The token after `position` tokens. Changes `logits`, which must be this call's own. */
  next(logits: Float32Array, position: number): TokenEvent {
    const report = this.logprobs === undefined ? undefined : rawDistribution(logits, this.logprobs);
    this.adjust(logits);
    const likeliest = argmax(logits);
    // Comparisons with NaN are false: one that does not come first shows in a draw's total alone.
    if (Number.isNaN(logits[likeliest]!)) throw notNumbers();
    if (logits[likeliest] === -Infinity)
      throw new TensorrtNodeError('ERR_BACKEND', 'no token is left to choose: each has a logit of -Infinity');
    const token = this.parameters.temperature === 0 ? likeliest : this.draw(logits, logits[likeliest]!, position);
    if (this.parameters.repetitionPenalty !== 1) this.seen.add(token);
    this.replyCounts.set(token, (this.replyCounts.get(token) ?? 0) + 1);
    return report === undefined ? {token} : {token, logprob: report.logprob(token), top: report.top};
  }

  private adjust(logits: Float32Array): void {
    const {logitBias, repetitionPenalty, presencePenalty, frequencyPenalty} = this.parameters;
    for (const token of this.seen) {
      const logit = logits[token]!;
      logits[token] = logit > 0 ? logit / repetitionPenalty : logit * repetitionPenalty;
    }
    if (presencePenalty !== 0 || frequencyPenalty !== 0) {
      for (const [token, count] of this.replyCounts) logits[token]! -= presencePenalty + frequencyPenalty * count;
    }
    for (const [token, bias] of logitBias) logits[token]! += bias;
  }

  private draw(logits: Float32Array, max: number, position: number): number {
    const {temperature, topK, topP, minP, seed} = this.parameters;
    // Biases and penalties may take logits beyond single precision; those are equally likely.
    const weight = (token: number) => (logits[token] === max ? 1 : Math.exp((logits[token]! - max) / temperature));
    const random = uniform(seed, position);

    if (topK === 0 && topP === 1) return drawFromAll(logits.length, weight, minP, random);

    const wanted = topK === 0 ? logits.length : topK;
    const kept = topP === 1 ? topTokens(logits, wanted) : nucleus(logits, wanted, topP, weight);
    return drawFromSorted(kept, weight, minP, random);
  }
}

/** The smallest set of the `wanted` most likely tokens whose share of their probability reaches `topP`, largest first. */
function nucleus(logits: Float32Array, wanted: number, topP: number, weight: (token: number) => number): Uint32Array {
  let total = 0;
  if (wanted < logits.length) for (const token of topTokens(logits, wanted)) total += weight(token);
  else for (let token = 0; token < logits.length; token++) total += weight(token);

  // Nearly always the nucleus is small, so take few first and sort the whole vocabulary only if they do not reach.
  for (let count = Math.min(wanted, 256); ; count = Math.min(wanted, count * 16)) {
    const tokens = topTokens(logits, count);
    let reached = 0;
    for (let index = 0; index < tokens.length; index++) {
      reached += weight(tokens[index]!);
      if (reached >= topP * total) return tokens.subarray(0, index + 1);
    }
    if (count >= wanted) return tokens;
  }
}

function drawFromAll(length: number, weight: (token: number) => number, minP: number, random: number): number {
  let total = 0;
  for (let token = 0; token < length; token++) {
    const w = weight(token);
    if (!(w < minP)) total += w;
  }
  if (Number.isNaN(total)) throw notNumbers();
  let rest = random * total;
  let last = 0;
  for (let token = 0; token < length; token++) {
    const w = weight(token);
    if (w < minP || w === 0) continue;
    last = token;
    rest -= w;
    if (rest < 0) break;
  }
  return last;
}

function drawFromSorted(tokens: Uint32Array, weight: (token: number) => number, minP: number, random: number): number {
  let kept = tokens.findIndex((token) => weight(token) < minP);
  if (kept < 0) kept = tokens.length;
  let total = 0;
  for (let index = 0; index < kept; index++) total += weight(tokens[index]!);
  if (Number.isNaN(total)) throw notNumbers();
  let rest = random * total;
  for (let index = 0; index < kept; index++) {
    rest -= weight(tokens[index]!);
    if (rest < 0) return tokens[index]!;
  }
  return tokens[kept - 1]!;
}

function rawDistribution(logits: Float32Array, count: number) {
  const max = logits[argmax(logits)]!;
  let total = 0;
  for (const logit of logits) total += Math.exp(logit - max);
  const logTotal = max + Math.log(total);
  const top = Array.from(topTokens(logits, count), (token) => ({token, logprob: logits[token]! - logTotal}));
  // `logits` is about to change, and which token is chosen is not known yet.
  const copy = logits.slice();
  return {top, logprob: (token: number) => copy[token]! - logTotal};
}

function notNumbers(): TensorrtNodeError {
  return new TensorrtNodeError(
    'ERR_BACKEND',
    'the model computed logits that are not numbers',
    'the checkpoint may be damaged, or its weights too large for fp16',
  );
}
