/** Writes Hugging Face folders for tests: config.json, safetensors whole or sharded, tokenizer. */

import {mkdir, writeFile} from 'node:fs/promises';
import {join} from 'node:path';

import type {CheckpointTensor, DecoderConfig} from '../../lib/import/checkpoint.js';

export interface FolderOptions {
  /** Changes to config.json; undefined removes a field. */
  config?: Readonly<Record<string, unknown>>;
  generationConfig?: object;
  /** Files to spread the tensors over, with an index. Default 1, without. */
  shards?: number;
  tokenizer?: object;
  tokenizerConfig?: object;
}

/** tokenizer.json of a byte-level BPE with a few letters. */
export const TOKENIZER = {
  version: '1.0',
  truncation: null,
  padding: null,
  added_tokens: [{id: 0, content: '<|end|>', single_word: false, lstrip: false, rstrip: false, normalized: false, special: true}],
  normalizer: null,
  pre_tokenizer: {type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true},
  post_processor: null,
  decoder: {type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true},
  model: {type: 'BPE', vocab: {'<|end|>': 0, t: 1, h: 2, e: 3, th: 4}, merges: ['t h']},
};

export async function writeFolder(
  folder: string,
  decoder: DecoderConfig,
  tensors: ReadonlyMap<string, CheckpointTensor>,
  {config, generationConfig, shards = 1, tokenizer = TOKENIZER, tokenizerConfig}: FolderOptions = {},
): Promise<string> {
  await mkdir(folder, {recursive: true});
  const json = (name: string, value: object) => writeFile(join(folder, name), JSON.stringify(value));
  await json('config.json', {...configOf(decoder), ...config});
  if (generationConfig) await json('generation_config.json', generationConfig);
  await json('tokenizer.json', tokenizer);
  if (tokenizerConfig) await json('tokenizer_config.json', tokenizerConfig);
  if (shards === 1) {
    await writeFile(join(folder, 'model.safetensors'), await safetensorsBytes([...tensors.values()]));
    return folder;
  }
  const weightMap: Record<string, string> = {};
  const all = [...tensors.values()];
  for (let shard = 0; shard < shards; shard++) {
    const file = `model-0000${shard + 1}-of-0000${shards}.safetensors`;
    const part = all.filter((_, i) => i % shards === shard);
    for (const {name} of part) weightMap[name] = file;
    await writeFile(join(folder, file), await safetensorsBytes(part));
  }
  await json('model.safetensors.index.json', {metadata: {}, weight_map: weightMap});
  return folder;
}

function configOf(config: DecoderConfig): Record<string, unknown> {
  return {
    model_type: config.architecture,
    hidden_size: config.hiddenSize,
    intermediate_size: config.intermediateSize,
    num_hidden_layers: config.layerCount,
    num_attention_heads: config.headCount,
    num_key_value_heads: config.kvHeadCount,
    head_dim: config.headDim,
    vocab_size: config.vocabSize,
    max_position_embeddings: config.maxPositionEmbeddings,
    rms_norm_eps: config.rmsNormEps,
    rope_theta: config.ropeTheta,
    sliding_window: config.slidingWindow ?? null,
    hidden_act: 'silu',
    tie_word_embeddings: config.tieWordEmbeddings,
    eos_token_id: [...config.eosTokenIds],
  };
}

export async function safetensorsBytes(tensors: readonly CheckpointTensor[]): Promise<Buffer> {
  const header: Record<string, unknown> = {__metadata__: {format: 'pt'}};
  const data: Uint8Array[] = [];
  let end = 0;
  for (const {name, type, shape, byteLength, read} of tensors) {
    header[name] = {dtype: type, shape, data_offsets: [end, end + byteLength]};
    data.push(await read());
    end += byteLength;
  }
  return withHeader(JSON.stringify(header), Buffer.concat(data));
}

/** A file of this header, whatever it says, and these bytes. */
export function withHeader(header: string, data: Uint8Array, length = BigInt(Buffer.byteLength(header))): Buffer {
  const size = Buffer.alloc(8);
  size.writeBigUInt64LE(length);
  return Buffer.concat([size, Buffer.from(header), data]);
}
