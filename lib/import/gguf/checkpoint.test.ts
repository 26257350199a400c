import {mkdir, open, readdir, rm, writeFile} from 'node:fs/promises';

import {describe, expect, it} from 'vitest';

import {
  decoderMetadata,
  decoderTensors,
  f32,
  type GgufTensor,
  type GgufValue,
  ggufBytes,
  i32s,
  string,
  u32,
  u64,
} from '../../../test/support/gguf_file.js';
import {mulberry32, randomTensors, tinyConfig} from '../../../test/support/random_checkpoint.js';
import {temporaryFolder} from '../../../test/support/temporary_folder.js';
import {FormatError, TensorrtNodeError, UnsupportedError} from '../../errors.js';
import type {Checkpoint, DecoderConfig} from '../checkpoint.js';
import {openGguf} from './checkpoint.js';

const folder = temporaryFolder();

interface Changes {
  metadata?: Record<string, GgufValue | undefined>;
  tensors?: (tensors: GgufTensor[]) => GgufTensor[];
}

async function bytesOf(config: DecoderConfig, {metadata = {}, tensors = (all) => all}: Changes = {}): Promise<Buffer> {
  const entries = Object.entries({...decoderMetadata(config), ...metadata}).filter((entry): entry is [string, GgufValue] => !!entry[1]);
  return ggufBytes({metadata: entries, tensors: tensors(await decoderTensors(config, randomTensors(config)))});
}

async function openChanged(config: DecoderConfig, changes?: Changes): Promise<Checkpoint> {
  const path = folder('model.gguf');
  await writeFile(path, await bytesOf(config, changes));
  const checkpoint = await openGguf(path);
  await checkpoint[Symbol.asyncDispose]();
  return checkpoint;
}

/** Vectors without meaning for the model, in front of the others. */
const vector = (name: string, values: readonly number[]): GgufTensor => ({
  name,
  type: 'F32',
  dimensions: [values.length],
  data: new Uint8Array(Float32Array.from(values).buffer),
});

describe('openGguf', () => {
  it.each(['llama', 'qwen2', 'qwen3'] as const)('reads %s as Hugging Face has it: names, shapes, rows', async (architecture) => {
    const config = tinyConfig({architecture});
    const expected = randomTensors(config, {biases: architecture === 'llama'});
    const path = folder(`${architecture}.gguf`);
    await writeFile(path, ggufBytes({metadata: decoderMetadata(config), tensors: await decoderTensors(config, expected)}));
    await using checkpoint = await openGguf(path);

    expect(checkpoint).toMatchObject({format: 'gguf', path, config});
    expect([...checkpoint.tensors.keys()].sort()).toEqual([...expected.keys()].sort());
    for (const [name, tensor] of checkpoint.tensors) {
      const {type, shape, byteLength, read} = expected.get(name)!;
      expect(tensor).toMatchObject({name, type, shape, byteLength});
      expect(Buffer.from(await tensor.read()).equals(await read()), name).toBe(true);
    }
  });

  it('moves quantised rows whole', async () => {
    const config = tinyConfig();
    const expected = randomTensors(config, {type: (name) => (name.includes('_proj') ? 'Q4_1' : undefined)});
    const path = folder('quantised.gguf');
    await writeFile(path, ggufBytes({metadata: decoderMetadata(config), tensors: await decoderTensors(config, expected)}));
    await using checkpoint = await openGguf(path);
    const name = 'model.layers.1.self_attn.q_proj.weight';
    expect(Buffer.from(await checkpoint.tensors.get(name)!.read()).equals(await expected.get(name)!.read())).toBe(true);
  });

  it('ties embeddings where there is no output.weight', async () => {
    const {config, tensors} = await openChanged(tinyConfig({tieWordEmbeddings: true}));
    expect(config.tieWordEmbeddings).toBe(true);
    expect(tensors.has('lm_head.weight')).toBe(false);
  });

  const configs: [string, Changes, Partial<DecoderConfig>][] = [
    [
      'defaults',
      {metadata: {'llama.attention.head_count_kv': undefined, 'llama.rope.freq_base': undefined}},
      {kvHeadCount: 4, ropeTheta: 10_000},
    ],
    ['head counts given for each layer', {metadata: {'llama.attention.head_count': i32s([4, 4])}}, {headCount: 4}],
    ['a float that is a decimal', {metadata: {'llama.attention.layer_norm_rms_epsilon': f32(1e-6)}}, {rmsNormEps: 1e-6}],
    ['a sliding window', {metadata: {'llama.attention.sliding_window': u32(32)}}, {slidingWindow: 32}],
    ['no sliding window', {metadata: {'llama.attention.sliding_window': u32(0)}}, {slidingWindow: undefined}],
    [
      'linear scaling',
      {metadata: {'llama.rope.scaling.type': string('linear'), 'llama.rope.scaling.factor': f32(4)}},
      {ropeScaling: {type: 'linear', factor: 4}},
    ],
    ['no scaling', {metadata: {'llama.rope.scaling.type': string('none'), 'llama.rope.scaling.factor': f32(4)}}, {ropeScaling: undefined}],
    [
      'yarn',
      {
        metadata: {
          'llama.rope.scaling.type': string('yarn'),
          'llama.rope.scaling.factor': f32(4),
          'llama.rope.scaling.original_context_length': u32(16),
        },
      },
      {
        ropeScaling: {
          type: 'yarn',
          factor: 4,
          originalMaxPositionEmbeddings: 16,
          betaFast: 32,
          betaSlow: 1,
          attentionFactor: 0.1 * Math.log(4) + 1,
        },
      },
    ],
    [
      'rope factors',
      {
        tensors: (all) => [
          vector(
            'rope_freqs.weight',
            Array.from({length: 24}, (_, i) => i + 1),
          ),
          ...all,
        ],
      },
      {ropeScaling: {type: 'factors', factors: Array.from({length: 24}, (_, i) => i + 1)}},
    ],
    [
      'all tokens that end a reply, the named first',
      {metadata: {'tokenizer.ggml.eos_token_id': u32(3), 'tokenizer.ggml.eot_token_id': u32(5), 'tokenizer.ggml.eom_token_id': u32(3)}},
      {eosTokenIds: [3, 5, 0]},
    ],
    [
      'other special tokens',
      {metadata: {'tokenizer.ggml.bos_token_id': u32(2), 'tokenizer.ggml.padding_token_id': u32(0xffffffff)}},
      {bosTokenId: 2, padTokenId: undefined},
    ],
  ];
  it.each(configs)('reads %s', async (_, changes, expected) => {
    expect((await openChanged(tinyConfig(), changes)).config).toMatchObject(expected);
  });

  const unsupported: [string, Changes, string][] = [
    [
      'an architecture',
      {metadata: {'general.architecture': string('gemma3')}},
      'the GGUF architecture "gemma3" is not read (architectures read: llama, qwen2, qwen3)',
    ],
    ['no architecture', {metadata: {'general.architecture': undefined}}, 'the GGUF file names no general.architecture'],
    ['experts', {metadata: {'llama.expert_count': u32(8)}}, 'mixtures of experts are not read'],
    [
      'partial rotary embeddings',
      {metadata: {'llama.rope.dimension_count': u32(24)}},
      'rotary embeddings on 24 of 48 dimensions are not read',
    ],
    ['values of another length', {metadata: {'llama.attention.value_length': u32(32)}}, 'values of another length (32) than keys (48)'],
    [
      'layers that differ',
      {metadata: {'llama.attention.head_count_kv': i32s([2, 1])}},
      'layers that differ are not read (llama.attention.head_count_kv)',
    ],
    ['a rope scaling', {metadata: {'llama.rope.scaling.type': string('ntk')}}, 'the rope scaling "ntk" is not read'],
    [
      'a variant of yarn',
      {metadata: {'llama.rope.scaling.type': string('yarn'), 'llama.rope.scaling.yarn_log_multiplier': f32(0.1)}},
      'yarn_log_multiplier',
    ],
    ['a tensor', {tensors: (all) => [...all, vector('blk.0.ffn_gate_inp.weight', [1])]}, 'tensor "blk.0.ffn_gate_inp.weight" has no place'],
    ['a tokenizer', {metadata: {'tokenizer.ggml.model': string('t5')}}, 'the tokenizer model "t5" is not read'],
    ['a pre-tokenizer', {metadata: {'tokenizer.ggml.pre': string('klingon')}}, 'the pre-tokenizer "klingon" is not known'],
  ];
  it.each(unsupported)('names %s it does not read', async (_, changes, message) => {
    const error = await openChanged(tinyConfig(), changes).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(UnsupportedError);
    expect((error as Error).message).toContain(message);
  });

  const damaged: [string, Changes, string, string][] = [
    ['a missing size', {metadata: {'llama.block_count': undefined}}, 'ERR_GGUF', 'metadata llama.block_count is missing'],
    [
      'a size that is text',
      {metadata: {'llama.block_count': string('2')}},
      'ERR_GGUF',
      'metadata llama.block_count must be an integer, got "2"',
    ],
    [
      'an absurd size',
      {metadata: {'llama.block_count': u64(2n ** 40n)}},
      'ERR_GGUF',
      'layerCount is 1099511627776, not an integer from 1 to',
    ],
    ['no heads', {metadata: {'llama.attention.head_count': u32(0)}}, 'ERR_GGUF', 'headCount is 0'],
    [
      'heads that cannot share',
      {metadata: {'llama.attention.head_count_kv': u32(3)}},
      'ERR_GGUF',
      'headCount 4 is not a multiple of kvHeadCount 3',
    ],
    ['an epsilon of NaN', {metadata: {'llama.attention.layer_norm_rms_epsilon': f32(Number.NaN)}}, 'ERR_GGUF', 'must be a finite number'],
    ['a base of 0', {metadata: {'llama.rope.freq_base': f32(0)}}, 'ERR_GGUF', 'ropeTheta is 0, not a positive number'],
    [
      'too few rope factors',
      {tensors: (all) => [vector('rope_freqs.weight', [1, 2]), ...all]},
      'ERR_GGUF',
      'factors has 2 values, not one for each of the 24',
    ],
    [
      'no embeddings',
      {tensors: (all) => all.filter(({name}) => name !== 'token_embd.weight')},
      'ERR_GGUF',
      'tensor token_embd.weight is missing',
    ],
    [
      'two names for a tensor',
      {tensors: (all) => [...all, vector('blk.00.attn_norm.weight', [1])]},
      'ERR_GGUF',
      'two tensors are model.layers.0.input_layernorm.weight',
    ],
    ['no tokenizer', {metadata: {'tokenizer.ggml.model': undefined}}, 'ERR_TOKENIZER', 'the file has no tokenizer'],
    ['no merges', {metadata: {'tokenizer.ggml.merges': undefined}}, 'ERR_TOKENIZER', 'the tokenizer has no merges'],
    [
      'a token that is not there',
      {metadata: {'tokenizer.ggml.eos_token_id': u32(80)}},
      'ERR_TOKENIZER',
      'tokenizer.ggml.eos_token_id is 80, there are 80 tokens',
    ],
    [
      'tokens without embeddings',
      {tensors: (all) => all.map((each) => (each.name === 'token_embd.weight' ? {...each, dimensions: [64, 79]} : each))},
      'ERR_GGUF',
      '80 tokens, but embeddings for 79',
    ],
  ];
  it.each(damaged)('refuses %s', async (_, changes, code, message) => {
    const error = await openChanged(tinyConfig(), changes).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(FormatError);
    expect(error).toMatchObject({code, path: folder('model.gguf')});
    expect((error as Error).message).toContain(message);
  });

  it('says when there is no such file', async () => {
    await expect(openGguf(folder('none.gguf'))).rejects.toMatchObject({code: 'ERR_NOT_FOUND', path: folder('none.gguf')});
    await expect(openGguf(folder())).rejects.toMatchObject({code: 'ERR_NOT_FOUND'});
  });
});

describe('split files', () => {
  const path = (name: string) => folder('split', name);
  const name = (number: number, count = 3) => `m-0000${number}-of-0000${count}.gguf`;

  /** Writes three files, the last two with tensors alone. */
  async function write(changes: Record<number, Record<string, GgufValue | undefined>> = {}, repeat = false): Promise<void> {
    await mkdir(folder('split'), {recursive: true});
    const config = tinyConfig();
    const tensors = await decoderTensors(config, randomTensors(config));
    for (let i = 0; i < 3; i++) {
      const metadata = {
        ...(i === 0 ? decoderMetadata(config) : {}),
        'split.no': u32(i),
        'split.count': u32(3),
        'split.tensors.count': u32(tensors.length),
        ...changes[i],
      };
      const entries = Object.entries(metadata).filter((entry): entry is [string, GgufValue] => !!entry[1]);
      const part = tensors.filter((_, t) => t % 3 === i || (repeat && t === 0));
      await writeFile(path(name(i + 1)), ggufBytes({metadata: entries, tensors: part}));
    }
  }

  it.each([1, 2, 3])('reads all of them, given number %i', async (given) => {
    await write();
    const config = tinyConfig();
    await using checkpoint = await openGguf(path(name(given)));
    expect(checkpoint.config).toMatchObject(config);
    for (const [each, tensor] of randomTensors(config)) {
      expect(Buffer.from(await checkpoint.tensors.get(each)!.read()).equals(await tensor.read())).toBe(true);
    }
  });

  const damaged: [string, () => Promise<void>, string][] = [
    ['a file in another place', () => write({1: {'split.no': u32(2)}}), 'says it is file 2 of a split (from 0), its name says 1'],
    ['a count that differs', () => write({2: {'split.count': u32(4)}}), 'its name says 2'],
    ['a tensor twice', () => write({}, true), 'is in an earlier file of the split too'],
    ['too few tensors', () => write({0: {'split.tensors.count': u32(99)}}), 'tensors, its metadata says 99'],
    [
      'a count its name does not have',
      () => write({0: {'split.count': u32(4)}}),
      'is one of 4 files of a split model, but is not named so',
    ],
  ];
  it.each(damaged)('refuses %s', async (_, prepare, message) => {
    await prepare();
    await expect(openGguf(path(name(1)))).rejects.toThrow(message);
    await expect(openGguf(path(name(1)))).rejects.toMatchObject({code: 'ERR_GGUF'});
  });

  it('names the file that is missing', async () => {
    await write();
    await rm(path(name(2)));
    await expect(openGguf(path(name(1)))).rejects.toMatchObject({code: 'ERR_NOT_FOUND', path: path(name(2))});
  });
});

describe('hostile files', () => {
  const small = () =>
    bytesOf(tinyConfig({hiddenSize: 32, intermediateSize: 32, headCount: 1, kvHeadCount: 1, headDim: 32, layerCount: 1, vocabSize: 40}));

  /** Resolves to what a file of these bytes ends in: undefined when it opens. */
  async function outcome(path: string): Promise<unknown> {
    try {
      const checkpoint = await openGguf(path);
      await checkpoint[Symbol.asyncDispose]();
      return undefined;
    } catch (error) {
      return error;
    }
  }

  const openFiles = async () => (await readdir('/proc/self/fd').catch(() => [])).length;

  it('are refused at every length they are cut to', async () => {
    const path = folder('cut.gguf');
    const bytes = await small();
    await writeFile(path, bytes);
    const before = await openFiles();
    await using file = await open(path, 'r+');
    // Every length through the header's beginning, then a sample of the rest.
    for (let length = bytes.length - 1; length >= 0; length -= length > 4000 ? 997 : length > 600 ? 13 : 1) {
      await file.truncate(length);
      const error = await outcome(path);
      expect(error, `cut to ${length}`).toBeInstanceOf(FormatError);
      expect(error, `cut to ${length}`).toMatchObject({code: 'ERR_GGUF'});
    }
    expect(await openFiles()).toBe(before + (before > 0 ? 1 : 0));
  });

  it('open, or end in an error of this library, whatever bytes are changed', async () => {
    const path = folder('flipped.gguf');
    const bytes = await small();
    const random = mulberry32(99);
    const headerEnd = bytes.indexOf('output_norm') + 200;
    const kinds = new Map<string, number>();
    for (let round = 0; round < 1500; round++) {
      const changed = Buffer.from(bytes);
      for (let n = 1 + Math.floor(random() * 4); n > 0; n--) {
        const at = Math.floor(random() * headerEnd);
        changed[at] = random() < 0.3 ? 0xff : Math.floor(random() * 256);
      }
      await writeFile(path, changed);
      const error = await outcome(path);
      if (error !== undefined) expect(error, `round ${round}`).toBeInstanceOf(TensorrtNodeError);
      const kind = error instanceof TensorrtNodeError ? error.code : 'opened';
      kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
    }
    // The changes reach every part of the reader.
    expect([...kinds.keys()].sort()).toEqual(['ERR_GGUF', 'ERR_TOKENIZER', 'ERR_UNSUPPORTED', 'opened']);
  });
});
