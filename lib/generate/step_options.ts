/** Options of timing a language model's layers. */

import type {ModelLimits, StepOptions} from '../backend/backend.js';
import {abortSignal, integer, noOthers, object, oneOf} from '../options.js';

export interface ProfileStepOptions {
  /** 'decode', the default: a token for each of `rows` sequences. 'prefill': `rows` tokens of a prompt. */
  step?: 'decode' | 'prefill';
  /** Default: 1, or 512 of a prompt, or as many as the context holds. Steps come in some sizes: the next larger one is timed. */
  rows?: number;
  /** Tokens that come before in each sequence, and whose keys and values attention reads. Default 0. */
  context?: number;
  /** Steps whose layers are timed. Default 10. */
  runs?: number;
  /** Steps before those. Default 2. */
  warmUp?: number;
  signal?: AbortSignal;
}

const PROMPT_ROWS = 512;

/** Throws OptionError. */
export function checkStepOptions(
  options: ProfileStepOptions,
  {maxBatch, maxContext}: ModelLimits,
): StepOptions & {signal: AbortSignal | undefined} {
  const {step = 'decode', context = 0, runs = 10, warmUp = 2, signal} = object('options', options);
  noOthers('options', options, ['step', 'rows', 'context', 'runs', 'warmUp', 'signal']);
  oneOf('step', step, ['decode', 'prefill']);
  integer('context', context, {min: 0, max: maxContext - 1});
  const {rows = step === 'decode' ? 1 : Math.min(PROMPT_ROWS, maxContext - context)} = options;
  integer('rows', rows, {min: 1, max: step === 'decode' ? maxBatch : maxContext - context});
  integer('runs', runs, {min: 1, max: 10_000});
  integer('warmUp', warmUp, {min: 0, max: 10_000});
  return {step, rows, context, runs, warmUp, signal: abortSignal(signal)};
}
