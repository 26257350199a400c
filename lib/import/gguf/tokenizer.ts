/** The tokenizer that a GGUF file carries in its metadata, as the files Hugging Face's tokenizers read. */

import {FormatError, UnsupportedError} from '../../errors.js';
import type {TokenizerFiles} from '../checkpoint.js';
import {byteLevelTokenizer} from '../tokenizer/byte_level.js';
import {preTokenizer} from '../tokenizer/pre_tokenizers.js';
import {sentencePieceTokenizer} from '../tokenizer/sentencepiece.js';
import {type SpecialTokens, TokenType, tokenizerConfig, type Vocabulary} from '../tokenizer/vocabulary.js';
import type {SpecialTokenIds} from './config.js';
import type {Metadata} from './metadata.js';

export interface GgufTokenizer {
  files: TokenizerFiles;
  tokens: SpecialTokenIds;
  tokenCount: number;
}

/** Control tokens that end a reply whatever the metadata names, as in llama.cpp's list of end-of-generation tokens. */
const ENDS = ['<|eot_id|>', '<|im_end|>', '<|end|>', '<end_of_turn>', '<|endoftext|>', '<|eom_id|>', '<|end_of_text|>', '<EOT>', '</s>'];

/** Throws FormatError ERR_TOKENIZER for a tokenizer that is damaged, UnsupportedError for a kind that is not known. */
export function readTokenizer(path: string, metadata: Metadata): GgufTokenizer {
  const error = (problem: string) => new FormatError('ERR_TOKENIZER', path, problem);
  const model = metadata.string('tokenizer.ggml.model');
  if (model === undefined) throw error('the file has no tokenizer (tokenizer.ggml.model)');
  if (model !== 'gpt2' && model !== 'llama') {
    throw new UnsupportedError(
      `the tokenizer model ${JSON.stringify(model)} is not read (tokenizer.ggml.model)`,
      "read are 'gpt2' and 'llama'",
    );
  }
  const pre = metadata.string('tokenizer.ggml.pre') ?? 'default';

  const tokens = metadata.strings('tokenizer.ggml.tokens');
  if (!tokens || tokens.length === 0) throw error('the tokenizer has no tokens (tokenizer.ggml.tokens)');
  checkDistinct(tokens, error);
  const special = readSpecialTokens(metadata, model, pre, tokens.length, error);
  const ends = ['eos', 'eot', 'eom'].map(
    (name) => tokenId(metadata, name, tokens.length, error) ?? (name === 'eos' ? special.eos : undefined),
  );
  const vocabulary: Vocabulary = {tokens, types: readTypes(metadata, tokens.length, [special.bos, ...ends], error)};

  const json =
    model === 'gpt2'
      ? byteLevelTokenizer(path, vocabulary, metadata.strings('tokenizer.ggml.merges'), pre, special)
      : sentencePieceTokenizer(
          path,
          {
            ...vocabulary,
            scores: readScores(metadata, tokens.length, error),
            addSpacePrefix: metadata.boolean('tokenizer.ggml.add_space_prefix') ?? true,
          },
          special,
        );
  const config = {...tokenizerConfig(vocabulary, special), chat_template: readChatTemplate(metadata)};
  return {
    files: {tokenizerJson: JSON.stringify(json), tokenizerConfigJson: JSON.stringify(config, null, 2)},
    tokens: {
      bosTokenId: special.bos,
      eosTokenIds: [...new Set([...ends.filter((id) => id !== undefined), ...endsByName(vocabulary)])],
      padTokenId: special.pad,
    },
    tokenCount: tokens.length,
  };
}

type MakeError = (problem: string) => FormatError;

/** tokenizer.json maps texts to ids, so that two tokens of one text cannot both be kept. */
function checkDistinct(tokens: readonly string[], error: MakeError): void {
  const seen = new Map<string, number>();
  for (const [id, token] of tokens.entries()) {
    const other = seen.get(token);
    if (other !== undefined) throw error(`tokens ${other} and ${id} are both ${JSON.stringify(token.slice(0, 80))}`);
    seen.set(token, id);
  }
}

/** Defaults are llama.cpp's for each model. */
function readSpecialTokens(metadata: Metadata, model: 'gpt2' | 'llama', pre: string, count: number, error: MakeError): SpecialTokens {
  const id = (name: string) => tokenId(metadata, name, count, error);
  const pieces = model === 'llama';
  return {
    bos: id('bos') ?? (pieces ? 1 : undefined),
    eos: id('eos') ?? (pieces ? 2 : undefined),
    unk: id('unknown') ?? (pieces ? 0 : undefined),
    pad: id('padding'),
    addBos: metadata.boolean('tokenizer.ggml.add_bos_token') ?? (pieces || preTokenizer(pre).addBos),
    addEos: metadata.boolean('tokenizer.ggml.add_eos_token') ?? false,
  };
}

function tokenId(metadata: Metadata, name: string, count: number, error: MakeError): number | undefined {
  const key = `tokenizer.ggml.${name}_token_id`;
  const id = metadata.integer(key);
  // Converters write all ones for "none".
  if (id === undefined || id === -1 || id === 0xffffffff) return undefined;
  if (id < 0 || id >= count) throw error(`${key} is ${id}, there are ${count} tokens`);
  return id;
}

/** Types by token id; the tokens with a part to play are control tokens even where the file does not say so. */
function readTypes(metadata: Metadata, count: number, controls: readonly (number | undefined)[], error: MakeError): number[] {
  const given = metadata.numbers('tokenizer.ggml.token_type');
  if (given && given.length !== count) throw error(`there are ${count} tokens, but ${given.length} token types`);
  const types: number[] = given ? Array.from(given) : new Array(count).fill(TokenType.normal);
  for (const id of controls) if (id !== undefined && id < count && types[id] === TokenType.normal) types[id] = TokenType.control;
  return types;
}

function readScores(metadata: Metadata, count: number, error: MakeError): ArrayLike<number> {
  const scores = metadata.numbers('tokenizer.ggml.scores');
  if (!scores) throw error('the tokenizer has no scores to merge by (tokenizer.ggml.scores)');
  if (scores.length !== count) throw error(`there are ${count} tokens, but ${scores.length} scores`);
  return scores;
}

function endsByName({tokens, types}: Vocabulary): number[] {
  return ENDS.map((text) => tokens.indexOf(text)).filter((id) => types[id] === TokenType.control);
}

/** A template, or Hugging Face's list of named ones where the file has more than the default. */
function readChatTemplate(metadata: Metadata): string | {name: string; template: string}[] | undefined {
  const template = metadata.string('tokenizer.chat_template');
  const named: {name: string; template: string}[] = [];
  for (const name of metadata.strings('tokenizer.chat_templates') ?? []) {
    const text = metadata.string(`tokenizer.chat_template.${name}`);
    if (text !== undefined) named.push({name, template: text});
  }
  if (named.length === 0) return template;
  return template === undefined ? named : [{name: 'default', template}, ...named];
}
