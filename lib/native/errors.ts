/** Errors of the native addon, as classes. */

import {AbortError, TensorrtNodeError, UnsupportedError} from '../errors.js';

/** A call of the CUDA driver that failed. `code` is ERR_OUT_OF_MEMORY when memory ran out, else ERR_CUDA. */
export class CudaError extends TensorrtNodeError {
  override readonly name = 'CudaError';

  constructor(
    code: 'ERR_CUDA' | 'ERR_OUT_OF_MEMORY',
    message: string,
    /** The driver function: 'cuMemAlloc'. */
    readonly call: string | undefined,
    /** The driver's name of the result: 'CUDA_ERROR_OUT_OF_MEMORY'. */
    readonly result: string | undefined,
    hint?: string,
    options?: ErrorOptions,
  ) {
    super(code, message, hint, options);
  }
}

/** TensorRT is missing, of a version that does not serve, or a call of it failed. */
export class TensorrtError extends TensorrtNodeError {
  override readonly name = 'TensorrtError';

  constructor(
    message: string,
    /** The function that failed. */
    readonly call: string | undefined,
    hint?: string,
    options?: ErrorOptions,
  ) {
    super('ERR_TENSORRT', message, hint, options);
  }
}

/** A file of a model's weights that could not be read, or written to `offloadFolder`. */
export class FileError extends TensorrtNodeError {
  override readonly name = 'FileError';

  constructor(
    message: string,
    readonly path: string,
    /** The system call: 'write'. */
    readonly call: string,
    /** Its error: 'ENOSPC'. */
    readonly result: string,
    options?: ErrorOptions,
  ) {
    const full = result === 'ENOSPC' || result === 'EDQUOT' || result === 'EFBIG';
    super('ERR_FILE', message, full ? 'make room there, or give another folder' : undefined, options);
  }
}

/** What the addon's errors carry. */
interface NativeError extends Error {
  code?: string;
  call?: string;
  result?: string;
  hint?: string;
}

/** The typed error for one of the addon; any other comes back as it is. */
export function typed(error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof TensorrtNodeError) return error;
  const {code, message, call, result, hint} = error as NativeError;
  switch (code) {
    case 'ERR_CUDA':
    case 'ERR_OUT_OF_MEMORY':
      return new CudaError(code, message, call, result, hint, {cause: error});
    case 'ERR_TENSORRT':
      return new TensorrtError(message, call, hint, {cause: error});
    case 'ERR_ABORTED':
      return new AbortError();
    case 'ERR_UNSUPPORTED':
      return new UnsupportedError(message, hint);
    case 'ERR_ADDON':
    case 'ERR_BACKEND':
    case 'ERR_BUSY':
    case 'ERR_DISPOSED':
    case 'ERR_NOT_FOUND':
    case 'ERR_SUSPENDED':
      return new TensorrtNodeError(code, message, hint, {cause: error});
    default:
      return error;
  }
}

/** The same, and a FileError for a system call that failed on a file. */
export function typedWithFiles(error: unknown): unknown {
  const {code, syscall, path, message} = error instanceof Error ? (error as NodeJS.ErrnoException) : {};
  if (code === undefined || syscall === undefined || path === undefined || code.startsWith('ERR_')) return typed(error);
  return new FileError(message!, path, syscall, code, {cause: error});
}

/** Runs `action`, turning the addon's errors into typed ones. */
export function translated<T>(action: () => T): T {
  try {
    return action();
  } catch (error) {
    throw typed(error);
  }
}

/** For a promise of the addon: `promise.catch(rethrowTyped)`. */
export function rethrowTyped(error: unknown): never {
  throw typed(error);
}
