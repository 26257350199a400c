import {expect, it} from 'vitest';

import {TensorrtNodeError, UnsupportedError} from '../errors.js';
import {CudaError, FileError} from '../native/errors.js';
import {fromPlainError, toPlainError} from './plain_error.js';

it.each([
  new FileError('no space left on device, write', '/traces/a.json', 'write', 'ENOSPC'),
  new CudaError('ERR_CUDA', 'cuInit failed', 'cuInit', 'CUDA_ERROR_NO_DEVICE', 'use another'),
  new UnsupportedError('CUPTI is not there', 'install it'),
  new TensorrtNodeError('ERR_BUSY', 'somebody else collects'),
])('$name comes across a thread as it is', (error) => {
  const back = fromPlainError(structuredClone(toPlainError(error)));
  expect(back).toBeInstanceOf(error.constructor);
  expect({...back, message: back.message}).toEqual({...error, message: error.message});
});

it('any other error says that the thread failed', () => {
  expect(fromPlainError(toPlainError(new RangeError('planted')))).toMatchObject({
    code: 'ERR_BACKEND',
    message: "the recording's thread failed: planted",
  });
});
