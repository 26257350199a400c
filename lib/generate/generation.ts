/** One request from its tokens to chunks of text. */

import type {Backend} from '../backend/backend.js';
import {AbortError, TensorrtNodeError, throwIfAborted} from '../errors.js';
import {type ObservedListener, observeRequest} from '../observers.js';
import {onAbort} from '../on_abort.js';
import {StopStrings} from '../tokenizer/stop_strings.js';
import type {TextTokenizer} from '../tokenizer/tokenizer.js';
import {type Ended, EventQueue} from './event_queue.js';
import type {CheckedOptions} from './options.js';
import type {Finish, GenerateChunk, GenerateResult, LogprobEntry} from './types.js';

export interface GenerationRequest {
  backend: Backend;
  tokenizer: TextTokenizer;
  /** The whole sequence, at least one token and at most the context's. */
  prompt: Uint32Array;
  /** The cache to use; undefined for none that outlives the request. */
  sequence?: number;
  stopTokens: ReadonlySet<number>;
  options: CheckedOptions;
  /** What observers call the model. */
  model: string;
  /** The same for all turns of a session. */
  session?: object;
  /** Runs a function as the caller of `generate` would; left out where nobody observes. */
  asCaller?: <T>(work: () => T) => T;
  /** Called with each token as it arrives, also those whose text is held back. */
  onToken?: (token: number) => void;
}

/**
 * Submits at the first `next()`. Leaving the loop ends the request. Throws AbortError when the signal fires,
 * TensorrtNodeError ERR_DISPOSED when the sequence is disposed, or what the backend failed with.
 */
export async function* generation(request: GenerationRequest): AsyncGenerator<GenerateChunk, void, undefined> {
  const {backend, prompt, sequence, stopTokens, options} = request;
  const {signal, sampling, logprobs} = options;
  throwIfAborted(signal);

  const startedAt = performance.now();
  const events = new EventQueue();
  const room = backend.limits.maxContext - prompt.length + 1;
  const maxNewTokens = Math.min(options.maxNewTokens ?? room, room);
  const watched = observe(request, startedAt, maxNewTokens, events);
  const handle = backend.submit({tokens: prompt, sequence, maxNewTokens, stopTokens, sampling, logprobs}, watched ?? events);
  // The caller hears of an abort at once, whatever step the backend is in.
  const stopListening = signal && onAbort(signal, () => events.failed(new AbortError(signal.reason)));

  const text = new ReplyText(request);
  let firstTokenAt: number | undefined;
  let completionTokens = 0;
  try {
    for (;;) {
      const next = await events.next();
      if (!Array.isArray(next)) {
        // Nothing here has aborted it yet.
        if (next.reason === 'aborted') throw new TensorrtNodeError('ERR_DISPOSED', 'the session was disposed');
        yield {...text.end(), finish: finish(next)};
        return;
      }
      firstTokenAt ??= performance.now();
      for (const event of next) {
        completionTokens++;
        request.onToken?.(event.token);
        text.push(
          event.token,
          event.logprob === undefined ? undefined : {token: event.token, logprob: event.logprob, top: event.top ?? []},
        );
        if (text.stopString !== undefined) {
          watched?.stopped();
          handle.abort();
          yield {...text.end(), finish: finish(await ended(events))};
          return;
        }
      }
      const chunk = text.take();
      if (chunk !== undefined) yield chunk;
      // Once the caller asks for more.
      handle.consumed(next.length);
    }
  } finally {
    stopListening?.();
    handle.abort();
  }

  function finish({reason, timings}: Ended): Finish {
    const {queue, prefill, decode, prefilledTokens} = timings;
    return {
      finishReason: text.stopString !== undefined || reason === 'stop' ? 'stop' : 'length',
      ...(text.stopString === undefined ? {} : {stopString: text.stopString}),
      usage: {promptTokens: prompt.length, cachedTokens: prompt.length - prefilledTokens, completionTokens},
      timings: {
        queue,
        prefill,
        firstToken: (firstTokenAt ?? startedAt) - startedAt,
        decode,
        perToken: completionTokens > 1 ? decode / (completionTokens - 1) : 0,
        total: performance.now() - startedAt,
      },
      seed: sampling.seed,
    };
  }
}

/** Undefined where nobody wants to hear of it. */
function observe(
  {backend, prompt, model, session, asCaller, options}: GenerationRequest,
  startedAt: number,
  maxNewTokens: number,
  events: EventQueue,
): ObservedListener | undefined {
  if (asCaller === undefined) return undefined;
  const {temperature} = options.sampling;
  const about = {model, backend: backend.name, promptTokens: prompt.length, maxNewTokens, temperature, startedAt, session};
  return asCaller(() => observeRequest(about, events));
}

/** How the request ended, past tokens that came after the reply's end. */
async function ended(events: EventQueue): Promise<Ended> {
  for (;;) {
    const next = await events.next();
    if (!Array.isArray(next)) return next;
  }
}

/** The reply's text as far as it may be shown: whole characters, and nothing that may become a stop string. */
class ReplyText {
  readonly #stream;
  readonly #stops: StopStrings;
  readonly #stopTokens: ReadonlySet<number>;
  readonly #withLogprobs: boolean;
  #text = '';
  #tokens: number[] = [];
  #logprobs: LogprobEntry[] = [];

  constructor({tokenizer, stopTokens, options}: GenerationRequest) {
    this.#stream = tokenizer.createTextStream();
    this.#stops = new StopStrings(options.stop);
    this.#stopTokens = stopTokens;
    this.#withLogprobs = options.logprobs !== undefined;
  }

  get stopString(): string | undefined {
    return this.#stops.stopped;
  }

  push(token: number, logprob: LogprobEntry | undefined): void {
    this.#tokens.push(token);
    if (logprob !== undefined) this.#logprobs.push(logprob);
    if (!this.#stopTokens.has(token)) this.#text += this.#stops.push(this.#stream.push(token));
  }

  /** What there is to show, or undefined while there is no text. */
  take(): GenerateChunk | undefined {
    if (this.#text === '') return undefined;
    const chunk: GenerateChunk = {text: this.#text, tokens: this.#tokens, ...(this.#withLogprobs ? {logprobs: this.#logprobs} : {})};
    this.#text = '';
    this.#tokens = [];
    this.#logprobs = [];
    return chunk;
  }

  /** The rest, at the reply's end. */
  end(): GenerateChunk {
    this.#text += this.#stops.push(this.#stream.end()) + this.#stops.end();
    return this.take() ?? {text: '', tokens: this.#tokens, ...(this.#withLogprobs ? {logprobs: this.#logprobs} : {})};
  }
}

/** A reply as a whole. */
export async function collect(chunks: AsyncIterable<GenerateChunk>): Promise<GenerateResult> {
  let text = '';
  const tokens: number[] = [];
  let logprobs: LogprobEntry[] | undefined;
  for await (const chunk of chunks) {
    text += chunk.text;
    tokens.push(...chunk.tokens);
    if (chunk.logprobs !== undefined) {
      logprobs ??= [];
      logprobs.push(...chunk.logprobs);
    }
    if (chunk.finish !== undefined) return {text, tokens, ...(logprobs === undefined ? {} : {logprobs}), ...chunk.finish};
  }
  throw new Error('a generation ended without its last chunk');
}
