/** Options that several commands share, and how their text becomes values. Ranges are the library's to check. */

import {type Command, InvalidArgumentError, Option} from 'commander';

import {KV_CACHE_TYPES} from '../backend/kv_cache_type.js';
import type {LoadOptions} from '../generate/load.js';
import type {GenerateOptions} from '../generate/types.js';

export type LoadFlags = Pick<LoadOptions, 'backend' | 'device' | 'maxContext' | 'kvCacheType' | 'threads' | 'accuracyLevel'>;

/** What of `generate`'s options the flags below set; the rest each command sets itself. */
export type SamplingFlags = Omit<GenerateOptions, 'logprobs' | 'chat' | 'signal'>;

export function addLoadOptions(command: Command): Command {
  return command
    .addOption(new Option('--backend <name>', 'what runs the model').choices(['auto', 'cpu', 'tensorrt']).default('auto'))
    .option('--device <n>', 'GPU, as CUDA numbers them', number)
    .option('--max-context <n>', 'tokens a conversation may hold, prompt and reply together', number)
    .addOption(kvCacheOption())
    .option('--threads <n>', 'threads of the CPU backend', number)
    .option(
      '--accuracy-level <n>',
      'of 4- and 8-bit products on the CPU: 0 is exact, 4 rounds activations to 8 bits and is faster',
      number,
    );
}

export function addSamplingOptions(command: Command): Command {
  return command
    .option('-n, --max-new-tokens <n>', 'end the reply after so many tokens', number)
    .option('-t, --temperature <x>', '0 always takes the likeliest token; higher is more varied', number)
    .option('--top-k <n>', 'keep the n likeliest tokens; 0 keeps all', number)
    .option('--top-p <x>', 'keep the smallest set of tokens with this probability; 1 keeps all', number)
    .option('--min-p <x>', 'drop tokens less likely than x times the likeliest; 0 keeps all', number)
    .option('--repetition-penalty <x>', 'make tokens that occurred less likely; 1 is off', number)
    .option('--presence-penalty <x>', 'subtract x from the logits of tokens in the reply', number)
    .option('--frequency-penalty <x>', 'subtract x for each time a token is in the reply', number)
    .option('--logit-bias <token=x>', "add x to a token's logit; -Infinity bans it; repeatable", logitBias)
    .option('--seed <n>', 'the same seed gives the same reply', number)
    .option('--stop <text>', 'end the reply before this text; repeatable', (text: string, before: string[] = []) => [...before, text]);
}

/** `of`: what stands before it in the help. */
export function kvCacheOption(of = ''): Option {
  return new Option('--kv-cache-type <type>', `${of}what keys and values are kept in: 8 bits take half of the memory`).choices(
    KV_CACHE_TYPES,
  );
}

export function loadOptions({backend, device, maxContext, kvCacheType, threads, accuracyLevel}: LoadFlags): LoadFlags {
  return {backend, device, maxContext, kvCacheType, threads, accuracyLevel};
}

export function samplingOptions(flags: SamplingFlags): SamplingFlags {
  const {maxNewTokens, temperature, topK, topP, minP, repetitionPenalty, presencePenalty, frequencyPenalty, logitBias, seed, stop} = flags;
  return {maxNewTokens, temperature, topK, topP, minP, repetitionPenalty, presencePenalty, frequencyPenalty, logitBias, seed, stop};
}

export function number(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || Number.isNaN(value)) throw new InvalidArgumentError('It is not a number.');
  return value;
}

function logitBias(text: string, before = new Map<number, number>()): Map<number, number> {
  const [token, bias, ...rest] = text.split('=');
  if (token === undefined || bias === undefined || rest.length > 0) throw new InvalidArgumentError('It is not token=bias.');
  return new Map([...before, [number(token), number(bias)]]);
}
