/** Tells the forms of a prompt apart and checks them. */

import {OptionError} from '../errors.js';
import {type ChatMessage, checkMessages} from '../tokenizer/chat.js';
import type {Prompt} from './types.js';

export type PromptKind =
  | {kind: 'text'; text: string}
  | {kind: 'messages'; messages: readonly ChatMessage[]}
  | {kind: 'tokens'; tokens: Uint32Array};

/** Throws OptionError for anything that is no prompt, and for tokens outside the vocabulary. Tokens are a copy. */
export function promptKind(prompt: Prompt, vocabSize: number): PromptKind {
  if (typeof prompt === 'string') return {kind: 'text', text: prompt};
  if (prompt instanceof Uint32Array) return {kind: 'tokens', tokens: tokenList('prompt', prompt, vocabSize)};
  if (!Array.isArray(prompt) || prompt.length === 0) {
    throw new OptionError('prompt', 'text, a list of messages, or a list of tokens', prompt);
  }
  if (typeof prompt[0] === 'number') return {kind: 'tokens', tokens: tokenList('prompt', prompt as readonly number[], vocabSize)};
  checkMessages(prompt);
  return {kind: 'messages', messages: prompt};
}

/** A copy: a request begins later than it is made, and its sender may use the array again. Throws OptionError. */
export function tokenList(option: string, tokens: Uint32Array | readonly number[], vocabSize: number): Uint32Array {
  if (!(tokens instanceof Uint32Array) && !Array.isArray(tokens)) throw new OptionError(option, 'a list of tokens', tokens);
  for (let index = 0; index < tokens.length; index++) {
    const token: unknown = tokens[index];
    if (typeof token !== 'number' || !Number.isInteger(token) || token < 0 || token >= vocabSize) {
      throw new OptionError(`${option}[${index}]`, `a token from 0 to ${vocabSize - 1}`, token);
    }
  }
  return Uint32Array.from(tokens);
}
