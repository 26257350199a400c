import {describe, expect, it} from 'vitest';

import type {Finish} from '../generate/types.js';
import {summary} from './summary.js';

const FINISH: Finish = {
  finishReason: 'stop',
  usage: {promptTokens: 41, cachedTokens: 0, completionTokens: 97},
  timings: {queue: 0, prefill: 118, firstToken: 120.4, decode: 2000, perToken: 20, total: 2200},
  seed: 1,
};
const MODEL = {description: 'ONNX Runtime on the CPU'};

describe('summary', () => {
  it.each<[Partial<Finish>, string]>([
    [{}, '[41 prompt tokens | first token in 120 ms | 97 tokens at 50.0 tok/s] ONNX Runtime on the CPU'],
    [{usage: {promptTokens: 41, cachedTokens: 30, completionTokens: 97}}, '[41 prompt tokens, 30 of them kept | '],
    [{finishReason: 'length'}, '97 tokens at 50.0 tok/s | cut at the token limit]'],
    [{usage: {...FINISH.usage, completionTokens: 1}, timings: {...FINISH.timings, perToken: 0}}, '| 1 token]'],
  ])('%j', (changes, text) => expect(summary({...FINISH, ...changes}, MODEL)).toContain(text));
});
