/** A conversation or text that goes on: its keys and values stay, so that a turn costs only what is new. */

import type {Backend} from '../backend/backend.js';
import {OptionError, TensorrtNodeError, throwIfAborted} from '../errors.js';
import {integer, object} from '../options.js';
import {type ChatMessage, renderChat} from '../tokenizer/chat.js';
import type {TextTokenizer} from '../tokenizer/tokenizer.js';
import {collect} from './generation.js';
import {type CheckedOptions, checkOptions} from './options.js';
import {promptKind} from './prompt.js';
import type {GenerateChunk, GenerateOptions, GenerateResult, Prompt} from './types.js';

/** What a session needs of its model. */
export interface SessionHost {
  backend: Backend;
  tokenizer: TextTokenizer;
  vocabSize: number;
  start(tokens: Uint32Array, options: CheckedOptions, turn: SessionTurn): AsyncGenerator<GenerateChunk, void, undefined>;
}

export interface SessionTurn {
  session: object;
  sequence: number;
  onToken(token: number): void;
}

/** A point a session can go back to. */
export interface SessionPosition {
  tokens: number;
  messages: number;
}

/** All that a session has seen and said. */
interface Transcript {
  tokens: number[];
  /** What the tokens spell, special ones included. */
  text: string;
  messages: ChatMessage[];
}

/** A transcript with a prompt added. */
interface Extended extends Transcript {
  /** What the prompt says of the assistant's next message. */
  begun: string;
}

/** Sessions that nobody disposed of before they were collected. */
const forgotten = new FinalizationRegistry<{backend: Backend; sequence: number}>(({backend, sequence}) =>
  backend.disposeSequence(sequence),
);

export class Session implements AsyncDisposable {
  readonly #host: SessionHost;
  readonly #sequence: number;
  #transcript: Transcript;
  #generating = false;
  #disposed = false;

  /** Made by `LanguageModel.createSession` and `fork`. */
  constructor(host: SessionHost, sequence: number, transcript: Transcript = {tokens: [], text: '', messages: []}) {
    this.#host = host;
    this.#sequence = sequence;
    this.#transcript = transcript;
    forgotten.register(this, {backend: host.backend, sequence}, this);
  }

  /** Everything so far, prompts and replies. */
  get tokens(): readonly number[] {
    return this.#transcript.tokens;
  }

  /** The conversation so far; empty when only text and tokens were given. */
  get messages(): readonly ChatMessage[] {
    return this.#transcript.messages;
  }

  get position(): SessionPosition {
    return {tokens: this.#transcript.tokens.length, messages: this.#transcript.messages.length};
  }

  /**
   * Goes on: text and tokens are appended to what there is; messages are added to the conversation, with the reply
   * after them. In a conversation, text begins a message of the assistant that the reply goes on with. A session that
   * began with text or tokens takes no messages. A reply that is broken off stays as far as it came.
   * Throws as `LanguageModel.generate` does, and TensorrtNodeError ERR_BUSY while another reply of this session is
   * under way.
   */
  generate(prompt: Prompt, options: GenerateOptions = {}): AsyncGenerator<GenerateChunk, void, undefined> {
    this.#checkIdle();
    const checked = checkOptions(options, this.#host.vocabSize);
    const next = this.#extended(prompt, checked);
    const reply: number[] = [];
    const turn = {session: this, sequence: this.#sequence, onToken: (token: number) => void reply.push(token)};
    const chunks = this.#host.start(Uint32Array.from(next.tokens), checked, turn);
    return this.#record(chunks, this.#transcript, next, reply, checked.signal);
  }

  /** The whole reply. */
  async generateText(prompt: Prompt, options: GenerateOptions = {}): Promise<GenerateResult> {
    return collect(this.generate(prompt, options));
  }

  /** Another session with the same past; the two go on apart. */
  fork(): Session {
    this.#checkIdle();
    const {tokens, text, messages} = this.#transcript;
    const copy = {tokens: [...tokens], text, messages: [...messages]};
    return new Session(this.#host, this.#host.backend.forkSequence(this.#sequence), copy);
  }

  /** Forgets what came after `position`, which this session or the one it was forked from had. */
  rewind(position: SessionPosition): void {
    this.#checkIdle();
    const {tokens, messages} = object('position', position);
    const transcript = this.#transcript;
    integer('position.tokens', tokens, {min: 0, max: transcript.tokens.length});
    integer('position.messages', messages, {min: 0, max: transcript.messages.length});
    const kept = transcript.tokens.slice(0, tokens);
    this.#transcript = {tokens: kept, text: this.#spell(kept), messages: transcript.messages.slice(0, messages)};
  }

  /** Frees the cache, which collection does late, and ends a reply that is under way, which throws TensorrtNodeError ERR_DISPOSED. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#disposed) return;
    this.#disposed = true;
    forgotten.unregister(this);
    this.#host.backend.disposeSequence(this.#sequence);
  }

  /** The same as `await using`, for code that cannot. */
  dispose(): Promise<void> {
    return this[Symbol.asyncDispose]();
  }

  /** The transcript with the prompt added. */
  #extended(prompt: Prompt, {chat}: CheckedOptions): Extended {
    const {tokenizer, vocabSize} = this.#host;
    const {tokens, text, messages} = this.#transcript;
    const kind = promptKind(prompt, vocabSize);
    if (kind.kind === 'messages') {
      // The template would spell the conversation alone.
      if (tokens.length > 0 && messages.length === 0) {
        throw new OptionError('prompt', 'text or tokens in a session that began with them', prompt);
      }
      const all = [...messages, ...kind.messages];
      const rendered = renderChat(tokenizer.chatTemplate, all, chat);
      // The reply's own tokens are kept where the template spells it as the model did: encoding it anew may cut it otherwise.
      const known = tokens.length > 0 && rendered.startsWith(text) ? text.length : 0;
      const added = tokenizer.encode(rendered.slice(known), {addSpecialTokens: false});
      return {tokens: known === 0 ? [...added] : [...tokens, ...added], text: rendered, messages: all, begun: ''};
    }
    const added = kind.kind === 'tokens' ? kind.tokens : tokenizer.encode(kind.text, {addSpecialTokens: tokens.length === 0});
    if (tokens.length + added.length === 0) throw new OptionError('prompt', 'at least one token long', prompt);
    const all = [...tokens, ...added];
    const begun = kind.kind === 'text' ? kind.text : tokenizer.decode(added);
    return {tokens: all, text: this.#spell(all), messages: [...messages], begun};
  }

  async *#record(
    chunks: AsyncGenerator<GenerateChunk, void, undefined>,
    before: Transcript,
    prompt: Extended,
    reply: number[],
    signal: AbortSignal | undefined,
  ): AsyncGenerator<GenerateChunk, void, undefined> {
    this.#checkIdle();
    if (this.#transcript !== before) throw new TensorrtNodeError('ERR_BUSY', 'the session went on since this reply was asked for');
    // What never began is no part of the session.
    throwIfAborted(signal);
    this.#generating = true;
    let text = prompt.begun;
    try {
      for await (const chunk of chunks) {
        text += chunk.text;
        yield chunk;
      }
    } finally {
      this.#generating = false;
      this.#transcript = {
        tokens: [...prompt.tokens, ...reply],
        text: prompt.text + this.#spell(reply),
        messages: prompt.messages.length === 0 ? [] : [...prompt.messages, {role: 'assistant', content: text}],
      };
    }
  }

  #spell(tokens: readonly number[]): string {
    return this.#host.tokenizer.decode(tokens, {skipSpecialTokens: false});
  }

  #checkIdle(): void {
    if (this.#disposed) throw new TensorrtNodeError('ERR_DISPOSED', 'the session was disposed');
    if (this.#generating)
      throw new TensorrtNodeError('ERR_BUSY', 'the session is generating', 'end that reply first, or fork the session before it');
  }
}
