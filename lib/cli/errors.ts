/** What a failed command says and how it ends: 1 for failures, 2 for usage, 128 + signal when it was interrupted. */

import {constants} from 'node:os';

import {CommanderError} from 'commander';

import {AbortError, OptionError} from '../errors.js';

/** A command line that cannot be run, found after parsing. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

export function printError(error: unknown): void {
  // Commander has told its errors already, and whoever interrupts knows why it ended.
  if (error instanceof CommanderError || interruptOf(error)) return;
  console.error(`tensorrt-node: ${describe(error)}`);
}

/** One line; the code in brackets is what scripts and searches look for. */
export function describe(error: unknown): string {
  const {message, code} = error instanceof Error ? (error as Error & {code?: unknown}) : {message: String(error), code: undefined};
  const line = message.replaceAll(/\s*\n\s*/g, ' ');
  return typeof code === 'string' ? `${line} [${code}]` : line;
}

export function exitCodeOf(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  if (error instanceof UsageError || error instanceof OptionError) return 2;
  return interruptOf(error)?.exitCode ?? 1;
}

function interruptOf(error: unknown): Interrupted | undefined {
  return error instanceof AbortError && error.cause instanceof Interrupted ? error.cause : undefined;
}

/** The reason of an abort from outside: a signal, or a reader of stdout that went away, such as `head`. */
export class Interrupted extends Error {
  override readonly name = 'Interrupted';

  constructor(readonly by: 'SIGINT' | 'SIGTERM' | 'EPIPE') {
    super(by);
  }

  get exitCode(): number {
    // A reader that closes early has what it wanted.
    return this.by === 'EPIPE' ? 0 : 128 + constants.signals[this.by];
  }
}
