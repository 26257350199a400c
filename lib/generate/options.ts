/** Checks what `generate` was given and fills in the defaults. */

import {randomInt} from 'node:crypto';

import type {SamplingParameters} from '../backend/backend.js';
import {OptionError} from '../errors.js';
import {abortSignal, integer, number, object} from '../options.js';
import {StopStrings} from '../tokenizer/stop_strings.js';
import type {GenerateOptions} from './types.js';

/** Options with every default applied. */
export interface CheckedOptions {
  /** Undefined: as many as the context holds. */
  maxNewTokens: number | undefined;
  sampling: SamplingParameters;
  stop: readonly string[];
  logprobs: number | undefined;
  chat: NonNullable<GenerateOptions['chat']>;
  signal: AbortSignal | undefined;
}

const MAX_SEED = 0xffff_ffff;

/** Throws OptionError. `vocabSize` bounds the tokens of `logitBias`. */
export function checkOptions(options: GenerateOptions, vocabSize: number): CheckedOptions {
  const {maxNewTokens, temperature = 0, topK = 0, topP = 1, minP = 0, repetitionPenalty = 1} = object('options', options);
  const {presencePenalty = 0, frequencyPenalty = 0, logitBias, seed = randomInt(MAX_SEED + 1), stop, logprobs, chat = {}, signal} = options;
  return {
    maxNewTokens: maxNewTokens === undefined ? undefined : integer('maxNewTokens', maxNewTokens, {min: 1}),
    sampling: {
      temperature: number('temperature', temperature, {min: 0, max: 100}),
      topK: integer('topK', topK, {min: 0}),
      topP: positive('topP', topP, 1),
      minP: number('minP', minP, {min: 0, max: 1}),
      repetitionPenalty: positive('repetitionPenalty', repetitionPenalty, 100),
      presencePenalty: number('presencePenalty', presencePenalty, {min: -100, max: 100}),
      frequencyPenalty: number('frequencyPenalty', frequencyPenalty, {min: -100, max: 100}),
      logitBias: checkLogitBias(logitBias, vocabSize),
      seed: integer('seed', seed, {min: 0, max: MAX_SEED}),
    },
    stop: checkStop(stop),
    logprobs: logprobs === undefined ? undefined : integer('logprobs', logprobs, {min: 0, max: 100}),
    chat: checkChat(chat),
    signal: abortSignal(signal),
  };
}

function checkChat(chat: CheckedOptions['chat']): CheckedOptions['chat'] {
  const {tools, variables} = object('chat', chat);
  if (tools !== undefined && !Array.isArray(tools)) throw new OptionError('chat.tools', 'a list of objects', tools);
  if (variables !== undefined) object('chat.variables', variables);
  return chat;
}

function positive(option: string, value: unknown, max: number): number {
  if (typeof value === 'number' && value > 0 && value <= max) return value;
  throw new OptionError(option, `a number above 0 and up to ${max}`, value);
}

function checkStop(stop: GenerateOptions['stop']): readonly string[] {
  if (stop === undefined) return [];
  const stops = typeof stop === 'string' ? [stop] : stop;
  if (!Array.isArray(stops)) throw new OptionError('stop', 'a string or a list of strings', stop);
  // Its constructor knows what a stop string may be.
  new StopStrings(stops);
  return [...stops];
}

function checkLogitBias(bias: GenerateOptions['logitBias'], vocabSize: number): ReadonlyMap<number, number> {
  if (bias === undefined) return new Map();
  if (typeof bias !== 'object' || bias === null) throw new OptionError('logitBias', 'a map from tokens to numbers', bias);
  const entries: [unknown, unknown][] =
    bias instanceof Map ? [...bias] : Object.entries(bias).map(([token, value]) => [token.trim() === '' ? token : Number(token), value]);
  const checked = new Map<number, number>();
  for (const [token, value] of entries) {
    const id = integer('logitBias key', token, {min: 0, max: vocabSize - 1});
    if (typeof value !== 'number' || Number.isNaN(value) || value === Infinity) {
      throw new OptionError(`logitBias[${id}]`, 'a finite number or -Infinity', value);
    }
    checked.set(id, value);
  }
  let banned = 0;
  for (const value of checked.values()) if (value === -Infinity) banned++;
  if (banned === vocabSize) throw new OptionError('logitBias', 'a map that leaves a token to choose', '-Infinity for each');
  return checked;
}
