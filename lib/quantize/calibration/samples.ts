/** The calibration text as sequences of tokens, all of one length. */

import {readFile} from 'node:fs/promises';

import {FormatError, OptionError} from '../../errors.js';
import {type ChatMessage, renderChat} from '../../tokenizer/chat.js';
import type {TextTokenizer} from '../../tokenizer/tokenizer.js';
import {ENGLISH} from './english.js';

export interface SampleOptions {
  /** A text file, or .jsonl; undefined for the text of the package. */
  calibration?: string;
  samples: number;
  sequenceLength: number;
}

/**
 * Texts one after another, cut into sequences; those taken are spread over the whole. Throws FormatError for a file that is not
 * there or not what its name says, OptionError for one too short.
 */
export async function readSamples(tokenizer: TextTokenizer, {calibration, samples, sequenceLength}: SampleOptions): Promise<Uint32Array[]> {
  const texts = calibration === undefined ? ENGLISH : await readTexts(calibration, tokenizer);
  const tokens = texts.flatMap((text) => [...tokenizer.encode(text, {addSpecialTokens: true})]);
  const whole = Math.floor(tokens.length / sequenceLength);
  if (whole === 0) throw new OptionError('calibration', `a text of at least ${sequenceLength} tokens (one sequence)`, calibration);
  const taken = Math.min(samples, whole);
  return Array.from({length: taken}, (_, at) => {
    const first = Math.floor((at * whole) / taken) * sequenceLength;
    return Uint32Array.from(tokens.slice(first, first + sequenceLength));
  });
}

async function readTexts(path: string, tokenizer: TextTokenizer): Promise<string[]> {
  const text = await readFile(path, 'utf8').catch((cause: unknown) => {
    throw new FormatError('ERR_NOT_FOUND', path, 'cannot be read', undefined, {cause});
  });
  if (!path.endsWith('.jsonl')) return [text];
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  return lines.map((line, at) => textOf(line, `line ${at + 1}`, path, tokenizer));
}

function textOf(line: string, where: string, path: string, {chatTemplate}: TextTokenizer): string {
  const fail = (problem: string): never => {
    throw new FormatError('ERR_CONFIG', path, `${where} ${problem}`);
  };
  let value: {text?: unknown; messages?: unknown};
  try {
    value = JSON.parse(line);
  } catch {
    return fail('is not JSON');
  }
  if (typeof value?.text === 'string') return value.text;
  if (!Array.isArray(value?.messages)) return fail('has neither a text nor messages');
  return renderChat(chatTemplate, value.messages as ChatMessage[], {addGenerationPrompt: false});
}
