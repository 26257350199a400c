/**
 * What runs a language model. The unit is a request, not a step: a backend schedules, samples and decodes on
 * its own thread, so that JavaScript is never in the step loop, and hands tokens over in batches.
 */

import type {LayerProfile} from '../engine/layer_profile.js';
import type {NativeDecoderStats, NativeStepHistograms} from '../native/decoder_addon.js';

/** How the next token is chosen; every field is set, with defaults applied and ranges checked. */
export interface SamplingParameters {
  /** 0 is greedy: the largest logit, ties to the smallest token. */
  temperature: number;
  /** Keep the k most likely tokens; 0 keeps all. */
  topK: number;
  /** Keep the smallest set of tokens whose probabilities reach p; 1 keeps all. */
  topP: number;
  /** Drop tokens less likely than minP times the most likely one; 0 keeps all. */
  minP: number;
  /** Divides positive and multiplies negative logits of tokens seen in prompt and reply (CTRL, Keskar et al. 2019); 1 is off. */
  repetitionPenalty: number;
  /** Subtracted once from the logit of each token already in the reply; 0 is off. */
  presencePenalty: number;
  /** Subtracted from a token's logit once for each time it is in the reply; 0 is off. */
  frequencyPenalty: number;
  /** Added to the logits of these tokens; -Infinity bans. */
  logitBias: ReadonlyMap<number, number>;
  /** 32 bits. A draw depends on the seed and the token's position alone. */
  seed: number;
}

export interface BackendRequest {
  /** The whole sequence so far, at least one token. What the cache already holds of it is not run again. */
  tokens: Uint32Array;
  /** Cache to continue from and to leave the result in; undefined for one that lives as long as the request. */
  sequence?: number;
  maxNewTokens: number;
  /** Any of these ends the reply; it is delivered as the last token. */
  stopTokens: ReadonlySet<number>;
  sampling: SamplingParameters;
  /** How many most likely tokens to report with each token; undefined for none. */
  logprobs?: number;
}

export interface TokenLogprob {
  token: number;
  /** Natural logarithm of the probability under the raw distribution, before penalties, temperature and filters. */
  logprob: number;
}

export interface TokenEvent {
  token: number;
  logprob?: number;
  /** The most likely tokens, most likely first. */
  top?: TokenLogprob[];
}

export type BackendFinish = 'stop' | 'length' | 'aborted';

/** Milliseconds, measured where the work runs. */
export interface BackendTimings {
  /** From submission until the prefill starts. */
  queue: number;
  /** The prefill, to the first token. */
  prefill: number;
  /** From the first token to the last. */
  decode: number;
  /** Tokens of the prompt that were run; the rest came from the cache. */
  prefilledTokens: number;
  /** What the steps of a recording call the request, where the backend tells of its steps. */
  request?: number;
}

/** What a request calls back; never called after `finished` or `failed`, of which exactly one comes. */
export interface BackendListener {
  tokens(batch: readonly TokenEvent[]): void;
  finished(reason: BackendFinish, timings: BackendTimings): void;
  failed(error: Error): void;
}

export interface BackendRequestHandle {
  /** So many of the tokens that were delivered have been taken: a request whose consumer is far behind may pause. */
  consumed(tokens: number): void;
  /** Ends the request within a step or two; `finished('aborted')` follows. Safe at any moment, and more than once. */
  abort(): void;
}

export interface ModelLimits {
  /** Tokens a sequence may hold, prompt and reply together. */
  maxContext: number;
  /** Sequences decoded at once; further requests wait. */
  maxBatch: number;
}

/** Some of a model's memory. */
export interface MemoryPart {
  /** 'scratch' is what engines compute in, buffers of steps and captured graphs. */
  what: 'weights' | 'cache' | 'scratch';
  /** 'pinned' is host memory that the GPU copies from, 'ram' all other. */
  where: 'gpu' | 'pinned' | 'ram';
  bytes: number;
}

/** A step whose layers are timed; every field is set, and checked against the model's limits. */
export interface StepOptions {
  /** 'decode': a row for each of `rows` sequences. 'prefill': `rows` rows of a prompt. */
  step: 'decode' | 'prefill';
  rows: number;
  /** Tokens that come before in each sequence. */
  context: number;
  runs: number;
  warmUp: number;
}

/** Times of a step's layers, by the model's parts. */
export interface StepProfile extends LayerProfile {
  step: 'decode' | 'prefill';
  /** Rows that such a step has: as many as were asked for, or the next more that there are steps for. */
  rows: number;
  context: number;
}

export interface Backend extends AsyncDisposable {
  readonly name: 'cpu' | 'tensorrt';
  /** What runs where, for people: 'ONNX Runtime 1.30.0, 2 threads'. */
  readonly description: string;
  readonly limits: ModelLimits;
  readonly vocabSize: number;

  submit(request: BackendRequest, listener: BackendListener): BackendRequestHandle;

  /**
   * An empty cache that outlives requests. One request at a time uses it. A request whose tokens leave the path
   * that the cache holds rewinds it to where they part.
   */
  createSequence(): number;
  /** A copy of what the cache holds, in a new one. A request that uses it goes on undisturbed. */
  forkSequence(sequence: number): number;
  /** Frees the cache; a request still using it is aborted, one that waits for it fails with ERR_DISPOSED. */
  disposeSequence(sequence: number): void;

  /**
   * Teacher forcing: the logits after each token of `tokens`, [tokens.length, vocabSize], row-major.
   * For evaluation; not scheduled with requests.
   */
  score(tokens: Uint32Array): Promise<Float32Array>;

  /**
   * Times the layers of such steps on TensorRT, beside nothing else: requests that come meanwhile wait. Rejects with
   * ERR_BUSY while a request runs or waits, ERR_SUSPENDED, AbortError, UnsupportedError for a step of more rows than there
   * are, CudaError, TensorrtError.
   */
  profileLayers?(step: StepOptions, signal?: AbortSignal): Promise<StepProfile>;

  /** What it holds now, as far as it knows; parts of no bytes may be left out. Cheap: read often, also while suspended. */
  memory?(): readonly MemoryPart[];
  /** What its scheduler has counted since it was loaded, and what it has now. Takes microseconds. Throws once it was disposed of. */
  stats?(): NativeDecoderStats;
  /** Of its steps since it was loaded; as `stats`. */
  stepHistograms?(): NativeStepHistograms;

  /**
   * Takes weights, and keys and values of sequences, out of the GPU's memory into pinned memory. Sequences stay, and
   * what they hold. Until `resume` a request fails with ERR_SUSPENDED. Rejects with ERR_BUSY while a request runs or
   * waits, and with ERR_OUT_OF_MEMORY where there is no pinned memory for it: then all is as it was. A backend that
   * has `suspend` has `resume` and `memory` too.
   */
  suspend?(): Promise<void>;
  /** Brings all of it back. Rejects with ERR_OUT_OF_MEMORY where the GPU has no room: then it is suspended still. */
  resume?(): Promise<void>;
}
