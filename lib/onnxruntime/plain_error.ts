/** Errors between threads: structured cloning keeps neither their class nor their fields. */

import {type ErrorCode, FormatError, type FormatErrorCode, TensorrtNodeError, UnsupportedError} from '../errors.js';
import {backendError} from './backend_error.js';

export interface PlainError {
  kind: 'FormatError' | 'UnsupportedError' | 'TensorrtNodeError';
  code: ErrorCode;
  /** As it was, without the path before it and the hint after it. */
  message: string;
  hint?: string;
  path?: string;
}

/** An error that is none of ours becomes ERR_BACKEND or ERR_OUT_OF_MEMORY. */
export function toPlainError(error: unknown): PlainError {
  if (!(error instanceof TensorrtNodeError)) return toPlainError(backendError(error));
  const {code, hint} = error;
  const message = hint === undefined ? error.message : error.message.slice(0, -` (${hint})`.length);
  if (error instanceof FormatError)
    return {kind: 'FormatError', code, message: message.slice(`${error.path}: `.length), hint, path: error.path};
  return {kind: error instanceof UnsupportedError ? 'UnsupportedError' : 'TensorrtNodeError', code, message, hint};
}

export function fromPlainError({kind, code, message, hint, path = ''}: PlainError): Error {
  if (kind === 'FormatError') return new FormatError(code as FormatErrorCode, path, message, hint);
  if (kind === 'UnsupportedError') return new UnsupportedError(message, hint);
  return new TensorrtNodeError(code, message, hint);
}
