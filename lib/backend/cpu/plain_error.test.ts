import {describe, expect, it} from 'vitest';

import {FormatError, TensorrtNodeError, UnsupportedError} from '../../errors.js';
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

  it('of another library becomes ERR_BACKEND', () => {
    expect(fromPlainError(toPlainError(new RangeError('too far')))).toMatchObject({code: 'ERR_BACKEND', message: 'too far'});
    expect(fromPlainError(toPlainError('text'))).toMatchObject({code: 'ERR_BACKEND', message: 'text'});
  });
});
