/** A Hugging Face config.json (and generation_config.json) of the Llama family as a DecoderConfig. */

import {UnsupportedError} from '../../errors.js';
import type {DecoderConfig} from '../checkpoint.js';
import {Fields, type JsonObject} from '../json_file.js';
import {readRope} from './rope.js';

const ARCHITECTURES = ['llama', 'mistral', 'qwen2', 'qwen3'] as const;

const DEFAULT_WINDOW = 4096;

/** Defaults are those of transformers' config classes. `generation` is generation_config.json, where there is one. */
export function readConfig(path: string, config: JsonObject, generation: JsonObject | undefined, generationPath: string): DecoderConfig {
  const fields = new Fields(path, config);
  const architecture = readArchitecture(fields);
  refuseVariants(fields);

  const hiddenSize = fields.required('hidden_size', fields.integer('hidden_size'));
  const headCount = fields.required('num_attention_heads', fields.integer('num_attention_heads'));
  const layerCount = fields.required('num_hidden_layers', fields.integer('num_hidden_layers'));
  const maxPositionEmbeddings = fields.required('max_position_embeddings', fields.integer('max_position_embeddings'));
  const ends = generation ? new Fields(generationPath, generation) : undefined;
  return {
    architecture,
    hiddenSize,
    intermediateSize: fields.required('intermediate_size', fields.integer('intermediate_size')),
    layerCount,
    headCount,
    kvHeadCount: fields.integer('num_key_value_heads') ?? headCount,
    headDim: fields.integer('head_dim') ?? hiddenSize / headCount,
    vocabSize: fields.required('vocab_size', fields.integer('vocab_size')),
    maxPositionEmbeddings,
    rmsNormEps: fields.number('rms_norm_eps') ?? 1e-6,
    ...readRope(fields, maxPositionEmbeddings),
    slidingWindow: readSlidingWindow(fields, architecture, layerCount, maxPositionEmbeddings),
    tieWordEmbeddings: fields.boolean('tie_word_embeddings') ?? false,
    bosTokenId: tokenIds(fields, 'bos_token_id')[0],
    eosTokenIds: [...new Set([...(ends ? tokenIds(ends, 'eos_token_id') : []), ...tokenIds(fields, 'eos_token_id')])],
    padTokenId: tokenIds(fields, 'pad_token_id')[0],
  };
}

function readArchitecture(fields: Fields): DecoderConfig['architecture'] {
  const name = fields.required('model_type', fields.string('model_type'));
  const known = ARCHITECTURES.find((each) => each === name);
  if (known) return known;
  throw new UnsupportedError(`the model_type ${JSON.stringify(name)} is not read`, `model types read: ${ARCHITECTURES.join(', ')}`);
}

/** What would silently be computed otherwise. */
function refuseVariants(fields: Fields): void {
  const quantization = fields.fields('quantization_config');
  if (quantization)
    throw new UnsupportedError(`weights quantised by ${quantization.string('quant_method') ?? 'an unnamed method'} are not read`);
  const activation = fields.string('hidden_act') ?? 'silu';
  if (activation !== 'silu') throw new UnsupportedError(`the activation ${JSON.stringify(activation)} is not read (hidden_act)`);
  const rotary = fields.number('partial_rotary_factor') ?? 1;
  if (rotary !== 1) throw new UnsupportedError(`rotary embeddings on a part of each head are not read (partial_rotary_factor ${rotary})`);
}

/** Tokens a query looks back on; undefined for all. Layers that differ can only be read if the window never closes. */
function readSlidingWindow(
  fields: Fields,
  architecture: DecoderConfig['architecture'],
  layerCount: number,
  maxPositionEmbeddings: number,
): number | undefined {
  const qwen = architecture === 'qwen2' || architecture === 'qwen3';
  const enabled = qwen ? (fields.boolean('use_sliding_window') ?? false) : architecture === 'mistral';
  // Absent is not null: the config classes have a window by default.
  const window = enabled ? (fields.has('sliding_window') ? fields.integer('sliding_window') : DEFAULT_WINDOW) : undefined;
  const types = fields.strings('layer_types');
  const unknown = types?.find((type) => type !== 'full_attention' && type !== 'sliding_attention');
  if (unknown !== undefined) throw new UnsupportedError(`layers of ${JSON.stringify(unknown)} are not read (layer_types)`);
  if (types && types.length !== layerCount) throw fields.error(`layer_types has ${types.length} entries for ${layerCount} layers`);

  const full = qwen ? (fields.integer('max_window_layers') ?? 28) : 0;
  const sliding = types
    ? types.filter((type) => type === 'sliding_attention').length
    : window === undefined
      ? 0
      : Math.max(0, layerCount - full);
  if (sliding === 0) return undefined;
  if (window === undefined) throw fields.error('layer_types has sliding_attention, but there is no sliding_window');
  if (sliding === layerCount) return window;
  if (window >= maxPositionEmbeddings) return undefined;
  throw new UnsupportedError(`layers that differ in attention are not read (${sliding} of ${layerCount} have a sliding window)`);
}

/** One id or a list of them; -1 stands for none in old configs. */
function tokenIds(fields: Fields, name: string): number[] {
  const ids = Array.isArray(fields.get(name)) ? fields.numbers(name)! : [fields.integer(name)];
  return ids.filter((id) => id !== undefined && id !== -1) as number[];
}
