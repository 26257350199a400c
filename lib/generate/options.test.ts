import {describe, expect, it} from 'vitest';

import {checkOptions} from './options.js';

const VOCAB = 8;
const all = (bias: number) => new Map(Array.from({length: VOCAB}, (_, token) => [token, bias]));

describe('checkOptions', () => {
  it('fills in the defaults', () => {
    const {sampling, ...rest} = checkOptions({seed: 1}, VOCAB);
    expect(rest).toEqual({maxNewTokens: undefined, stop: [], logprobs: undefined, chat: {}, signal: undefined});
    expect(sampling).toMatchObject({temperature: 0, topK: 0, topP: 1, minP: 0, repetitionPenalty: 1, seed: 1});
  });

  it('takes biases as a map or an object', () => {
    const expected = new Map([[3, -Infinity]]);
    expect(checkOptions({logitBias: {3: -Infinity}}, VOCAB).sampling.logitBias).toEqual(expected);
    expect(checkOptions({logitBias: expected}, VOCAB).sampling.logitBias).toEqual(expected);
  });

  it('lets all but one token be banned', () => {
    const bias = all(-Infinity).set(2, 0);
    expect(checkOptions({logitBias: bias}, VOCAB).sampling.logitBias).toEqual(bias);
  });

  it.each([
    [null, 'options must be an object, got null'],
    [{temperature: Number.NaN}, 'temperature must be a number from 0 to 100, got NaN'],
    [{topP: Number.NaN}, 'topP must be a number above 0 and up to 1, got NaN'],
    [{maxNewTokens: Number.POSITIVE_INFINITY}, 'maxNewTokens must be an integer of at least 1, got Infinity'],
    [{signal: null}, 'signal must be an AbortSignal, got null'],
    [{chat: null}, 'chat must be an object, got null'],
    [{chat: {tools: 'search'}}, "chat.tools must be a list of objects, got 'search'"],
    [{chat: {variables: 5}}, 'chat.variables must be an object, got 5'],
    [{stop: 5}, 'stop must be a string or a list of strings, got 5'],
    [{stop: '\ud800'}, 'stop[0] must be a well-formed string'],
    [{logitBias: {'': 1}}, "logitBias key must be an integer from 0 to 7, got ''"],
    [{logitBias: {8: 1}}, 'logitBias key must be an integer from 0 to 7, got 8'],
    [{logitBias: {1: '2'}}, "logitBias[1] must be a finite number or -Infinity, got '2'"],
    [{logitBias: all(-Infinity)}, 'logitBias must be a map that leaves a token to choose'],
  ])('refuses %o', (options, message) => {
    expect(() => checkOptions(options as never, VOCAB)).toThrow(
      expect.objectContaining({code: 'ERR_OPTION', message: expect.stringContaining(message)}),
    );
  });
});
