/** Errors between threads: structured cloning keeps neither their class nor their fields. */

import {type ErrorCode, FormatError, type FormatErrorCode, TensorrtNodeError, UnsupportedError} from '../../errors.js';

export interface PlainError {
  kind: 'FormatError' | 'UnsupportedError' | 'TensorrtNodeError';
  code: ErrorCode;
  /** As it was, a hint included. */
  message: string;
  path?: string;
}

/** An error that is none of ours becomes ERR_BACKEND. */
export function toPlainError(error: unknown): PlainError {
  if (error instanceof FormatError) return {kind: 'FormatError', code: error.code, message: error.message, path: error.path};
  if (error instanceof UnsupportedError) return {kind: 'UnsupportedError', code: error.code, message: error.message};
  if (error instanceof TensorrtNodeError) return {kind: 'TensorrtNodeError', code: error.code, message: error.message};
  return {kind: 'TensorrtNodeError', code: 'ERR_BACKEND', message: error instanceof Error ? error.message : String(error)};
}

export function fromPlainError({kind, code, message, path = ''}: PlainError): Error {
  if (kind === 'FormatError') return new FormatError(code as FormatErrorCode, path, message.slice(`${path}: `.length));
  if (kind === 'UnsupportedError') return new UnsupportedError(message);
  return new TensorrtNodeError(code, message);
}
