/** A model's tokenizer: text to tokens and back, as its tokenizer.json says. */

import {Tokenizer} from '@huggingface/tokenizers';

import {FormatError, OptionError} from '../errors.js';
import {observedWork} from '../observers.js';
import {type ChatTemplate, readChatTemplate} from './chat.js';
import {TextStream, type TextStreamOptions} from './text_stream.js';
import {createTokenBytes, type TokenBytes} from './token_bytes.js';
import {type JsonObject, readTokenizerFiles, type TokenizerSource} from './tokenizer_file.js';

export interface EncodeOptions {
  /** Add what the model expects around a text, such as the token that begins it. Default true; false after a chat template. */
  addSpecialTokens?: boolean;
}

export interface SpecialToken {
  id: number;
  content: string;
}

/**
 * Reads the tokenizer of a model folder: tokenizer.json, tokenizer_config.json and chat_template.jinja, the last
 * two where they exist. Throws FormatError with code ERR_TOKENIZER for missing or damaged files, and
 * UnsupportedError for a tokenizer of another kind than BPE or Unigram.
 */
export async function loadTokenizer(folder: string): Promise<TextTokenizer> {
  return new TextTokenizer(await readTokenizerFiles(folder));
}

export class TextTokenizer {
  /** One more than the largest token id; a model's logits may have more rows. */
  readonly vocabSize: number;
  /** The token that begins a text, for models that have one. */
  readonly bos: SpecialToken | undefined;
  /** The token that ends a text or a reply. */
  readonly eos: SpecialToken | undefined;
  readonly specialTokenIds: ReadonlySet<number>;
  /** undefined for a model that was not made for chat. */
  readonly chatTemplate: ChatTemplate | undefined;
  readonly #path: string;
  readonly #tokenizer: Tokenizer;
  readonly #bytes: TokenBytes;

  constructor(source: TokenizerSource) {
    const {json, config, path} = source;
    this.#path = path;
    try {
      this.#tokenizer = new Tokenizer(json, config);
    } catch (cause) {
      throw new FormatError('ERR_TOKENIZER', path, (cause as Error).message, undefined, {cause});
    }
    const vocabulary = readVocabulary(this.#tokenizer, source);
    const special = new Set<number>();
    const idOf = (content: string | undefined) => (content === undefined ? undefined : this.#tokenizer.token_to_id(content));
    for (const {id, special: isSpecial} of json.added_tokens) if (isSpecial) special.add(id);
    for (const content of contents(config.additional_special_tokens)) {
      const id = idOf(content);
      if (id !== undefined) special.add(id);
    }
    this.specialTokenIds = special;
    this.#bytes = createTokenBytes(source, vocabulary, special);
    this.vocabSize = 1 + [...vocabulary.keys()].reduce((largest, id) => Math.max(largest, id), -1);

    const specialToken = (key: string): SpecialToken | undefined => {
      const content = contentOf(config[key]);
      const id = idOf(content);
      return content === undefined || id === undefined ? undefined : {id, content};
    };
    this.bos = specialToken('bos_token');
    this.eos = specialToken('eos_token');
    this.chatTemplate = readChatTemplate(source, {bosToken: this.bos?.content, eosToken: this.eos?.content});
  }

  /** Special tokens spelled out in `text` become those tokens. Throws FormatError ERR_TOKENIZER where the files do not allow it. */
  encode(text: string, {addSpecialTokens = true}: EncodeOptions = {}): Uint32Array {
    if (typeof text !== 'string') throw new OptionError('text', 'a string', text);
    const {ids, tokens} = observedWork('tokenizer', 'encode', () => this.#encode(text, addSpecialTokens));
    // The type says numbers, but a post-processor may name a token that the vocabulary lacks.
    const missing = ids.findIndex((id: number | undefined) => id === undefined);
    if (missing >= 0)
      throw new FormatError('ERR_TOKENIZER', this.#path, `the vocabulary lacks the token ${JSON.stringify(tokens[missing])}`);
    return Uint32Array.from(ids);
  }

  #encode(text: string, addSpecialTokens: boolean) {
    try {
      return this.#tokenizer.encode(text, {add_special_tokens: addSpecialTokens});
    } catch (cause) {
      // Some parts of tokenizer.json are looked at only now.
      throw new FormatError('ERR_TOKENIZER', this.#path, `cannot encode: ${(cause as Error).message}`, undefined, {cause});
    }
  }

  /** Exactly what the tokens spell: no space is tidied away, an unfinished character becomes U+FFFD, unknown ids become nothing. */
  decode(tokens: Iterable<number>, options?: TextStreamOptions): string {
    const stream = this.createTextStream(options);
    let text = '';
    for (const token of tokens) text += stream.push(token);
    return text + stream.end();
  }

  /** For tokens that come one by one. */
  createTextStream(options?: TextStreamOptions): TextStream {
    return new TextStream(this.#bytes, options);
  }

  /** The token's id, or undefined if the vocabulary has no such token. */
  tokenToId(token: string): number | undefined {
    return this.#tokenizer.token_to_id(token);
  }
}

function readVocabulary(tokenizer: Tokenizer, {json, path}: TokenizerSource): Map<number, {content: string; added: boolean}> {
  const vocabulary = new Map<number, {content: string; added: boolean}>();
  for (const [content, id] of tokenizer.get_vocab()) {
    if (content !== undefined) vocabulary.set(id, {content, added: false});
  }
  for (const {id, content} of json.added_tokens) vocabulary.set(id, {content, added: true});
  if (vocabulary.size === 0) throw new FormatError('ERR_TOKENIZER', path, 'the vocabulary is empty');
  return vocabulary;
}

/** Config files give a token as its text or as an object around it. */
function contentOf(value: unknown): string | undefined {
  if (typeof value === 'string') return value;
  const content = (value as JsonObject | null | undefined)?.content;
  return typeof content === 'string' ? content : undefined;
}

function contents(value: unknown): string[] {
  return Array.isArray(value) ? value.map(contentOf).filter((content) => content !== undefined) : [];
}
