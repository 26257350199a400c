/** A loaded language model. */

import {AsyncLocalStorage} from 'node:async_hooks';

import type {Backend, ModelLimits, StepProfile} from '../backend/backend.js';
import {OptionError, TensorrtNodeError, UnsupportedError} from '../errors.js';
import {isObserved} from '../observers.js';
import {renderChat} from '../tokenizer/chat.js';
import type {TextTokenizer} from '../tokenizer/tokenizer.js';
import {collect, generation} from './generation.js';
import type {ModelConfig} from './model_folder.js';
import {type CheckedOptions, checkOptions} from './options.js';
import {type PromptKind, promptKind, tokenList} from './prompt.js';
import {Session, type SessionTurn} from './session.js';
import {checkStepOptions, type ProfileStepOptions} from './step_options.js';
import type {GenerateChunk, GenerateOptions, GenerateResult, Prompt} from './types.js';

export class LanguageModel implements AsyncDisposable {
  readonly #backend: Backend;
  readonly #stopTokens: ReadonlySet<number>;

  /** Made by `loadModel`. */
  constructor(
    backend: Backend,
    readonly tokenizer: TextTokenizer,
    config: ModelConfig,
    /** What metrics, spans and logs call it. */
    readonly name: string,
  ) {
    this.#backend = backend;
    const eos = config.eosTokenIds.length > 0 ? config.eosTokenIds : tokenizer.eos === undefined ? [] : [tokenizer.eos.id];
    this.#stopTokens = new Set(eos);
  }

  /** What runs it. */
  get backend(): 'cpu' | 'tensorrt' {
    return this.#backend.name;
  }

  /** The same for people, with versions and threads. */
  get description(): string {
    return this.#backend.description;
  }

  get limits(): ModelLimits {
    return this.#backend.limits;
  }

  /** Logits a token has; some of them may belong to no token. */
  get vocabSize(): number {
    return this.#backend.vocabSize;
  }

  /**
   * Streams a reply. The request begins with the first `next()`, leaving the loop ends it.
   * Throws at once: OptionError, TensorrtNodeError ERR_CONTEXT_LENGTH, ERR_CHAT_TEMPLATE or ERR_TOKENIZER. The iteration throws AbortError,
   * or TensorrtNodeError with ERR_BACKEND, ERR_OUT_OF_MEMORY or ERR_DISPOSED.
   */
  generate(prompt: Prompt, options: GenerateOptions = {}): AsyncGenerator<GenerateChunk, void, undefined> {
    const checked = checkOptions(options, this.vocabSize);
    return this.#generation(this.#tokensOf(promptKind(prompt, this.vocabSize), checked), checked);
  }

  /** The whole reply. Throws as `generate` and its iteration do, by rejecting. */
  async generateText(prompt: Prompt, options: GenerateOptions = {}): Promise<GenerateResult> {
    return collect(this.generate(prompt, options));
  }

  /** A conversation or text that goes on: what was run stays in its cache. */
  createSession(): Session {
    return new Session(
      {
        backend: this.#backend,
        tokenizer: this.tokenizer,
        vocabSize: this.vocabSize,
        start: (tokens, options, turn) => this.#generation(tokens, options, turn),
      },
      this.#backend.createSequence(),
    );
  }

  /**
   * Teacher forcing, for evaluation: the logits after each of `tokens`, [tokens.length, vocabSize], row-major.
   * Waits for no other request and holds all of it in memory.
   */
  async score(tokens: Uint32Array | readonly number[]): Promise<Float32Array> {
    const checked = tokenList('tokens', tokens, this.vocabSize);
    this.#checkLength('tokens', checked);
    return this.#backend.score(checked);
  }

  /**
   * Times the layers of such steps with TensorRT's profiler, part by part, each in contexts of their own. Requests that come
   * meanwhile wait. Rejects with OptionError; UnsupportedError on the CPU, for a model of a registry or with a monitor, and
   * for steps of so many rows as there are none; TensorrtNodeError: ERR_BUSY while requests run or wait, ERR_SUSPENDED,
   * ERR_DISPOSED; AbortError; CudaError; TensorrtError.
   */
  async profileLayers(options: ProfileStepOptions = {}): Promise<StepProfile> {
    const {signal, ...step} = checkStepOptions(options, this.limits);
    if (this.#backend.profileLayers === undefined) {
      throw new UnsupportedError(
        "the model's layers cannot be timed: it runs on the CPU, or belongs to a registry or a monitor",
        'load it with loadModel on TensorRT',
      );
    }
    return this.#backend.profileLayers(step, signal);
  }

  /** Ends all requests and frees the model. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#backend[Symbol.asyncDispose]();
  }

  /** The same as `await using`, for code that cannot. */
  dispose(): Promise<void> {
    return this[Symbol.asyncDispose]();
  }

  #tokensOf(prompt: PromptKind, {chat}: CheckedOptions): Uint32Array {
    if (prompt.kind === 'tokens') return prompt.tokens;
    if (prompt.kind === 'text') return this.tokenizer.encode(prompt.text);
    return this.tokenizer.encode(renderChat(this.tokenizer.chatTemplate, prompt.messages, chat), {addSpecialTokens: false});
  }

  #generation(tokens: Uint32Array, options: CheckedOptions, turn?: SessionTurn) {
    this.#checkLength('prompt', tokens);
    this.#checkVocabulary(tokens);
    const {tokenizer, name: model} = this;
    const asCaller = isObserved() ? AsyncLocalStorage.snapshot() : undefined;
    const stopTokens = this.#stopTokens;
    return generation({backend: this.#backend, tokenizer, prompt: tokens, stopTokens, options, model, asCaller, ...turn});
  }

  /** The model's table of embeddings would be read beyond its end. */
  #checkVocabulary(tokens: Uint32Array): void {
    const unknown = tokens.find((token) => token >= this.vocabSize);
    if (unknown === undefined) return;
    throw new TensorrtNodeError(
      'ERR_TOKENIZER',
      `the tokenizer has token ${unknown}, and the model ${this.vocabSize} tokens`,
      'its tokenizer.json may belong to another model',
    );
  }

  #checkLength(option: string, tokens: Uint32Array): void {
    const {length} = tokens;
    if (length === 0) throw new OptionError(option, 'at least one token long', tokens);
    const {maxContext} = this.limits;
    if (length > maxContext) {
      throw new TensorrtNodeError(
        'ERR_CONTEXT_LENGTH',
        `the ${option === 'prompt' ? 'prompt has' : 'list has'} ${length} tokens and the context ${maxContext}`,
        'shorten it, or load the model with a larger maxContext',
      );
    }
  }
}
