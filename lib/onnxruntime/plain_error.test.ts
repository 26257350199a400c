import {describe, expect, it} from 'vitest';

import {FormatError, TensorrtNodeError, UnsupportedError} from '../errors.js';
import {fromPlainError, toPlainError} from './plain_error.js';

describe('an error between threads', () => {
  it.each([
    new FormatError('ERR_ONNX', '/m/model.onnx', 'is truncated', 'copy it again'),
    new FormatError('ERR_ONNX', '/m/model.onnx', 'is truncated'),
    new UnsupportedError('architecture mamba', 'use another'),
    new UnsupportedError('architecture mamba'),
    new TensorrtNodeError('ERR_OUT_OF_MEMORY', 'out of memory', 'use less'),
    new TensorrtNodeError('ERR_BACKEND', 'it failed'),
  ])('keeps its class and fields: $message', (error) => {
    const copy = fromPlainError(structuredClone(toPlainError(error)));
    expect(copy).toBeInstanceOf(error.constructor);
    const {message, code, hint} = error;
    expect(copy).toMatchObject({message, code, ...('path' in error ? {path: error.path} : {})});
    expect((copy as TensorrtNodeError).hint).toBe(hint);
  });

  it.each([
    [new RangeError('too far'), 'ERR_BACKEND', 'the CPU backend failed: too far'],
    ['text', 'ERR_BACKEND', 'the CPU backend failed: text'],
    [new RangeError('Array buffer allocation failed'), 'ERR_OUT_OF_MEMORY', 'out of memory: Array buffer allocation failed'],
    [new RangeError('Invalid typed array length: 5e15'), 'ERR_OUT_OF_MEMORY', 'out of memory: Invalid'],
    [new Error('std::bad_alloc'), 'ERR_OUT_OF_MEMORY', 'out of memory: std::bad_alloc'],
  ])('of another library gets a code: %o', (error, code, message) => {
    expect(fromPlainError(toPlainError(error))).toMatchObject({code, message: expect.stringContaining(message)});
  });
});
