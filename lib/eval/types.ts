/** What evaluating takes and gives. */

import type {MemoryPart} from '../backend/backend.js';
import type {LoadOptions} from '../generate/load.js';
import type {OnProgress} from '../progress.js';
import type {Comparison, Perplexity} from './figures.js';

/** How a model is loaded for an evaluation; signal, progress and how many requests there are is the evaluation's. */
export type EvaluationLoadOptions = Omit<LoadOptions, 'signal' | 'onProgress' | 'maxBatch' | 'monitor' | 'name'>;

export interface EvaluateOptions {
  /** The original: what a quantised model was made from, as a source for `loadModel`. Default: none, and no comparison. */
  against?: string;
  /** The text, at least two tokens long. Default, for a first look only: some 1500 tokens of public-domain prose. */
  text?: string;
  /** Tokens of the text that are used; default all. */
  maxTokens?: number;
  /** Tokens a window holds, at most the context. Default 512, or the context where that is less. */
  window?: number;
  /**
   * Tokens from a window's end to the next one's, 1 to `window`: a token is scored with at least `window - stride` before it,
   * and the model reads `window / stride` times the text. Default `window`: windows are disjoint.
   */
  stride?: number;
  load?: EvaluationLoadOptions;
  /** The same for the original. Default: `backend`, `device` and `threads` of `load`, all else loadModel's defaults. */
  againstLoad?: EvaluationLoadOptions;
  /**
   * A file for the original's logits, 4 bytes for each token of the vocabulary and each scored one of the text. What an
   * evaluation of the same original, text and windows left there is taken, and the original is not loaded; else it is made.
   * With it the two models are never in memory at once. Default: none, and both are loaded.
   */
  logits?: string;
  signal?: AbortSignal;
  onProgress?: OnProgress;
}

/** One of the two models. */
export interface EvaluatedModel extends Perplexity {
  source: string;
  /** What ran it. */
  description: string;
  /** Of the ONNX file and its weights. */
  diskBytes: number;
  /** What the backend holds once it has run, as far as it knows. */
  memory: readonly MemoryPart[];
  /** By how much the process has grown with the model, from before it was loaded until it had run. */
  rssBytes: number;
  /** Of one request: tokens per second of a prompt of `promptTokens`, and of the reply after it if it had two tokens. */
  speed: {promptTokens: number; prompt: number; reply?: number};
}

export interface Evaluation {
  tokens: {
    /** Of the text, with what the tokenizer adds. */
    text: number;
    /** Those that were targets: all but the first. */
    scored: number;
  };
  window: number;
  stride: number;
  model: EvaluatedModel;
  /** With `against`. */
  against?: EvaluatedModel;
  comparison?: Comparison;
}
