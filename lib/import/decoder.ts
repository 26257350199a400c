/** What a sound checkpoint of the Llama family must look like: consistent numbers in its config, and its tensors with their shapes. */

import {UnsupportedError} from '../errors.js';
import type {CheckpointTensor, DecoderConfig} from './checkpoint.js';

/** Makes the error for a checkpoint that contradicts itself: FormatError with the reader's code and path. */
export type Fail = (problem: string) => Error;

/** Beyond any model's; products of two of these are exact integers. */
const MAX_SIZE = 2 ** 26;

/** Throws what `fail` makes for sizes that are out of range or do not fit together. */
export function checkConfig(config: DecoderConfig, fail: Fail): void {
  const sizes = [
    'hiddenSize',
    'intermediateSize',
    'layerCount',
    'headCount',
    'kvHeadCount',
    'headDim',
    'vocabSize',
    'maxPositionEmbeddings',
  ] as const;
  for (const name of sizes) {
    const value = config[name];
    if (!Number.isInteger(value) || value < 1 || value > MAX_SIZE) throw fail(`${name} is ${value}, not an integer from 1 to ${MAX_SIZE}`);
  }
  if (config.headCount % config.kvHeadCount !== 0) {
    throw fail(`headCount ${config.headCount} is not a multiple of kvHeadCount ${config.kvHeadCount}`);
  }
  if (config.headDim % 2 !== 0) throw fail(`headDim ${config.headDim} is odd, rotary embeddings take pairs`);
  if (!(config.rmsNormEps > 0 && config.rmsNormEps < 1)) throw fail(`rmsNormEps is ${config.rmsNormEps}, not between 0 and 1`);
  if (!(config.ropeTheta > 0 && Number.isFinite(config.ropeTheta))) throw fail(`ropeTheta is ${config.ropeTheta}, not a positive number`);
  if (config.slidingWindow !== undefined && !(Number.isInteger(config.slidingWindow) && config.slidingWindow >= 1)) {
    throw fail(`slidingWindow is ${config.slidingWindow}, not a positive integer`);
  }
  checkRopeScaling(config, fail);
  const tokens = [
    ['bosTokenId', config.bosTokenId],
    ['padTokenId', config.padTokenId],
    ...config.eosTokenIds.map((id) => ['eosTokenIds', id]),
  ];
  for (const [name, id] of tokens) {
    if (id !== undefined && !(Number.isInteger(id) && Number(id) >= 0 && Number(id) < config.vocabSize)) {
      throw fail(`${name} has ${id}, not a token of the ${config.vocabSize} there are`);
    }
  }
}

function checkRopeScaling({ropeScaling, headDim}: DecoderConfig, fail: Fail): void {
  if (!ropeScaling) return;
  for (const [name, value] of Object.entries(ropeScaling)) {
    if (name === 'type') continue;
    const values = Array.isArray(value) ? value : [value];
    if (!values.every((each) => typeof each === 'number' && Number.isFinite(each) && each > 0)) {
      throw fail(`rope scaling's ${name} must be positive`);
    }
    if (Array.isArray(value) && value.length !== headDim / 2) {
      throw fail(`rope scaling's ${name} has ${value.length} values, not one for each of the ${headDim / 2} pairs of a head`);
    }
  }
}

/**
 * Throws what `fail` makes if a tensor is missing or has another shape than the config says, and UnsupportedError
 * for a tensor the architecture does not have: to leave it out would be to compute something else.
 */
export function checkTensors(config: DecoderConfig, tensors: ReadonlyMap<string, CheckpointTensor>, fail: Fail): void {
  // Before a list of so many names is made.
  if (config.layerCount > tensors.size) throw fail(`layerCount is ${config.layerCount}, there are only ${tensors.size} tensors`);

  const known = new Set<string>();
  for (const {name, shape, optional} of expectedTensors(config)) {
    known.add(name);
    const tensor = tensors.get(name);
    if (!tensor) {
      if (optional) continue;
      throw fail(`tensor ${name} is missing`);
    }
    if (tensor.shape.length !== shape.length || tensor.shape.some((size, i) => size !== shape[i])) {
      throw fail(`tensor ${name} has shape [${tensor.shape}], the config asks for [${shape}]`);
    }
  }
  for (const name of tensors.keys()) {
    if (!known.has(name)) throw new UnsupportedError(`tensor ${name} has no place in the architecture ${config.architecture}`);
  }
}

interface Expected {
  name: string;
  shape: readonly number[];
  optional?: boolean;
}

function* expectedTensors(config: DecoderConfig): Generator<Expected> {
  const {hiddenSize: hidden, intermediateSize: intermediate, headDim, vocabSize} = config;
  const queries = config.headCount * headDim;
  const keys = config.kvHeadCount * headDim;

  yield {name: 'model.embed_tokens.weight', shape: [vocabSize, hidden]};
  for (let layer = 0; layer < config.layerCount; layer++) {
    const prefix = `model.layers.${layer}.`;
    yield {name: `${prefix}input_layernorm.weight`, shape: [hidden]};
    yield* linear(`${prefix}self_attn.q_proj`, queries, hidden);
    yield* linear(`${prefix}self_attn.k_proj`, keys, hidden);
    yield* linear(`${prefix}self_attn.v_proj`, keys, hidden);
    yield* linear(`${prefix}self_attn.o_proj`, hidden, queries);
    if (config.architecture === 'qwen3') {
      yield {name: `${prefix}self_attn.q_norm.weight`, shape: [headDim]};
      yield {name: `${prefix}self_attn.k_norm.weight`, shape: [headDim]};
    }
    yield {name: `${prefix}post_attention_layernorm.weight`, shape: [hidden]};
    yield* linear(`${prefix}mlp.gate_proj`, intermediate, hidden);
    yield* linear(`${prefix}mlp.up_proj`, intermediate, hidden);
    yield* linear(`${prefix}mlp.down_proj`, hidden, intermediate);
  }
  yield {name: 'model.norm.weight', shape: [hidden]};
  if (!config.tieWordEmbeddings) yield {name: 'lm_head.weight', shape: [vocabSize, hidden]};
}

function* linear(name: string, outputs: number, inputs: number): Generator<Expected> {
  yield {name: `${name}.weight`, shape: [outputs, inputs]};
  yield {name: `${name}.bias`, shape: [outputs], optional: true};
}
