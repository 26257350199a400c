/** Rotary embeddings in config.json: `rope_parameters` (transformers 5), or `rope_theta` and `rope_scaling` (4). */

import {UnsupportedError} from '../../errors.js';
import type {RopeScaling} from '../checkpoint.js';
import {type Fields, isObject} from '../json_file.js';

/** Defaults and derived factors are those of transformers' modeling_rope_utils.py. */
export function readRope(config: Fields, maxPositionEmbeddings: number): {ropeTheta: number; ropeScaling?: RopeScaling} {
  const rope = config.fields('rope_parameters') ?? config.fields('rope_scaling');
  for (const layers of ['full_attention', 'sliding_attention']) {
    if (isObject(rope?.get(layers)))
      throw new UnsupportedError(`layers that differ in rotary embeddings are not read (rope_parameters.${layers})`);
  }
  const ropeTheta = rope?.number('rope_theta') ?? config.number('rope_theta') ?? 10_000;
  return {ropeTheta, ropeScaling: rope && readScaling(rope, config, maxPositionEmbeddings)};
}

function readScaling(rope: Fields, config: Fields, maxPositionEmbeddings: number): RopeScaling | undefined {
  const type = rope.string('rope_type') ?? rope.string('type') ?? 'default';
  const required = (name: string) => rope.required(name, rope.number(name));
  switch (type) {
    case 'default':
      return undefined;
    case 'linear':
      return {type, factor: required('factor')};
    case 'llama3':
      return {
        type,
        factor: required('factor'),
        lowFreqFactor: required('low_freq_factor'),
        highFreqFactor: required('high_freq_factor'),
        originalMaxPositionEmbeddings: required('original_max_position_embeddings'),
      };
    case 'yarn': {
      if (rope.boolean('truncate') === false) throw new UnsupportedError('yarn rope scaling without truncation is not read (truncate)');
      const factor = required('factor');
      return {
        type,
        factor,
        originalMaxPositionEmbeddings: rope.number('original_max_position_embeddings') ?? maxPositionEmbeddings,
        betaFast: rope.number('beta_fast') ?? 32,
        betaSlow: rope.number('beta_slow') ?? 1,
        attentionFactor: rope.number('attention_factor') ?? yarnAttention(factor, rope.number('mscale'), rope.number('mscale_all_dim')),
      };
    }
    case 'longrope': {
      const original =
        rope.number('original_max_position_embeddings') ?? config.number('original_max_position_embeddings') ?? maxPositionEmbeddings;
      const factor = rope.number('factor') ?? maxPositionEmbeddings / original;
      return {
        type,
        shortFactor: rope.required('short_factor', rope.numbers('short_factor')),
        longFactor: rope.required('long_factor', rope.numbers('long_factor')),
        originalMaxPositionEmbeddings: original,
        attentionFactor: rope.number('attention_factor') ?? (factor <= 1 ? 1 : Math.sqrt(1 + Math.log(factor) / Math.log(original))),
      };
    }
    default:
      throw new UnsupportedError(`the rope scaling ${JSON.stringify(type)} is not read`, 'read are linear, llama3, yarn and longrope');
  }
}

function yarnAttention(factor: number, mscale: number | undefined, mscaleAllDim: number | undefined): number {
  const attention = (scale: number) => (factor <= 1 ? 1 : 0.1 * scale * Math.log(factor) + 1);
  return mscale && mscaleAllDim ? attention(mscale) / attention(mscaleAllDim) : attention(1);
}
