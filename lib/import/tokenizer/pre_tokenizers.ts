/**
 * How byte-level BPE vocabularies cut a text before merging, by GGUF's `tokenizer.ggml.pre`. The patterns are those
 * of the models' own tokenizer.json (llama.cpp's src/llama-vocab.cpp quotes them and has the names), so that
 * the rebuilt tokenizer is the original's equal.
 */

import {UnsupportedError} from '../../errors.js';

export interface PreTokenizer {
  normalizer: object | null;
  preTokenizer: object;
  /** A word that is a token as a whole is taken without merging. */
  ignoreMerges: boolean;
  /** Whether a text begins with the BOS token, when the file does not say. */
  addBos: boolean;
}

const GPT2 = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
const CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
const TAIL = ' ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+';
const LLAMA3 = `${CONTRACTIONS}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}|${TAIL}`;
const QWEN2 = `${CONTRACTIONS}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}|${TAIL}`;

const UPPER = '[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]';
const LOWER = '[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]';
const TEKKEN =
  `[^\\r\\n\\p{L}\\p{N}]?${UPPER}*${LOWER}+|[^\\r\\n\\p{L}\\p{N}]?${UPPER}+${LOWER}*|\\p{N}` +
  '| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+';

const gpt2 = byteLevel(true);
const bytes = byteLevel(false);
const llama3 = cut(isolated(LLAMA3), bytes);

/** Names that share a pre-tokenizer stand together. */
const PRE_TOKENIZERS: readonly [names: readonly string[], preTokenizer: PreTokenizer][] = [
  [['gpt-2', 'mpt', 'olmo', 'trillion', 'granite-docling'], plain(gpt2)],
  // The original's Digits cut out what Unicode counts as a number, one by one.
  [['smollm', 'starcoder', 'refact', 'codeshell', 'minerva-7b'], plain(cut(isolated('\\p{N}'), gpt2))],
  [['llama-bpe', 'llama3', 'llama-v3', 'falcon3'], {...plain(llama3), ignoreMerges: true, addBos: true}],
  [['smaug-bpe'], plain(llama3)],
  [['qwen2', 'deepseek-r1-qwen'], {...plain(cut(isolated(QWEN2), bytes)), normalizer: {type: 'NFC'}}],
  [['tekken'], {...plain(cut(isolated(TEKKEN), bytes)), ignoreMerges: true, addBos: true}],
  [
    ['deepseek-coder'],
    plain(
      cut(
        isolated('[\\r\\n]'),
        isolated('\\s?\\p{L}+'),
        isolated('\\s?\\p{P}+'),
        isolated('[一-龥\\x{0800}-一가-\\x{D7FF}]+'),
        isolated('\\p{N}'),
        bytes,
      ),
    ),
  ],
  // llama.cpp's own cut, for files whose converter knew none.
  [['default'], plain(cut(isolated('[\\p{P}\\$\\+<=>\\^~\\|]+'), isolated(GPT2), isolated('\\p{N}+'), isolated('[0-9][0-9][0-9]'), bytes))],
];

/** UnsupportedError names a pre-tokenizer that is not known. */
export function preTokenizer(name: string): PreTokenizer {
  const found = PRE_TOKENIZERS.find(([names]) => names.includes(name));
  if (found) return found[1];
  throw new UnsupportedError(`the pre-tokenizer ${JSON.stringify(name)} is not known (tokenizer.ggml.pre)`);
}

function plain(preTokenizer: object): PreTokenizer {
  return {normalizer: null, preTokenizer, ignoreMerges: false, addBos: false};
}

function cut(...pretokenizers: object[]): object {
  return {type: 'Sequence', pretokenizers};
}

/** Matches and what lies between them become pieces of their own. */
function isolated(regex: string): object {
  return {type: 'Split', pattern: {Regex: regex}, behavior: 'Isolated', invert: false};
}

/** Bytes to the printable characters of the vocabulary; with `regex`, cut as GPT-2 does first. */
function byteLevel(regex: boolean): object {
  return {type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: regex};
}
