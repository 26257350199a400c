import {describe, expect, it} from 'vitest';

import {OptionError} from './errors.js';
import {abortSignal, integer, object, oneOf} from './options.js';

describe('integer', () => {
  it('returns what is in range, bounds included', () => {
    expect(integer('maxNewTokens', 1, {min: 1, max: 8})).toBe(1);
    expect(integer('maxNewTokens', 8, {min: 1, max: 8})).toBe(8);
  });

  it.each([
    [0, 'maxNewTokens must be an integer from 1 to 8, got 0'],
    [9, 'maxNewTokens must be an integer from 1 to 8, got 9'],
    [1.5, 'maxNewTokens must be an integer from 1 to 8, got 1.5'],
    ['4', "maxNewTokens must be an integer from 1 to 8, got '4'"],
    [undefined, 'maxNewTokens must be an integer from 1 to 8, got undefined'],
  ])('refuses %o and says why', (value, message) => {
    expect(() => integer('maxNewTokens', value, {min: 1, max: 8})).toThrow(
      new OptionError('maxNewTokens', 'an integer from 1 to 8', value),
    );
    expect(() => integer('maxNewTokens', value, {min: 1, max: 8})).toThrow(message);
  });
});

describe('oneOf', () => {
  it('narrows to the allowed words', () => {
    const precision: 'fp16' | 'int8' = oneOf('precision', 'fp16', ['fp16', 'int8']);
    expect(precision).toBe('fp16');
  });

  it('lists the words it knows', () => {
    expect(() => oneOf('precision', 'half', ['fp16', 'int8'])).toThrow("precision must be 'fp16' or 'int8', got 'half'");
  });
});

describe('object', () => {
  it.each([null, 5, 'text'])('refuses %o', (value) => {
    expect(() => object('options', value as never)).toThrow(
      `options must be an object, got ${typeof value === 'string' ? "'text'" : value}`,
    );
  });
});

describe('abortSignal', () => {
  it('takes a signal or none', () => {
    const {signal} = new AbortController();
    expect(abortSignal(signal)).toBe(signal);
    expect(abortSignal(undefined)).toBe(undefined);
  });

  it.each([null, {}, {aborted: false}])('refuses %o', (value) => {
    expect(() => abortSignal(value as never)).toThrow('signal must be an AbortSignal');
  });
});
