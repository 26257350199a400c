/** Reads and checks tokenizer.json, tokenizer_config.json and chat_template.jinja, before any of it is trusted. */

import {readFile} from 'node:fs/promises';
import {join} from 'node:path';

import {FormatError, UnsupportedError} from '../errors.js';

export type JsonObject = {readonly [key: string]: unknown};

/** The parts of tokenizer.json this library looks at itself; the rest goes to the tokenizer untouched. */
export interface TokenizerJson {
  readonly [key: string]: unknown;
  model: JsonObject & {type: 'BPE' | 'Unigram'};
  decoder: JsonObject;
  added_tokens: readonly AddedToken[];
}

export interface AddedToken {
  readonly [key: string]: unknown;
  id: number;
  content: string;
  special?: boolean;
}

export interface TokenizerSource {
  /** tokenizer.json's path, for messages. */
  path: string;
  json: TokenizerJson;
  config: JsonObject;
  /** The text of chat_template.jinja, which stands above the config's `chat_template`. */
  chatTemplateFile?: string;
}

export async function readTokenizerFiles(folder: string): Promise<TokenizerSource> {
  const path = join(folder, 'tokenizer.json');
  const configPath = join(folder, 'tokenizer_config.json');
  const [text, configText, chatTemplateFile] = await Promise.all([
    readText(path),
    readText(configPath),
    readText(join(folder, 'chat_template.jinja')),
  ]);
  if (text === undefined) throw new FormatError('ERR_TOKENIZER', path, 'no such file', 'a model folder needs its tokenizer.json');
  return {
    path,
    json: checkTokenizerJson(parseJson(text, path), path),
    config: configText === undefined ? {} : object(parseJson(configText, configPath), configPath, 'the file'),
    chatTemplateFile,
  };
}

/** Fills in what may be left out and refuses what cannot work. Throws FormatError ERR_TOKENIZER or UnsupportedError. */
export function checkTokenizerJson(value: unknown, path: string): TokenizerJson {
  const json = object(value, path, 'the file');
  const model = checkModel(object(json.model, path, 'model'), path);
  return {
    normalizer: null,
    pre_tokenizer: null,
    post_processor: null,
    ...json,
    model,
    added_tokens: checkAddedTokens(json.added_tokens ?? [], path),
    decoder: object(json.decoder, path, 'decoder'),
  };
}

function checkModel(model: JsonObject, path: string): TokenizerJson['model'] {
  // Files of early versions name no type.
  const type = model.type ?? (Array.isArray(model.vocab) ? 'Unigram' : 'BPE');
  if (type === 'BPE') {
    checkBpe(model, path);
    return {...model, type};
  }
  if (type === 'Unigram') {
    const vocab = model.vocab;
    const sound = (entry: unknown) => Array.isArray(entry) && typeof entry[0] === 'string' && typeof entry[1] === 'number';
    if (!Array.isArray(vocab) || vocab.length === 0 || !vocab.every(sound)) {
      throw new FormatError('ERR_TOKENIZER', path, 'model.vocab must be a list of [token, score]');
    }
    return {...model, type};
  }
  throw new UnsupportedError(`${path}: tokenizer model ${JSON.stringify(type)}`, 'BPE and Unigram are supported');
}

function checkBpe(model: JsonObject, path: string): void {
  const vocab = object(model.vocab, path, 'model.vocab');
  const tokens = Object.keys(vocab);
  if (tokens.length === 0) throw new FormatError('ERR_TOKENIZER', path, 'model.vocab is empty');
  for (const token of tokens) checkId(vocab[token], `model.vocab[${JSON.stringify(token)}]`, path);

  const merges = model.merges;
  if (!Array.isArray(merges)) throw new FormatError('ERR_TOKENIZER', path, 'model.merges is missing', 'a BPE tokenizer needs its merges');
  const pair = (each: unknown) =>
    typeof each === 'string'
      ? each.includes(' ')
      : Array.isArray(each) && each.length === 2 && each.every((side) => typeof side === 'string');
  const bad = merges.findIndex((each) => !pair(each));
  if (bad >= 0) throw new FormatError('ERR_TOKENIZER', path, `model.merges[${bad}] is not a pair of tokens`);
  // Without merges every text would fall apart into characters: the file is cut short, the reply would be noise.
  if (merges.length === 0 && tokens.length > 1024) {
    throw new FormatError(
      'ERR_TOKENIZER',
      path,
      `model.merges is empty for a vocabulary of ${tokens.length}`,
      'a BPE tokenizer needs its merges',
    );
  }
}

function checkAddedTokens(value: unknown, path: string): AddedToken[] {
  if (!Array.isArray(value)) throw new FormatError('ERR_TOKENIZER', path, 'added_tokens must be a list');
  return value.map((each: unknown, index) => {
    const token = object(each, path, `added_tokens[${index}]`);
    const {content, special} = token;
    if (typeof content !== 'string' || content === '') {
      throw new FormatError('ERR_TOKENIZER', path, `added_tokens[${index}].content must be text`);
    }
    return {...token, id: checkId(token.id, `added_tokens[${index}].id`, path), content, special: special === true};
  });
}

function checkId(value: unknown, what: string, path: string): number {
  // Larger than any vocabulary; keeps a damaged id from growing the id table without bound.
  const limit = 2 ** 24;
  if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value < limit) return value;
  throw new FormatError('ERR_TOKENIZER', path, `${what} must be an integer from 0 to ${limit - 1}, got ${JSON.stringify(value)}`);
}

function object(value: unknown, path: string, what: string): JsonObject {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as JsonObject;
  throw new FormatError('ERR_TOKENIZER', path, `${what} must be an object${value === undefined ? ', it is missing' : ''}`);
}

function parseJson(text: string, path: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new FormatError('ERR_TOKENIZER', path, 'not valid JSON', undefined, {cause});
  }
}

/** undefined when there is no such file. */
async function readText(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new FormatError('ERR_TOKENIZER', path, (cause as Error).message, undefined, {cause});
  }
}
