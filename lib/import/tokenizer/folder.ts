/** The tokenizer of a Hugging Face folder: tokenizer.json as it is, or one rebuilt from a SentencePiece tokenizer.model. */

import {join} from 'node:path';

import {FormatError} from '../../errors.js';
import type {TokenizerFiles} from '../checkpoint.js';
import {InputFile} from '../input_file.js';
import {isObject, type JsonObject, parseObject, readJson, readText} from '../json_file.js';
import {sentencePieceTokenizer} from './sentencepiece.js';
import {readSentencePieceModel} from './sentencepiece_model.js';
import {type SpecialTokens, TokenType, tokenizerConfig} from './vocabulary.js';

/** Throws FormatError ERR_TOKENIZER for a missing or damaged tokenizer. */
export async function readTokenizerFolder(folder: string): Promise<TokenizerFiles> {
  const path = join(folder, 'tokenizer.json');
  const config = (await readJson(join(folder, 'tokenizer_config.json'), 'ERR_TOKENIZER')) ?? {};
  const text = await readText(path, 'ERR_TOKENIZER');
  const rebuilt = text === undefined ? await rebuild(folder, config) : undefined;
  const tokenizerJson = text ?? JSON.stringify(rebuilt!.json);
  checkMerges(path, parseObject(tokenizerJson, path, 'ERR_TOKENIZER'));
  const template = await readChatTemplate(folder);
  const merged = {...rebuilt?.config, ...config, ...(template === undefined ? {} : {chat_template: template})};
  return {tokenizerJson, tokenizerConfigJson: JSON.stringify(merged, null, 2)};
}

function checkMerges(path: string, {model}: JsonObject): void {
  if (!isObject(model)) throw new FormatError('ERR_TOKENIZER', path, 'has no model');
  if (model.type !== 'BPE') return;
  if (!Array.isArray(model.merges) || model.merges.length === 0) throw new FormatError('ERR_TOKENIZER', path, 'has no merges');
}

/** The template's own file stands above the one in tokenizer_config.json, as in transformers. */
async function readChatTemplate(folder: string): Promise<unknown> {
  const jinja = await readText(join(folder, 'chat_template.jinja'), 'ERR_TOKENIZER');
  if (jinja !== undefined) return jinja;
  const json = await readJson(join(folder, 'chat_template.json'), 'ERR_TOKENIZER');
  return json?.chat_template;
}

async function rebuild(folder: string, config: JsonObject): Promise<{json: object; config: JsonObject}> {
  const path = join(folder, 'tokenizer.model');
  const file = await InputFile.open(path).catch((cause: unknown) => {
    throw new FormatError('ERR_NOT_FOUND', folder, 'has neither tokenizer.json nor tokenizer.model', undefined, {cause});
  });
  try {
    const {vocabulary, special} = readSentencePieceModel(path, await file.read(0, checkedSize(path, file.size)));
    const tokens: SpecialTokens = {...special, addBos: config.add_bos_token !== false, addEos: config.add_eos_token === true};
    const whole = {...vocabulary, ...withAddedTokens(path, vocabulary, config)};
    return {json: sentencePieceTokenizer(path, whole, tokens), config: tokenizerConfig(whole, tokens)};
  } finally {
    await file[Symbol.asyncDispose]();
  }
}

/** The largest SentencePiece models take some 5 MB. */
function checkedSize(path: string, size: number): number {
  if (size > 1 << 28) throw new FormatError('ERR_TOKENIZER', path, `is ${size} bytes long, too much for a SentencePiece model`);
  return size;
}

/** Tokens that were added after training stand in tokenizer_config.json's added_tokens_decoder. */
function withAddedTokens(
  path: string,
  vocabulary: {tokens: readonly string[]; types: ArrayLike<number>; scores: ArrayLike<number>},
  config: JsonObject,
): {tokens: string[]; types: number[]; scores: number[]} {
  const tokens = [...vocabulary.tokens];
  const types = Array.from(vocabulary.types);
  const scores = Array.from(vocabulary.scores);
  const added = Object.entries(isObject(config.added_tokens_decoder) ? config.added_tokens_decoder : {})
    .map(([key, token]) => ({id: Number(key), token}))
    .sort((a, b) => a.id - b.id);
  for (const {id, token} of added) {
    if (!isObject(token) || typeof token.content !== 'string' || !(Number.isInteger(id) && id >= 0 && id <= tokens.length)) {
      throw new FormatError('ERR_TOKENIZER', path, `added_tokens_decoder has the token ${id}, the vocabulary ends at ${tokens.length}`);
    }
    tokens[id] = token.content;
    types[id] = token.special === true ? TokenType.control : TokenType.userDefined;
    scores[id] ??= 0;
  }
  return {tokens, types, scores};
}
