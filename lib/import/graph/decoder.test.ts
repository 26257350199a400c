/** The graph on ONNX Runtime against plain loops in double precision. */

import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import * as ort from 'onnxruntime-node';
import {afterAll, beforeAll, describe, expect, it} from 'vitest';

import {halfBits, halfTensor} from '../../../test/support/half_tensor.js';
import {type RandomCheckpointOptions, randomTensors, tinyConfig} from '../../../test/support/random_checkpoint.js';
import {ReferenceDecoder, type ReferenceRotary} from '../../../test/support/reference_decoder.js';
import {FormatError, UnsupportedError} from '../../errors.js';
import {writeModel} from '../../onnx/write.js';
import type {DecoderConfig, TensorType} from '../checkpoint.js';
import {float16ToFloat32} from '../numeric/float16.js';
import {buildDecoder} from './decoder.js';
import type {FloatType} from './float_type.js';

let folder: string;
let written = 0;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'decoder-'));
});

afterAll(async () => {
  await rm(folder, {recursive: true});
});

const PROMPT = [3, 14, 15, 9, 26, 5, 35];
const REPLY = [8, 9, 79];

describe('against the reference, prefill and step by step', () => {
  const both: Partial<DecoderConfig>[] = [{tieWordEmbeddings: false}, {tieWordEmbeddings: true}];
  it.each(both)('each architecture, dense %o', async (tied) => {
    for (const architecture of ['llama', 'mistral', 'qwen2', 'qwen3'] as const) {
      expect(await largestError(tinyConfig({architecture, ...tied})), architecture).toBeLessThan(5e-6);
    }
  });

  it.each<[string, Partial<DecoderConfig>]>([
    ['as many key/value heads as heads', {kvHeadCount: 4}],
    ['one key/value head', {kvHeadCount: 1}],
    ['heads of 128', {headDim: 128}],
    ['heads of 16', {headDim: 16}],
    ['heads of 80', {headDim: 80}],
  ])('%s', async (_, changes) => {
    expect(await largestError(tinyConfig(changes))).toBeLessThan(5e-6);
  });

  it('biases on every projection', async () => {
    expect(await largestError(tinyConfig(), {checkpoint: {biases: true}})).toBeLessThan(5e-6);
  });

  it.each([1, 2, 4, 7, 64])('a sliding window of %i tokens, the query among them', async (slidingWindow) => {
    expect(await largestError(tinyConfig({architecture: 'mistral', slidingWindow}))).toBeLessThan(5e-6);
  });

  const types: TensorType[] = ['F16', 'BF16', 'Q8_0', 'Q4_0', 'Q4_1', 'Q4_K', 'Q5_K', 'Q6_K'];
  const wide = {hiddenSize: 256, intermediateSize: 512, headDim: 64};
  it.each(types.flatMap((type) => both.map((tied) => [type, tied] as const)))('weights and embedding in %s, %o', async (type, tied) => {
    expect(await largestError(tinyConfig({...wide, ...tied}), {checkpoint: {type: () => type}})).toBeLessThan(5e-6);
  });

  it('types mixed as llama.cpp mixes them', async () => {
    const type = (name: string): TensorType => (/v_proj|down_proj|embed/.test(name) ? 'Q6_K' : 'Q4_K');
    expect(await largestError(tinyConfig({...wide, tieWordEmbeddings: true}), {checkpoint: {type}})).toBeLessThan(5e-6);
  });

  it.each<TensorType>(['F32', 'F16', 'Q8_0', 'Q4_0', 'Q4_1', 'Q4_K', 'Q6_K'])('fp16 from %s', async (type) => {
    const error = await largestError(tinyConfig({...wide, tieWordEmbeddings: true}), {checkpoint: {type: () => type}, dtype: 'fp16'});
    expect(error).toBeLessThan(5e-3);
  });
});

describe('packs products of one input into one', () => {
  const wide = {hiddenSize: 256, intermediateSize: 512, headDim: 64};
  const PACKED = ['self_attn/qkv_proj', 'self_attn/o_proj', 'mlp/gate_up_proj', 'mlp/down_proj'];
  const SEPARATE = ['self_attn/q_proj', 'self_attn/k_proj', 'self_attn/v_proj', 'self_attn/o_proj', 'mlp/gate_up_proj', 'mlp/down_proj'];
  const typed =
    (pattern: RegExp, type: TensorType, other: TensorType) =>
    (name: string): TensorType =>
      pattern.test(name) ? type : other;
  type Case = [string, Partial<DecoderConfig>, RandomCheckpointOptions & {without?: RegExp}, string[]];

  const cases: Case[] = [
    ['floats', {}, {}, PACKED],
    ['halves', {}, {type: () => 'F16'}, PACKED],
    ['blocks', {}, {type: () => 'Q4_1'}, PACKED],
    ['blocks with a larger v', wide, {type: typed(/v_proj/, 'Q6_K', 'Q4_K')}, SEPARATE],
    ['a larger k alone', {}, {type: typed(/k_proj/, 'Q8_0', 'Q4_0')}, SEPARATE],
    [
      'gate and up of different types',
      {},
      {type: typed(/up_proj/, 'Q8_0', 'Q4_0')},
      ['self_attn/qkv_proj', 'self_attn/o_proj', 'mlp/gate_proj', 'mlp/up_proj', 'mlp/down_proj'],
    ],
    ['biases on all', {}, {biases: true}, PACKED],
    ['the biases of Qwen2', {architecture: 'qwen2'}, {}, PACKED],
    ['a bias on v alone', {}, {biases: true, without: /self_attn\.[qk]_proj\.bias/}, SEPARATE],
    [
      'a bias on up alone',
      {},
      {biases: true, without: /gate_proj\.bias/},
      ['self_attn/qkv_proj', 'self_attn/o_proj', 'mlp/gate_proj', 'mlp/up_proj', 'mlp/down_proj'],
    ],
    ['norms of q and k between', {architecture: 'qwen3'}, {}, SEPARATE],
    ['one key/value head', {kvHeadCount: 1}, {}, PACKED],
    ['as many key/value heads as heads', {kvHeadCount: 4}, {}, PACKED],
  ];

  it.each(cases)('%s', async (_, changes, {without, ...options}, expected) => {
    const config = tinyConfig({...changes, layerCount: 1});
    const tensors = new Map([...randomTensors(config, options)].filter(([name]) => !without?.test(name)));
    const {graph} = buildDecoder(config, tensors, {dtype: 'fp32'});
    const products = graph.node
      .filter(({opType}) => opType.startsWith('MatMul'))
      .map(({name}) => /layers\.0\/(.*)\/MatMul/.exec(name)?.[1]);
    expect(products.filter((name) => name !== undefined)).toEqual(expected);
    expect(await largestErrorOf(config, tensors)).toBeLessThan(5e-6);
    // Random Q4_K makes sharp attention, where halves differ more; a row out of place would be off by about 1.
    expect(await largestErrorOf(config, tensors, {dtype: 'fp16'})).toBeLessThan(2e-2);
  });

  it.each(['q', 'k', 'v'])('and names the %s of the checkpoint where its weights leave half precision', async (part) => {
    const config = tinyConfig();
    const name = `model.layers.1.self_attn.${part}_proj.weight`;
    const changed = (options: RandomCheckpointOptions, tensor: string, change: (bytes: Uint8Array) => void, changes = {}) => {
      const tensors = randomTensors({...config, ...changes}, options);
      const {read, ...rest} = tensors.get(tensor)!;
      const reading = async () => {
        const bytes = await read();
        change(bytes);
        return bytes;
      };
      tensors.set(tensor, {...rest, read: reading});
      const model = buildDecoder({...config, ...changes}, tensors, {dtype: 'fp16'});
      return writeModel(model, join(folder, `overflow-${part}.onnx`), {externalData: `overflow-${part}.data`});
    };
    const last = (bytes: Uint8Array) => new DataView(bytes.buffer).setFloat32(bytes.length - 4, -7e4, true);
    await expect(changed({}, name, last)).rejects.toThrow(`tensor '${name}' holds -70000, which half precision cannot`);
    const bias = `model.layers.1.self_attn.${part}_proj.bias`;
    await expect(changed({biases: true}, bias, last)).rejects.toThrow(`tensor '${bias}' holds -70000`);
    // The scale of a Q4_K block is a half times six bits.
    const block = (bytes: Uint8Array) => bytes.set([0xff, 0x7b, 0, 0, 63, 63, 63, 63], bytes.length - 144);
    await expect(changed({type: () => 'Q4_K'}, name, block, wide)).rejects.toThrow(`the scales of tensor '${name}' holds 4126752`);
  });
});

describe('RoPE scaling against the reference', () => {
  const plain = (pair: number) => 10_000 ** ((-2 * pair) / 48);
  const pairs = Array.from({length: 24}, (_, pair) => pair);
  it.each<[string, DecoderConfig['ropeScaling'], ReferenceRotary]>([
    ['linear', {type: 'linear', factor: 4}, {inverseFrequencies: pairs.map((pair) => plain(pair) / 4), factor: 1}],
    [
      'factors',
      {type: 'factors', factors: pairs.map((pair) => 1 + pair)},
      {inverseFrequencies: pairs.map((pair) => plain(pair) / (1 + pair)), factor: 1},
    ],
  ])('%s', async (_, ropeScaling, rotary) => {
    expect(await largestError(tinyConfig({ropeScaling}), {rotary})).toBeLessThan(5e-6);
  });

  it('yarn multiplies queries and keys by its attention factor', async () => {
    const ropeScaling = {
      type: 'yarn',
      factor: 1,
      originalMaxPositionEmbeddings: 32,
      betaFast: 32,
      betaSlow: 1,
      attentionFactor: 1.25,
    } as const;
    const rotary = {inverseFrequencies: pairs.map(plain), factor: 1.25};
    expect(await largestError(tinyConfig({ropeScaling}), {rotary})).toBeLessThan(5e-6);
  });
});

it('takes a prompt in pieces', async () => {
  const config = tinyConfig();
  const tensors = randomTensors(config);
  const expected = (await ReferenceDecoder.create(config, tensors)).forward(PROMPT);
  for (const options of [{}, {shared: {batch: 1, length: 16}}]) {
    const model = await run(config, tensors, 'fp32', options);
    const got: Float32Array[] = [];
    for (const [from, to] of [
      [0, 3],
      [3, 5],
      [5, 7],
    ]) {
      got.push(...(await model.step([PROMPT.slice(from, to)], [Array<number>(to!).fill(1)]))[0]!);
    }
    for (const [at, logits] of expected.entries()) expect(distance(got[at]!, logits)).toBeLessThan(5e-6);
  }
});

it('runs rows of different lengths in one buffer that is past and present', async () => {
  const config = tinyConfig();
  const tensors = randomTensors(config);
  const reference = await ReferenceDecoder.create(config, tensors);
  const model = await run(config, tensors, 'fp32', {shared: {batch: 2, length: 32}});
  const rows = [[...PROMPT], [42, 7, 1]];
  const longest = 7;

  const padded = rows.map((row) => [...row, ...Array<number>(longest - row.length).fill(0)]);
  const mask = rows.map((row) => padded[0]!.map((_, at) => (at < row.length ? 1 : 0)));
  const prefill = await model.step(padded, mask);
  for (const [index, row] of rows.entries()) {
    const expected = reference.forward(row);
    for (const [at, logits] of expected.entries()) expect(distance(prefill[index]![at]!, logits)).toBeLessThan(5e-6);
  }
  for (const token of REPLY) {
    for (const row of rows) row.push(token);
    const total = Math.max(...rows.map((row) => row.length));
    const next = await model.step(
      rows.map((row) => row.slice(-1)),
      rows.map((row) => Array.from({length: total}, (_, at) => (at < row.length ? 1 : 0))),
    );
    for (const [index, row] of rows.entries()) expect(distance(next[index]![0]!, reference.forward(row).at(-1)!)).toBeLessThan(5e-6);
  }
});

it('stores tied embeddings once', async () => {
  for (const type of ['F32', 'Q8_0', 'Q4_1'] as const) {
    const config = tinyConfig({tieWordEmbeddings: true, vocabSize: 4000, layerCount: 1});
    const tensors = randomTensors(config, {type: () => type});
    const path = join(folder, `tied-${type}.onnx`);
    await writeModel(buildDecoder(config, tensors, {dtype: 'fp32'}), path, {externalData: `tied-${type}.data`});
    const {size} = await (await import('node:fs/promises')).stat(join(folder, `tied-${type}.data`));
    const elements = 4000 * 64;
    // Codes, fp32 scales and fp32 zero points.
    const bytes = {F32: elements * 4, Q8_0: elements + elements / 8, Q4_1: elements / 2 + elements / 4}[type];
    expect(size, type).toBeGreaterThan(bytes);
    expect(size, type).toBeLessThan(1.5 * bytes);
  }
});

describe('refuses', () => {
  const config = tinyConfig();
  const without = (name: string) => new Map([...randomTensors(config)].filter(([each]) => each !== name));
  const changed = (name: string, change: object) => {
    const tensors = randomTensors(config);
    tensors.set(name, {...tensors.get('model.norm.weight')!, name, ...tensors.get(name), ...change});
    return tensors;
  };

  it.each([
    ['model.norm.weight', without('model.norm.weight'), "tensor 'model.norm.weight' is missing"],
    ['lm_head.weight', without('lm_head.weight'), "tensor 'lm_head.weight' is missing"],
    [
      'a wrong shape',
      changed('model.layers.1.mlp.up_proj.weight', {shape: [96, 63]}),
      "tensor 'model.layers.1.mlp.up_proj.weight' has shape [96, 63], the config asks for [96, 64]",
    ],
    [
      'a wrong rank',
      changed('model.norm.weight', {shape: [8, 8]}),
      "tensor 'model.norm.weight' has shape [8, 8], the config asks for [64]",
    ],
    ['wrong bytes', changed('model.norm.weight', {byteLength: 255}), "tensor 'model.norm.weight' has 255 bytes where its shape needs 256"],
    [
      'cut blocks',
      changed('model.norm.weight', {type: 'Q4_K'}),
      "tensor 'model.norm.weight' has rows of 64, not whole blocks of 256 as Q4_K needs",
    ],
  ])('%s', (_, tensors, message) => {
    expect(() => buildDecoder(config, tensors, {dtype: 'fp32', label: 'tiny'})).toThrow(FormatError);
    expect(() => buildDecoder(config, tensors, {dtype: 'fp32', label: 'tiny'})).toThrow(`tiny: ${message}`);
  });

  it('a tensor that has no place', () => {
    const tensors = changed('model.layers.0.self_attn.q_norm.weight', {});
    expect(() => buildDecoder(config, tensors, {dtype: 'fp32'})).toThrow(UnsupportedError);
    expect(() => buildDecoder(config, tensors, {dtype: 'fp32'})).toThrow("tensor 'model.layers.0.self_attn.q_norm.weight' has no place");
  });

  it('but not the inverse frequencies that old checkpoints store', () => {
    const tensors = changed('model.layers.0.self_attn.rotary_emb.inv_freq', {});
    expect(() => buildDecoder(config, tensors, {dtype: 'fp32'})).not.toThrow();
  });

  it.each<[Partial<DecoderConfig>, string]>([
    [{headDim: 24}, 'heads of 24 elements; a multiple of 16 is needed'],
    [
      {ropeScaling: {type: 'longrope', shortFactor: [], longFactor: [], originalMaxPositionEmbeddings: 32, attentionFactor: 1}},
      "RoPE scaling 'longrope' is not supported",
    ],
  ])('%o', (changes, message) => {
    const odd = tinyConfig(changes);
    expect(() => buildDecoder(odd, randomTensors(odd), {dtype: 'fp32'})).toThrow(UnsupportedError);
    expect(() => buildDecoder(odd, randomTensors(odd), {dtype: 'fp32'})).toThrow(message);
  });

  it('weights beyond half precision, when they are written, and suggests fp32', async () => {
    const name = 'model.layers.0.mlp.down_proj.weight';
    const bytes = new Uint8Array(Float32Array.from({length: 96 * 64}, (_, index) => (index === 700 ? 7e4 : 0)).buffer);
    const model = buildDecoder(config, changed(name, {read: async () => bytes}), {dtype: 'fp16'});
    const writing = writeModel(model, join(folder, 'overflow.onnx'), {externalData: 'overflow.data'});
    await expect(writing).rejects.toThrow(
      `tensor '${name}' holds 70000, which half precision cannot (its largest is 65504) (use dtype fp32)`,
    );
  });
});

interface Comparison {
  checkpoint?: RandomCheckpointOptions;
  rotary?: ReferenceRotary;
  dtype?: FloatType;
}

/** Largest difference of a logit from the reference's, over a prompt and a reply after it, where the largest logit is 1. */
async function largestError(config: DecoderConfig, {checkpoint, ...comparison}: Comparison = {}): Promise<number> {
  return largestErrorOf(config, randomTensors(config, checkpoint), comparison);
}

async function largestErrorOf(
  config: DecoderConfig,
  tensors: Parameters<typeof buildDecoder>[1],
  {rotary, dtype = 'fp32'}: Omit<Comparison, 'checkpoint'> = {},
): Promise<number> {
  const expected = (await ReferenceDecoder.create(config, tensors, rotary)).forward([...PROMPT, ...REPLY]);
  const model = await run(config, tensors, dtype);
  let length = PROMPT.length;
  const got = (await model.step([PROMPT], [Array<number>(length).fill(1)]))[0]!;
  for (const token of REPLY) got.push(...(await model.step([[token]], [Array<number>(++length).fill(1)]))[0]!);
  const scale = Math.max(...expected.flatMap((logits) => [...logits].map(Math.abs)));
  return Math.max(...got.map((logits, at) => distance(logits, expected[at]!))) / scale;
}

function distance(got: Float32Array, expected: Float64Array): number {
  expect(got.length).toBe(expected.length);
  // NaN must not pass for small.
  return got.reduce(
    (largest, value, index) => (Math.abs(value - expected[index]!) <= largest ? largest : Math.abs(value - expected[index]!)),
    0,
  );
}

interface Running {
  /** Logits [row][position] after tokens [row][position]. */
  step(tokens: readonly (readonly number[])[], mask: readonly (readonly number[])[]): Promise<Float32Array[][]>;
}

/** The model on ONNX Runtime; its cache grows, or is one buffer of `shared.length` positions. */
async function run(
  config: DecoderConfig,
  tensors: Parameters<typeof buildDecoder>[1],
  dtype: FloatType,
  {shared}: {shared?: {batch: number; length: number}} = {},
): Promise<Running> {
  const path = join(folder, `model-${written}.onnx`);
  await writeModel(buildDecoder(config, tensors, {dtype}), path, {externalData: `model-${written++}.data`});
  const session = await ort.InferenceSession.create(path, {intraOpNumThreads: 1, logSeverityLevel: 3});
  const cacheDims = [shared?.batch ?? 1, config.kvHeadCount, shared?.length ?? 0, config.headDim];
  const elements = cacheDims.reduce((product, dim) => product * dim, 1);
  const empty = () =>
    dtype === 'fp32' ? new ort.Tensor('float32', new Float32Array(elements), cacheDims) : halfTensor(new Uint16Array(elements), cacheDims);
  const names = Array.from({length: config.layerCount}, (_, layer) => [`${layer}.key`, `${layer}.value`]).flat();
  const cache = new Map<string, ort.Tensor>(names.map((name) => [name, empty()]));

  return {
    async step(tokens, mask) {
      const feeds: Record<string, ort.Tensor> = {input_ids: int64(tokens), attention_mask: int64(mask)};
      const fetches: Record<string, ort.Tensor | null> = {logits: null};
      for (const [name, tensor] of cache) {
        feeds[`past_key_values.${name}`] = tensor;
        fetches[`present.${name}`] = shared ? tensor : null;
      }
      const results = await session.run(feeds, fetches);
      if (!shared) {
        for (const name of names) {
          const present = results[`present.${name}`]!;
          cache.set(name, dtype === 'fp32' ? present : halfTensor(halfBits(present), present.dims));
        }
      }
      const logits = results.logits!;
      const values = dtype === 'fp32' ? (logits.data as Float32Array) : float16ToFloat32(halfBits(logits));
      return tokens.map((row, index) =>
        row.map((_, at) => {
          const from = (index * row.length + at) * config.vocabSize;
          return values.slice(from, from + config.vocabSize);
        }),
      );
    },
  };
}

function int64(rows: readonly (readonly number[])[]): ort.Tensor {
  return new ort.Tensor('int64', BigInt64Array.from(rows.flat().map(BigInt)), [rows.length, rows[0]!.length]);
}
