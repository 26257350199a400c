/**
 * tokenizer.json of a SentencePiece BPE vocabulary with scores (Llama 1 and 2, Mistral up to its 7B).
 *
 * Rebuilt as BPE with byte fallback, not as Unigram: these models were trained as BPE, where the score is minus the
 * rank of the merge that made the piece, and both SentencePiece and llama.cpp merge the best-scored pair first.
 * Unigram would choose the best sum of scores instead, which is another segmentation.
 */

import {FormatError} from '../../errors.js';
import {addedTokens, postProcessor, type SpecialTokens, TokenType, type Vocabulary} from './vocabulary.js';

export interface SentencePieceVocabulary extends Vocabulary {
  /** By token id; higher merges first. */
  scores: ArrayLike<number>;
  /** A space is put before the text, and after each special token. */
  addSpacePrefix: boolean;
}

const SPACE = '\u2581';

/** In UTF-16 units. SentencePiece's trainer makes pieces of at most 16 characters, Llama's largest has 48. */
const MAX_PIECE = 512;

/** Llama 2's 32,000 pieces have 61,249 merges; a hostile vocabulary could have hundreds for each of its pieces. */
const MAX_MERGES = 1 << 21;

/** Throws FormatError ERR_TOKENIZER, naming `path`, for a vocabulary nothing can be merged with. */
export function sentencePieceTokenizer(path: string, vocabulary: SentencePieceVocabulary, special: SpecialTokens): object {
  const ids = new Map(vocabulary.tokens.map((token, id) => [token, id]));
  const merges = mergesOf(path, vocabulary, ids);
  if (merges.length === 0) throw new FormatError('ERR_TOKENIZER', path, 'no two pieces of the tokenizer make a third: it has no merges');
  const byteFallback = Array.from({length: 256}, (_, byte) => byteToken(byte)).every((token) => ids.has(token));
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: addedTokens(vocabulary),
    normalizer: {
      type: 'Sequence',
      normalizers: [
        ...(vocabulary.addSpacePrefix ? [{type: 'Prepend', prepend: SPACE}] : []),
        {type: 'Replace', pattern: {String: ' '}, content: SPACE},
      ],
    },
    pre_tokenizer: null,
    post_processor: postProcessor(vocabulary, special),
    decoder: {
      type: 'Sequence',
      decoders: [
        {type: 'Replace', pattern: {String: SPACE}, content: ' '},
        {type: 'ByteFallback'},
        {type: 'Fuse'},
        ...(vocabulary.addSpacePrefix ? [{type: 'Strip', content: ' ', start: 1, stop: 0}] : []),
      ],
    },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: special.unk === undefined ? null : vocabulary.tokens[special.unk],
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: true,
      byte_fallback: byteFallback,
      ignore_merges: false,
      vocab: Object.fromEntries(ids),
      merges,
    },
  };
}

/**
 * Every way to put a piece together from two others, best score first, as transformers derives them
 * (`SentencePieceExtractor`); of equal scores, the piece with the lower id: Mistral's runs of spaces share one score.
 */
function mergesOf(path: string, {tokens, types, scores}: SentencePieceVocabulary, ids: ReadonlyMap<string, number>): [string, string][] {
  const merges: {piece: number; left: number; right: number}[] = [];
  for (const [id, token] of tokens.entries()) {
    if (types[id] !== TokenType.normal) continue;
    if (token.length > MAX_PIECE) {
      throw new FormatError('ERR_TOKENIZER', path, `piece ${id} of the tokenizer has ${token.length} characters, more than ${MAX_PIECE}`);
    }
    for (let cut = 1; cut < token.length; cut++) {
      const left = ids.get(token.slice(0, cut));
      const right = left === undefined ? undefined : ids.get(token.slice(cut));
      if (left !== undefined && right !== undefined) merges.push({piece: id, left, right});
    }
    if (merges.length > MAX_MERGES) throw new FormatError('ERR_TOKENIZER', path, `the tokenizer has more than ${MAX_MERGES} merges`);
  }
  merges.sort((a, b) => scores[b.piece]! - scores[a.piece]! || a.piece - b.piece || a.left - b.left || a.right - b.right);
  return merges.map(({left, right}) => [tokens[left]!, tokens[right]!]);
}

function byteToken(byte: number): string {
  return `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`;
}
