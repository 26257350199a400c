import {describe, expect, it} from 'vitest';

import {GREEDY} from '../../../test/support/greedy.js';
import type {SamplingParameters} from '../backend.js';
import {uniform} from './random.js';
import {Sampler} from './sampler.js';
import {topTokens} from './top_tokens.js';

function sampler(parameters: Partial<SamplingParameters>, {logprobs, prompt = []}: {logprobs?: number; prompt?: number[]} = {}): Sampler {
  return new Sampler({...GREEDY, ...parameters}, logprobs, Uint32Array.from(prompt));
}

/** How often each token is drawn over many positions. */
function frequencies(parameters: Partial<SamplingParameters>, logits: number[], draws = 4000): number[] {
  const counts = logits.map(() => 0);
  for (let position = 0; position < draws; position++) {
    const {token} = sampler({temperature: 1, seed: 3, ...parameters}).next(Float32Array.from(logits), position);
    counts[token]!++;
  }
  return counts.map((count) => count / draws);
}

function softmax(logits: number[]): number[] {
  const total = logits.reduce((sum, logit) => sum + Math.exp(logit), 0);
  return logits.map((logit) => Math.exp(logit) / total);
}

function expectShares(shares: number[], expected: number[]): void {
  for (const [token, share] of shares.entries()) expect(Math.abs(share - expected[token]!)).toBeLessThan(0.03);
}

describe('topTokens', () => {
  it('equals a full sort, ties by the smaller token', () => {
    const logits = Float32Array.from({length: 1000}, (_, token) => Math.floor(uniform(1, token) * 50));
    const sorted = Array.from(logits.keys()).sort((a, b) => logits[b]! - logits[a]! || a - b);
    for (const count of [1, 2, 7, 100, 999, 1000, 2000]) {
      expect(Array.from(topTokens(logits, count))).toEqual(sorted.slice(0, count));
    }
  });
});

describe('Sampler', () => {
  it('is greedy at temperature 0, the smaller token of equals', () => {
    expect(sampler({}).next(Float32Array.of(1, 5, 5, 2), 0).token).toBe(1);
  });

  it('draws by the softmax of the logits', () => {
    const logits = [0, 1, 2, -1];
    const expected = softmax(logits);
    expectShares(frequencies({}, logits), expected);
  });

  it('divides the logits by the temperature', () => {
    const logits = [0, 1, 2, -1];
    const expected = softmax(logits.map((logit) => logit / 0.5));
    expectShares(frequencies({temperature: 0.5}, logits), expected);
  });

  it.each([
    ['topK 2', {topK: 2}, [1, 2]],
    ['topP 0.6: the first alone reaches it', {topP: 0.6}, [2]],
    ['topP 0.7: two are needed', {topP: 0.7}, [1, 2]],
    ['minP 0.3: at least 0.3 of the most likely', {minP: 0.3}, [1, 2]],
    ['topK 3 and topP 0.7', {topK: 3, topP: 0.7}, [1, 2]],
    ['topK 3 and minP 0.5', {topK: 3, minP: 0.5}, [2]],
  ])('%s keeps only the tokens it should', (_, parameters, kept) => {
    // Probabilities 0.087, 0.237, 0.644, 0.032.
    const drawn = frequencies(parameters, [0, 1, 2, -1]);
    expect(drawn.flatMap((share, token) => (share > 0 ? [token] : []))).toEqual(kept);
  });

  it('reaches beyond its first look when the distribution is flat', () => {
    const logits = new Float32Array(5000);
    const drawn = new Set<number>();
    for (let position = 0; position < 400; position++) drawn.add(sampler({temperature: 1, topP: 0.9}).next(logits.slice(), position).token);
    expect(Math.max(...drawn)).toBeGreaterThan(4000);
    expect(Math.max(...drawn)).toBeLessThan(4500);
  });

  it('repeats its draws for a seed and a position, whatever came before', () => {
    const logits = Float32Array.from({length: 100}, (_, token) => Math.sin(token));
    const tokens = (seed: number, from: number) =>
      Array.from({length: 20}, (_, index) => sampler({temperature: 1, seed}).next(logits.slice(), from + index).token);
    expect(tokens(1, 0)).toEqual(tokens(1, 0));
    expect(tokens(1, 0).slice(10)).toEqual(tokens(1, 10).slice(0, 10));
    expect(tokens(2, 0)).not.toEqual(tokens(1, 0));
  });

  it('divides positive and multiplies negative logits of tokens seen in prompt or reply', () => {
    const one = sampler({repetitionPenalty: 2}, {prompt: [0]});
    expect(one.next(Float32Array.of(10, 6), 0).token).toBe(1);
    expect(one.next(Float32Array.of(10, 6), 1).token).toBe(0);
    expect(sampler({repetitionPenalty: 2}, {prompt: [0]}).next(Float32Array.of(-3, -5), 0).token).toBe(1);
  });

  it('subtracts the presence penalty once and the frequency penalty each time, of the reply alone', () => {
    const presence = sampler({presencePenalty: 1.5}, {prompt: [0]});
    expect([0, 1, 2].map((position) => presence.next(Float32Array.of(2, 1), position).token)).toEqual([0, 1, 0]);
    const frequency = sampler({frequencyPenalty: 1}, {prompt: [0, 0, 0]});
    expect([0, 1, 2].map((position) => frequency.next(Float32Array.of(2, 0.5), position).token)).toEqual([0, 0, 1]);
  });

  it('adds the bias, and -Infinity bans', () => {
    expect(sampler({logitBias: new Map([[1, 5]])}).next(Float32Array.of(4, 0), 0).token).toBe(1);
    expect(frequencies({logitBias: new Map([[2, -Infinity]])}, [0, 0, 9])[2]).toBe(0);
  });

  it('reports logprobs of the raw distribution', () => {
    const logits = [0, 1, 2, -1];
    const expected = softmax(logits).map(Math.log);
    const event = sampler({logitBias: new Map([[3, 100]])}, {logprobs: 2}).next(Float32Array.from(logits), 0);
    expect(event.token).toBe(3);
    expect(event.logprob).toBeCloseTo(expected[3]!, 5);
    expect(event.top!.map(({token}) => token)).toEqual([2, 1]);
    expect(event.top![0]!.logprob).toBeCloseTo(expected[2]!, 5);
  });

  it.each([{temperature: 0}, {temperature: 1}, {temperature: 1, topK: 2}, {temperature: 1, topP: 0.5}])(
    'refuses logits that are not numbers, %o',
    (parameters) => {
      const error = expect.objectContaining({code: 'ERR_BACKEND'});
      expect(() => sampler(parameters).next(Float32Array.of(NaN, NaN, NaN), 0)).toThrow(error);
    },
  );

  it('refuses to draw where one logit of many is not a number', () => {
    expect(() => sampler({temperature: 1}).next(Float32Array.of(0, NaN, 1), 0)).toThrow('logits that are not numbers');
  });

  it.each([{temperature: 0}, {temperature: 1}, {temperature: 1, topK: 2}, {temperature: 1, topP: 0.5}])(
    'refuses to choose where every token is banned, %o',
    (parameters) => {
      const logits = Float32Array.of(1, -Infinity);
      const logitBias = new Map([[0, -Infinity]]);
      expect(() => sampler({...parameters, logitBias}).next(logits, 0)).toThrow('no token is left to choose');
    },
  );

  it('draws the tokens whose bias is beyond single precision, equally', () => {
    const logitBias = new Map([1e300, -1e300, 1e300].map((bias, token) => [token, bias]));
    expectShares(frequencies({logitBias}, [3, 1, 2, 4]), [0.5, 0, 0.5, 0]);
  });
});
