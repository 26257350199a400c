/** tokenizer.json of a byte-level BPE vocabulary with merges (GPT-2's kind: Llama 3, Qwen, SmolLM). */

import {FormatError} from '../../errors.js';
import {preTokenizer} from './pre_tokenizers.js';
import {addedTokens, postProcessor, type SpecialTokens, type Vocabulary} from './vocabulary.js';

/**
 * `merges` are pairs with a space between, in their order of rank; `pre` is GGUF's name of the pre-tokenizer.
 * Throws FormatError ERR_TOKENIZER, naming `path`, without usable merges; UnsupportedError for an unknown `pre`.
 */
export function byteLevelTokenizer(
  path: string,
  vocabulary: Vocabulary,
  merges: readonly string[] | undefined,
  pre: string,
  special: SpecialTokens,
): object {
  const error = (problem: string) => new FormatError('ERR_TOKENIZER', path, problem);
  if (!merges || merges.length === 0) throw error('the tokenizer has no merges (tokenizer.ggml.merges)');
  for (const [i, merge] of merges.entries()) {
    const space = merge.indexOf(' ', 1);
    if (space < 0 || space === merge.length - 1 || merge.includes(' ', space + 1)) {
      throw error(`merge ${i} of the tokenizer is ${JSON.stringify(merge.slice(0, 80))}, not two parts with a space between`);
    }
  }
  const {normalizer, preTokenizer: cut, ignoreMerges} = preTokenizer(pre);
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: addedTokens(vocabulary),
    normalizer,
    pre_tokenizer: cut,
    post_processor: postProcessor(vocabulary, special),
    decoder: {type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: false},
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: ignoreMerges,
      vocab: Object.fromEntries(vocabulary.tokens.map((token, id) => [token, id])),
      merges,
    },
  };
}
