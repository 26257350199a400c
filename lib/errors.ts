/** Every error this library throws on purpose, each with a stable `code`. */

import {inspect} from 'node:util';

export type ErrorCode =
  | 'ERR_OPTION'
  | 'ERR_ABORTED'
  | 'ERR_DISPOSED'
  | 'ERR_NOT_FOUND'
  | 'ERR_PATH_OUTSIDE'
  | 'ERR_GGUF'
  | 'ERR_SAFETENSORS'
  | 'ERR_CONFIG'
  | 'ERR_TOKENIZER'
  | 'ERR_CHAT_TEMPLATE'
  | 'ERR_ONNX'
  | 'ERR_UNSUPPORTED'
  | 'ERR_CONTEXT_LENGTH'
  | 'ERR_OUT_OF_MEMORY'
  | 'ERR_DOES_NOT_FIT'
  | 'ERR_BUSY'
  | 'ERR_SUSPENDED'
  | 'ERR_TIMEOUT'
  | 'ERR_MEMORY_PRESSURE'
  | 'ERR_FILE'
  | 'ERR_BACKEND'
  | 'ERR_ADDON'
  | 'ERR_CUDA'
  | 'ERR_TENSORRT'
  | 'ERR_BUILD'
  | 'ERR_MANIFEST'
  | 'ERR_PLAN'
  | 'ERR_PLAN_MISMATCH'
  | 'ERR_IMAGE'
  | 'ERR_NPY'
  | 'ERR_TRACE';

/** The base of all errors of this library: `error.code` says what went wrong, `error.hint` what to do about it. */
export class TensorrtNodeError extends Error {
  override readonly name: string = 'TensorrtNodeError';

  constructor(
    readonly code: ErrorCode,
    message: string,
    /** What the user can do, when that is known. */
    readonly hint?: string,
    options?: ErrorOptions,
  ) {
    super(hint === undefined ? message : `${message} (${hint})`, options);
  }

  /** The message without the hint, where that is shown apart or is another's to give. */
  get problem(): string {
    return this.hint === undefined ? this.message : this.message.slice(0, -` (${this.hint})`.length);
  }
}

/** An argument that cannot be used. Nothing was started when this is thrown. */
export class OptionError extends TypeError {
  override readonly name = 'OptionError';
  readonly code = 'ERR_OPTION';

  constructor(
    readonly option: string,
    /** What it must be. */
    readonly allowed: string,
    readonly value: unknown,
  ) {
    super(`${option} must be ${allowed}, got ${inspect(value, {depth: 1, maxStringLength: 80})}`);
  }
}

export type FormatErrorCode =
  | 'ERR_GGUF'
  | 'ERR_SAFETENSORS'
  | 'ERR_CONFIG'
  | 'ERR_TOKENIZER'
  | 'ERR_CHAT_TEMPLATE'
  | 'ERR_ONNX'
  | 'ERR_MANIFEST'
  | 'ERR_PLAN'
  | 'ERR_PLAN_MISMATCH'
  | 'ERR_IMAGE'
  | 'ERR_NPY'
  | 'ERR_TRACE'
  | 'ERR_PATH_OUTSIDE'
  | 'ERR_NOT_FOUND';

/** A file or folder that is damaged, hostile or not what it claims to be. `path` names it. */
export class FormatError extends TensorrtNodeError {
  override readonly name = 'FormatError';

  constructor(
    override readonly code: FormatErrorCode,
    readonly path: string,
    problem: string,
    hint?: string,
    options?: ErrorOptions,
  ) {
    super(code, `${path}: ${problem}`, hint, options);
  }
}

/** Sound input that this version cannot handle: an architecture, a tensor type, an operator. The message names it. */
export class UnsupportedError extends TensorrtNodeError {
  override readonly name = 'UnsupportedError';

  constructor(message: string, hint?: string) {
    super('ERR_UNSUPPORTED', message, hint);
  }
}

/** The caller's signal ended the work. `cause` is the signal's reason. Named as the platform names it. */
export class AbortError extends TensorrtNodeError {
  override readonly name = 'AbortError';

  constructor(reason?: unknown) {
    super('ERR_ABORTED', 'the operation was aborted', undefined, {cause: reason});
  }
}

/** What went wrong, of whatever was thrown. */
export function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}

/** Throws AbortError if `signal` has fired. Call it between the steps of long work. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new AbortError(signal.reason);
}
