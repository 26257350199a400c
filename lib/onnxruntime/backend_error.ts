/** Failures of ONNX Runtime and of Node's memory as errors of this library. */

import {messageOf, TensorrtNodeError} from '../errors.js';

export function backendError(cause: unknown): TensorrtNodeError {
  const message = messageOf(cause);
  if (/bad_alloc|failed to allocate|array buffer allocation failed|invalid typed array length/i.test(message)) {
    return new TensorrtNodeError('ERR_OUT_OF_MEMORY', `out of memory: ${message}`, 'run fewer or shorter requests at once', {cause});
  }
  return new TensorrtNodeError('ERR_BACKEND', `the CPU backend failed: ${message}`, undefined, {cause});
}
