import {mkdir, rm, symlink, writeFile} from 'node:fs/promises';

import {describe, expect, it} from 'vitest';

import {randomTensors, tinyConfig} from '../../../test/support/random_checkpoint.js';
import {type FolderOptions, safetensorsBytes, TOKENIZER, withHeader, writeFolder} from '../../../test/support/safetensors_folder.js';
import {temporaryFolder} from '../../../test/support/temporary_folder.js';
import {FormatError, TensorrtNodeError, UnsupportedError} from '../../errors.js';
import type {Checkpoint, DecoderConfig} from '../checkpoint.js';
import {openSafetensors} from './checkpoint.js';

const folder = temporaryFolder();
let made = 0;
const newFolder = () => folder(`${made++}`);

async function openChanged(config: DecoderConfig, options: FolderOptions = {}): Promise<Checkpoint> {
  const path = await writeFolder(newFolder(), config, randomTensors(config), options);
  const checkpoint = await openSafetensors(path);
  await checkpoint[Symbol.asyncDispose]();
  return checkpoint;
}

describe('openSafetensors', () => {
  it.each([
    ['llama', 1, 'F32'],
    ['llama', 3, 'F16'],
    ['mistral', 1, 'BF16'],
    ['qwen2', 2, 'F32'],
    ['qwen3', 2, 'BF16'],
  ] as const)('reads %s from %i files, matrices in %s', async (architecture, shards, type) => {
    const config = tinyConfig({architecture});
    const expected = randomTensors(config, {type: () => type});
    const path = await writeFolder(newFolder(), config, expected, {shards});
    await using checkpoint = await openSafetensors(path);
    expect(checkpoint).toMatchObject({format: 'safetensors', path, config});
    expect([...checkpoint.tensors.keys()].sort()).toEqual([...expected.keys()].sort());
    for (const [name, {shape, byteLength, read, type: each}] of expected) {
      const tensor = checkpoint.tensors.get(name)!;
      expect(tensor).toMatchObject({name, type: each, shape, byteLength});
      expect(Buffer.from(await tensor.read()).equals(await read()), name).toBe(true);
    }
  });

  it('leaves out weights that are tied or redundant', async () => {
    const config = tinyConfig({tieWordEmbeddings: true});
    const tensors = randomTensors({...config, tieWordEmbeddings: false});
    const [table] = randomTensors({...config, vocabSize: 1}).values();
    tensors.set('model.layers.0.self_attn.rotary_emb.inv_freq', {...table!, name: 'model.layers.0.self_attn.rotary_emb.inv_freq'});
    await using checkpoint = await openSafetensors(await writeFolder(newFolder(), config, tensors));
    expect([...checkpoint.tensors.keys()].sort()).toEqual([...randomTensors(config).keys()].sort());
  });

  const configs: [string, DecoderConfig['architecture'], Record<string, unknown>, Partial<DecoderConfig>][] = [
    [
      'defaults',
      'llama',
      {
        num_key_value_heads: undefined,
        rms_norm_eps: undefined,
        rope_theta: undefined,
        tie_word_embeddings: undefined,
        head_dim: null,
        hidden_size: 96,
        num_attention_heads: 2,
      },
      {kvHeadCount: 2, headDim: 48, rmsNormEps: 1e-6, ropeTheta: 10_000, tieWordEmbeddings: false},
    ],
    [
      'rope_parameters',
      'llama',
      {rope_theta: undefined, rope_parameters: {rope_type: 'default', rope_theta: 5e5}},
      {ropeTheta: 5e5, ropeScaling: undefined},
    ],
    ['linear scaling', 'llama', {rope_scaling: {type: 'linear', factor: 2}}, {ropeScaling: {type: 'linear', factor: 2}}],
    [
      'llama3 scaling',
      'llama',
      {rope_scaling: {rope_type: 'llama3', factor: 8, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 32}},
      {ropeScaling: {type: 'llama3', factor: 8, lowFreqFactor: 1, highFreqFactor: 4, originalMaxPositionEmbeddings: 32}},
    ],
    [
      'yarn',
      'qwen2',
      {rope_parameters: {rope_type: 'yarn', rope_theta: 1e6, factor: 4, original_max_position_embeddings: 16}},
      {
        ropeTheta: 1e6,
        ropeScaling: {
          type: 'yarn',
          factor: 4,
          originalMaxPositionEmbeddings: 16,
          betaFast: 32,
          betaSlow: 1,
          attentionFactor: 1 + 0.1 * Math.log(4),
        },
      },
    ],
    [
      'yarn with mscale',
      'llama',
      {rope_scaling: {type: 'yarn', factor: 4, mscale: 1, mscale_all_dim: 0.5, beta_fast: 16, beta_slow: 2}},
      {
        ropeScaling: {
          type: 'yarn',
          factor: 4,
          originalMaxPositionEmbeddings: 64,
          betaFast: 16,
          betaSlow: 2,
          attentionFactor: (1 + 0.1 * Math.log(4)) / (1 + 0.05 * Math.log(4)),
        },
      },
    ],
    [
      'longrope',
      'llama',
      {
        rope_scaling: {
          type: 'longrope',
          short_factor: Array(24).fill(1),
          long_factor: Array(24).fill(2),
          original_max_position_embeddings: 32,
        },
      },
      {
        ropeScaling: {
          type: 'longrope',
          shortFactor: Array(24).fill(1),
          longFactor: Array(24).fill(2),
          originalMaxPositionEmbeddings: 32,
          attentionFactor: Math.sqrt(1 + Math.log(2) / Math.log(32)),
        },
      },
    ],
    ["Mistral's sliding window", 'mistral', {sliding_window: 16}, {slidingWindow: 16}],
    ["Mistral's that is not named", 'mistral', {sliding_window: undefined}, {slidingWindow: 4096}],
    ["Mistral's without", 'mistral', {sliding_window: null}, {slidingWindow: undefined}],
    ['a sliding window that Llama does not have', 'llama', {sliding_window: 16}, {slidingWindow: undefined}],
    [
      "Qwen's sliding window, off",
      'qwen2',
      {sliding_window: 16, use_sliding_window: false, max_window_layers: 0},
      {slidingWindow: undefined},
    ],
    [
      "Qwen's sliding window, in every layer",
      'qwen2',
      {sliding_window: 16, use_sliding_window: true, max_window_layers: 0},
      {slidingWindow: 16},
    ],
    [
      "Qwen's sliding window, in no layer",
      'qwen3',
      {sliding_window: 16, use_sliding_window: true, max_window_layers: 2},
      {slidingWindow: undefined},
    ],
    [
      'a window wider than the context',
      'qwen2',
      {sliding_window: 64, use_sliding_window: true, max_window_layers: 1},
      {slidingWindow: undefined},
    ],
    [
      'layer types',
      'qwen2',
      {sliding_window: 16, use_sliding_window: true, layer_types: ['sliding_attention', 'sliding_attention']},
      {slidingWindow: 16},
    ],
    [
      'one token for each part',
      'llama',
      {eos_token_id: 7, bos_token_id: 1, pad_token_id: -1},
      {eosTokenIds: [7], bosTokenId: 1, padTokenId: undefined},
    ],
    ['no tokens', 'llama', {eos_token_id: null}, {eosTokenIds: [], bosTokenId: undefined}],
  ];
  it.each(configs)('reads %s', async (_, architecture, config, expected) => {
    expect((await openChanged(tinyConfig({architecture}), {config})).config).toMatchObject(expected);
  });

  it('puts the tokens of generation_config.json first', async () => {
    const {config} = await openChanged(tinyConfig(), {config: {eos_token_id: 3}, generationConfig: {eos_token_id: [5, 3]}});
    expect(config.eosTokenIds).toEqual([5, 3]);
  });

  const unsupported: [string, Record<string, unknown>, string][] = [
    ['a model type', {model_type: 'gpt_neox'}, 'the model_type "gpt_neox" is not read (model types read: llama, mistral, qwen2, qwen3)'],
    ['quantised weights', {quantization_config: {quant_method: 'gptq'}}, 'weights quantised by gptq are not read'],
    ['an activation', {hidden_act: 'gelu'}, 'the activation "gelu" is not read'],
    ['partial rotary embeddings', {partial_rotary_factor: 0.5}, 'rotary embeddings on a part of each head'],
    ['a rope scaling', {rope_scaling: {type: 'dynamic', factor: 2}}, 'the rope scaling "dynamic" is not read'],
    ['yarn without truncation', {rope_scaling: {type: 'yarn', factor: 2, truncate: false}}, 'truncate'],
    [
      'rope parameters for each kind of layer',
      {rope_parameters: {full_attention: {rope_theta: 1}}},
      'layers that differ in rotary embeddings',
    ],
    [
      'layers that differ',
      {model_type: 'qwen2', sliding_window: 16, use_sliding_window: true, max_window_layers: 1},
      'layers that differ in attention are not read (1 of 2 have a sliding window)',
    ],
    ['other layers', {layer_types: ['full_attention', 'chunked_attention']}, 'layers of "chunked_attention" are not read'],
  ];
  it.each(unsupported)('names %s it does not read', async (_, config, message) => {
    const error = await openChanged(tinyConfig(), {config}).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(UnsupportedError);
    expect((error as Error).message).toContain(message);
  });

  const damaged: [string, Record<string, unknown>, string][] = [
    ['no model type', {model_type: undefined}, 'model_type is missing'],
    ['a size that is text', {hidden_size: '64'}, 'hidden_size must be an integer, got "64"'],
    ['a missing size', {num_hidden_layers: undefined}, 'num_hidden_layers is missing'],
    ['no layers', {num_hidden_layers: 0}, 'layerCount is 0, not an integer from 1 to'],
    ['an absurd size', {vocab_size: 2 ** 40}, 'vocabSize is 1099511627776, not an integer'],
    ['more positions than a table may have', {max_position_embeddings: 2 ** 23}, 'maxPositionEmbeddings is 8388608, not an integer'],
    ['heads larger than any', {head_dim: 2 ** 20}, 'headDim is 1048576, not an integer from 1 to 4096'],
    ['a size beyond all numbers', {rms_norm_eps: 1e-5, rope_theta: '1e999'}, 'rope_theta must be a number, got "1e999"'],
    ['heads that are no whole number', {head_dim: undefined, num_attention_heads: 5}, 'headDim is 12.8'],
    ['heads that cannot share', {num_key_value_heads: 3}, 'headCount 4 is not a multiple of kvHeadCount 3'],
    ['a token that is not there', {eos_token_id: 80}, 'eosTokenIds has 80, not a token of the 80 there are'],
    ['a factor that is missing', {rope_scaling: {type: 'linear'}}, 'rope_scaling.factor is missing'],
    ['a factor of 0', {rope_scaling: {type: 'linear', factor: 0}}, "rope scaling's factor must be positive"],
    [
      'factors of another length',
      {rope_scaling: {type: 'longrope', short_factor: [1], long_factor: [1]}},
      'shortFactor has 1 values, not one for each of the 24',
    ],
    ['layer types of other layers', {layer_types: ['full_attention']}, 'layer_types has 1 entries for 2 layers'],
  ];
  it.each(damaged)('refuses a config with %s', async (_, config, message) => {
    const error = await openChanged(tinyConfig(), {config}).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(FormatError);
    expect(error).toMatchObject({code: 'ERR_CONFIG'});
    expect((error as Error).message).toContain(message);
  });
});

describe('damaged folders', () => {
  const config = tinyConfig();
  const weights = () => writeFolder(newFolder(), config, randomTensors(config));
  const sharded = () => writeFolder(newFolder(), config, randomTensors(config), {shards: 2});

  it.each([
    ['no config', 'config.json', undefined, 'ERR_NOT_FOUND', 'a Hugging Face folder has a config.json'],
    ['a config that is no JSON', 'config.json', '{', 'ERR_CONFIG', 'is not JSON'],
    ['a config that is a list', 'config.json', '[]', 'ERR_CONFIG', 'is not a JSON object'],
    ['a config without end', 'config.json', `{"hidden_size": ${'['.repeat(1e6)}${']'.repeat(1e6)}}`, 'ERR_CONFIG', 'more than 64 deep'],
    [
      'a tokenizer config without end',
      'tokenizer_config.json',
      `{"x": ${'{"x": '.repeat(1e5)}1${'}'.repeat(1e5)}}`,
      'ERR_TOKENIZER',
      'more than 64 deep',
    ],
    ['a prototype for a config', 'config.json', '{"__proto__": {"model_type": "llama"}}', 'ERR_CONFIG', 'model_type is missing'],
    [
      'a prototype for a shard',
      'model.safetensors.index.json',
      '{"weight_map": {"__proto__": "model.safetensors"}}',
      'ERR_SAFETENSORS',
      'tensor "__proto__" is not in this file',
    ],
    ['no weights', 'model.safetensors', undefined, 'ERR_NOT_FOUND', 'cannot be opened'],
    ['no tokenizer', 'tokenizer.json', undefined, 'ERR_NOT_FOUND', 'has neither tokenizer.json nor tokenizer.model'],
    [
      'a tokenizer without merges',
      'tokenizer.json',
      JSON.stringify({...TOKENIZER, model: {...TOKENIZER.model, merges: undefined}}),
      'ERR_TOKENIZER',
      'has no merges',
    ],
    ['a tokenizer without a model', 'tokenizer.json', '{}', 'ERR_TOKENIZER', 'has no model'],
    ['an index without a map', 'model.safetensors.index.json', '{}', 'ERR_SAFETENSORS', 'has no weight_map'],
    [
      'a shard that is no name',
      'model.safetensors.index.json',
      '{"weight_map": {"a": 1}}',
      'ERR_SAFETENSORS',
      'an entry that is no file name',
    ],
    [
      'a shard above the folder',
      'model.safetensors.index.json',
      '{"weight_map": {"a": "../model.safetensors"}}',
      'ERR_PATH_OUTSIDE',
      'lies outside the folder',
    ],
    [
      'a shard far above the folder',
      'model.safetensors.index.json',
      '{"weight_map": {"a": "x/../../../etc/passwd"}}',
      'ERR_PATH_OUTSIDE',
      'lies outside the folder',
    ],
    [
      'a shard of an absolute path',
      'model.safetensors.index.json',
      '{"weight_map": {"a": "/etc/passwd"}}',
      'ERR_PATH_OUTSIDE',
      'lies outside the folder',
    ],
    [
      'a shard that is the folder',
      'model.safetensors.index.json',
      '{"weight_map": {"a": "."}}',
      'ERR_PATH_OUTSIDE',
      'lies outside the folder',
    ],
    ['a shard with a null byte', 'model.safetensors.index.json', '{"weight_map": {"a": "a\\u0000b"}}', 'ERR_NOT_FOUND', 'cannot be opened'],
    ['a missing shard', 'model.safetensors.index.json', '{"weight_map": {"a": "none.safetensors"}}', 'ERR_NOT_FOUND', 'none.safetensors'],
    [
      'a tensor that its shard lacks',
      'model.safetensors.index.json',
      '{"weight_map": {"a": "model.safetensors"}}',
      'ERR_SAFETENSORS',
      'tensor "a" is not in this file',
    ],
  ])('are refused: %s', async (_, name, content, code, message) => {
    const path = await weights();
    if (content === undefined) await rm(`${path}/${name}`);
    else await writeFile(`${path}/${name}`, content);
    const error = await openSafetensors(path).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(FormatError);
    expect(error).toMatchObject({code});
    expect((error as Error).message).toContain(message);
  });

  it('names weights of another format', async () => {
    const path = await weights();
    await rm(`${path}/model.safetensors`);
    await writeFile(`${path}/pytorch_model.bin`, '');
    await expect(openSafetensors(path)).rejects.toThrow('pytorch_model.bin is not read, only safetensors');
  });

  it('follows symbolic links, of which the cache of Hugging Face is made', async () => {
    const path = await sharded();
    const link = newFolder();
    await mkdir(link);
    for (const name of [
      'config.json',
      'tokenizer.json',
      'model.safetensors.index.json',
      'model-00001-of-00002.safetensors',
      'model-00002-of-00002.safetensors',
    ]) {
      await symlink(`${path}/${name}`, `${link}/${name}`);
    }
    await using checkpoint = await openSafetensors(link);
    expect(checkpoint.tensors.size).toBe(randomTensors(config).size);
  });
});

describe('damaged safetensors', () => {
  const config = tinyConfig();
  const entry = (changes: object) => JSON.stringify({a: {dtype: 'F32', shape: [2, 2], data_offsets: [0, 16], ...changes}});
  const data = new Uint8Array(16);

  const cases: [string, Buffer, string][] = [
    ['an empty file', Buffer.alloc(0), 'truncated: 0 bytes'],
    ['a header past the end', withHeader(entry({}), data, 1000n), 'truncated: the header takes 1000 bytes'],
    ['an absurd header', withHeader(entry({}), data, 2n ** 63n), `a header of ${2n ** 63n} bytes`],
    ['a header that is no JSON', withHeader('{"a":', data), 'is not JSON'],
    ['a header that is a list', withHeader('[]', data), 'is not a JSON object'],
    ['an entry that is no object', withHeader('{"a": 1}', data), 'tensor "a" has no entry'],
    ['no type', withHeader(entry({dtype: undefined}), data), 'tensor "a" has no dtype'],
    ['a shape that is text', withHeader(entry({shape: '2'}), data), 'tensor "a" has the shape "2"'],
    ['a negative size', withHeader(entry({shape: [-2, -2]}), data), 'tensor "a" has the shape [-2,-2]'],
    ['a broken size', withHeader(entry({shape: [0.5, 8]}), data), 'tensor "a" has the shape [0.5,8]'],
    ['a size of 0', withHeader(entry({shape: [0, 2]}), data), 'the impossible shape [0,2]'],
    ['sizes that overflow', withHeader(entry({shape: [2 ** 40, 2 ** 40]}), data), 'the impossible shape'],
    ['offsets of another size', withHeader(entry({data_offsets: [0, 8]}), data), 'tensor "a" of 16 bytes has the data_offsets 0 to 8'],
    ['offsets backwards', withHeader(entry({data_offsets: [16, 0]}), data), 'has the data_offsets 16 to 0'],
    ['one offset', withHeader(entry({data_offsets: [0]}), data), 'not a begin and an end'],
    ['an offset past the end', withHeader(entry({data_offsets: [16, 32]}), data), 'truncated: tensor "a" ends at byte'],
    [
      'tensors that overlap',
      withHeader(
        JSON.stringify({a: {dtype: 'F32', shape: [2], data_offsets: [0, 8]}, b: {dtype: 'F32', shape: [2], data_offsets: [4, 12]}}),
        data,
      ),
      'tensors "a" and "b" overlap at byte',
    ],
  ];
  it.each(cases)('are refused: %s', async (_, bytes, message) => {
    const path = await writeFolder(newFolder(), config, new Map());
    await writeFile(`${path}/model.safetensors`, bytes);
    const error = await openSafetensors(path).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(FormatError);
    expect(error).toMatchObject({code: 'ERR_SAFETENSORS', path: `${path}/model.safetensors`});
    expect((error as Error).message).toContain(message);
  });

  it.each(['F8_E4M3', 'I64', 'X'])('name the type %s, which is not read', async (dtype) => {
    const path = await writeFolder(newFolder(), config, new Map());
    await writeFile(`${path}/model.safetensors`, withHeader(entry({dtype}), data));
    await expect(openSafetensors(path)).rejects.toThrow(`tensor "a" has the safetensors type "${dtype}", which is not read`);
  });

  it('are refused at every length they are cut to', async () => {
    const path = await writeFolder(newFolder(), config, new Map());
    const bytes = await safetensorsBytes([...randomTensors(config).values()]);
    for (let length = 0; length < bytes.length; length += length < 200 ? 1 : 7001) {
      await writeFile(`${path}/model.safetensors`, bytes.subarray(0, length));
      await expect(openSafetensors(path), `cut to ${length}`).rejects.toBeInstanceOf(TensorrtNodeError);
    }
  });
});
