/** Errors of a recording's thread: structured cloning keeps neither their class nor their fields. */

import {type ErrorCode, messageOf, TensorrtNodeError, UnsupportedError} from '../errors.js';
import {CudaError, FileError} from '../native/errors.js';

export type PlainError =
  | {kind: 'FileError'; message: string; path: string; call: string; result: string}
  | {kind: 'CudaError'; code: 'ERR_CUDA' | 'ERR_OUT_OF_MEMORY'; message: string; call?: string; result?: string; hint?: string}
  | {kind: 'TensorrtNodeError'; code: ErrorCode; message: string; hint?: string};

export function toPlainError(error: unknown): PlainError {
  if (!(error instanceof TensorrtNodeError)) {
    return {kind: 'TensorrtNodeError', code: 'ERR_BACKEND', message: `the recording's thread failed: ${messageOf(error)}`};
  }
  const {hint, problem: message} = error;
  if (error instanceof FileError) return {kind: 'FileError', message, path: error.path, call: error.call, result: error.result};
  if (error instanceof CudaError) {
    const code = error.code === 'ERR_OUT_OF_MEMORY' ? error.code : 'ERR_CUDA';
    return {kind: 'CudaError', code, message, call: error.call, result: error.result, hint};
  }
  return {kind: 'TensorrtNodeError', code: error.code, message, hint};
}

export function fromPlainError(plain: PlainError): TensorrtNodeError {
  if (plain.kind === 'FileError') return new FileError(plain.message, plain.path, plain.call, plain.result);
  if (plain.kind === 'CudaError') return new CudaError(plain.code, plain.message, plain.call, plain.result, plain.hint);
  if (plain.code === 'ERR_UNSUPPORTED') return new UnsupportedError(plain.message, plain.hint);
  return new TensorrtNodeError(plain.code, plain.message, plain.hint);
}
