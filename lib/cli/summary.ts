/** A line for people about a reply: how much, how fast, and on what. */

import type {Finish} from '../generate/types.js';
import {formatDuration} from './format.js';

export function summary({usage, timings, finishReason}: Finish, {description}: {description: string}): string {
  const {promptTokens, cachedTokens, completionTokens} = usage;
  const parts = [
    cachedTokens > 0 ? `${promptTokens} prompt tokens, ${cachedTokens} of them kept` : `${promptTokens} prompt tokens`,
    `first token in ${formatDuration(timings.firstToken)}`,
    `${completionTokens} ${completionTokens === 1 ? 'token' : 'tokens'}${timings.perToken > 0 ? ` at ${(1000 / timings.perToken).toFixed(1)} tok/s` : ''}`,
  ];
  if (finishReason === 'length') parts.push('cut at the token limit');
  return `[${parts.join(' | ')}] ${description}`;
}
