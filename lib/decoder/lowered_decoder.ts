/** What a decoder is lowered to: a few small models without weights, and the order in which they run with which weights. */

import type {KvCacheType} from '../backend/kv_cache_type.js';
import type {Model} from '../onnx/model.js';
import type {PackedFormat} from './packed_format.js';
import type {WeightRef, WeightType} from './weight_ref.js';

/** Rows of one step of several sequences, of many ('wide'), or chunks of prompts: the same values by other kernels. */
export type RowRange = 'decode' | 'wide' | 'prefill';

/** Something of a part by range. What is not there is as for 'decode'. */
export type ByRange<T> = Readonly<{decode: T} & Partial<Record<RowRange, T>>>;

export interface DecoderShape {
  /** Of hidden rows and weights. */
  type: 'float16' | 'bfloat16';
  layers: number;
  heads: number;
  kvHeads: number;
  headSize: number;
  /** Of a head, the first elements, which are rotated; 0 where no layer rotates. */
  rotarySize: number;
  /** Whether the pairs that are rotated are neighbours instead of half of rotarySize apart. */
  interleaved: boolean;
  hiddenSize: number;
  vocabularySize: number;
  /** Positions that the rotary tables have. */
  maxPositions: number;
  /** Of each layer: tokens that a token sees, itself included; 0 is all. */
  windows: readonly number[];
  /** Scores are multiplied by this before the softmax. */
  scale: number;
  /** Scores become softcap * tanh(score / softcap); 0 is off. */
  softcap: number;
  /** Added to the mean square in RMSNorm, of the first layer. */
  epsilon: number;
  /** Tokens in a page of the key/value cache. */
  pageSize: number;
  /** What pages hold; 'auto' is `type`. */
  kvCacheType: KvCacheType;
}

export interface WeightInput {
  name: string;
  /** Of its elements: the model takes a weight that is `packed` as int32 [words]. */
  type: WeightType;
  shape: readonly number[];
  packed?: PackedFormat;
}

export interface DecoderPart {
  /** 'prologue', 'block', 'epilogue'; further distinct blocks are 'block_1' and on. */
  name: string;
  kind: 'prologue' | 'block' | 'epilogue';
  /** Inputs of its model that stay as they are from step to step. */
  weights: readonly WeightInput[];
}

export interface Execution {
  /** Name of the part. */
  part: string;
  /** Whose cache its attention has; undefined for parts without. */
  layer?: number;
  /** For each weight input of the part, by name, an index into `weights`. */
  weights: Readonly<Record<string, number>>;
}

/** All but the models: what must be known to run the plans made of them. */
export interface DecoderIndex {
  shape: DecoderShape;
  parts: readonly DecoderPart[];
  /** In the order they run: each takes the hidden rows of the one before. */
  sequence: readonly Execution[];
  /** Each once: weights that are used at two places, as tied embeddings, are one. */
  weights: readonly WeightRef[];
}

/**
 * Inputs and outputs of the parts' models, besides their weights; dimensions by name are known only at run time. T is
 * the hidden type.
 * - prologue: tokens int32 [rows] -> hidden_out T [rows, hiddenSize]
 * - block: hidden T [rows, hiddenSize], cache int64 [2], pages int32 [slots, pages_per_slot], run_starts int32
 *   [run_bounds] (one more than runs), run_slots int32 [runs], positions int32 [rows] -> hidden_out T [rows, hiddenSize].
 *   Its weights cos and sin are float32.
 * - epilogue: hidden T [rows, hiddenSize] -> logits float32 [rows, vocabularySize]
 */
export interface LoweredDecoder extends DecoderIndex {
  /** By the part's name. Prologues and epilogues are one model for all ranges. */
  models: ReadonlyMap<string, ByRange<Model>>;
}
