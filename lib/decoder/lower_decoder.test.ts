/** Lowered decoders, interpreted in plain loops, against the models they come from on ONNX Runtime. */

import {existsSync, statSync} from 'node:fs';
import {fileURLToPath} from 'node:url';

import {toBinary} from '@bufbuild/protobuf';
import {describe, expect, it} from 'vitest';

import {DecoderSession} from '../../test/support/decoder_session.js';
import {type DequantizedOptions, type ExportOptions, exportedDecoder} from '../../test/support/exported_decoder.js';
import {LoweredInterpreter, type Run} from '../../test/support/lowered_interpreter.js';
import {type RandomCheckpointOptions, randomTensors, tinyConfig} from '../../test/support/random_checkpoint.js';
import {AbortError, UnsupportedError} from '../errors.js';
import type {DecoderConfig, TensorType} from '../import/checkpoint.js';
import {buildDecoder} from '../import/graph/decoder.js';
import {DataType} from '../onnx/data_type.js';
import {stringAttribute, tensorInfo} from '../onnx/graph.js';
import {GraphBuilder, int} from '../onnx/graph_builder.js';
import type {Model} from '../onnx/model.js';
import {ModelProtoSchema} from '../onnx/onnx_pb.js';
import {readModel} from '../onnx/read.js';
import {lowerDecoder} from './lower_decoder.js';
import type {Execution, LoweredDecoder} from './lowered_decoder.js';
import type {PackedFormat} from './packed_format.js';
import {weightByteLength, weightKey} from './weight_ref.js';

const PROMPT = [3, 14, 15, 9, 26, 5, 35];
const OTHER = [42, 7, 1];
const REPLY = [8, 9, 79];
/** For a smaller vocabulary. */
const EXPORTED_TOKENS = [PROMPT, [4, 7, 1], [8, 9, 39]];

/** What a block is, whoever wrote the model: norms, activations and sums are parts of the products. */
const BLOCK = ['Linear', 'Attention', 'Linear', 'Linear', 'Linear'];

/**
 * Largest difference of a logit, as a part of the largest: two prompts (the second may be empty), then steps of both at
 * once; on ONNX Runtime each sequence on its own.
 */
async function largestError(model: Model, lowered: LoweredDecoder, tokens: readonly number[][] = [PROMPT, OTHER, REPLY]): Promise<number> {
  const [prompt, other, reply] = tokens as [number[], number[], number[]];
  const interpreter = await LoweredInterpreter.create(lowered);
  const dims = [lowered.shape.kvHeads, lowered.shape.headSize] as const;
  await using first = await DecoderSession.create(model, dims);
  await using second = await DecoderSession.create(model, dims);
  // A prompt in two pieces, and another beside the second.
  const pieces: Run[][] = [
    [{slot: 2, start: 0, tokens: prompt.slice(0, 4)}],
    [
      {slot: 0, start: 0, tokens: other},
      {slot: 2, start: 4, tokens: prompt.slice(4)},
    ],
  ];
  const got = pieces.flatMap((runs) => prefill(interpreter, runs));
  const firstLogits = await first.step(prompt);
  const secondLogits = other.length > 0 ? await second.step(other) : [];
  const expected = [...firstLogits.slice(0, 4), ...secondLogits, ...firstLogits.slice(4)];
  for (const [at, token] of reply.entries()) {
    const runs = [{slot: 2, start: prompt.length + at, tokens: [token]}];
    if (other.length > 0) runs.unshift({slot: 0, start: other.length + at, tokens: [token]});
    // By turns with few rows' kernels and with those of more.
    got.push(...interpreter.step(at % 2 === 0 ? 'decode' : 'wide', runs));
    if (other.length > 0) expected.push(...(await second.step([token])));
    expected.push(...(await first.step([token])));
  }
  const scale = Math.max(...expected.map((logits) => logits.reduce((most, value) => Math.max(most, Math.abs(value)), 0)));
  let largest = 0;
  for (const [row, logits] of expected.entries()) {
    expect(got[row]).toHaveLength(logits.length);
    for (const [at, value] of logits.entries()) {
      const error = Math.abs(got[row]![at]! - value) / scale;
      // NaN must not pass for small.
      if (!(error <= largest)) largest = error;
    }
  }
  return largest;
}

function prefill(interpreter: LoweredInterpreter, runs: readonly Run[]): Float32Array[] {
  const present = runs.filter(({tokens}) => tokens.length > 0);
  return present.length > 0 ? interpreter.step('prefill', present) : [];
}

async function importedError(changes: Partial<DecoderConfig>, options: RandomCheckpointOptions = {}, dtype: 'fp32' | 'fp16' = 'fp32') {
  const config = tinyConfig(changes);
  const model = buildDecoder(config, randomTensors(config, options), {dtype});
  return largestError(model, await lowerDecoder(model));
}

describe('models of our own import', () => {
  it.each<[string, Partial<DecoderConfig>, RandomCheckpointOptions]>([
    ['llama', {}, {}],
    ['a tied head', {tieWordEmbeddings: true}, {}],
    ['heads of 80', {headDim: 80}, {}],
    ['heads of 96, as many of keys', {headDim: 96, kvHeadCount: 4}, {}],
    ['nine heads on three', {headCount: 9, kvHeadCount: 3, headDim: 16}, {}],
    ['qwen2, biases of q, k and v', {architecture: 'qwen2'}, {}],
    ['biases on every product', {}, {biases: true}],
    ['a sliding window', {architecture: 'mistral', slidingWindow: 4}, {}],
    ['qwen3, norms of heads', {architecture: 'qwen3'}, {}],
    ['a vocabulary of 77', {vocabSize: 83}, {}],
  ])('%s', async (_, changes, options) => {
    expect(await importedError(changes, options)).toBeLessThan(1e-5);
  });

  const wide = {hiddenSize: 256, intermediateSize: 512, headDim: 64};
  it.each<TensorType>(['Q8_0', 'Q4_0', 'Q4_1', 'Q4_K'])('blocks of %s, tied or not', async (type) => {
    for (const tieWordEmbeddings of [false, true]) {
      expect(await importedError({...wide, tieWordEmbeddings}, {type: () => type}), String(tieWordEmbeddings)).toBeLessThan(1e-5);
    }
  });

  it('products of different types, which no file has packed', async () => {
    const type = (name: string): TensorType => (/v_proj|up_proj/.test(name) ? 'Q8_0' : 'Q4_1');
    expect(await importedError(wide, {type})).toBeLessThan(1e-5);
  });

  it('halves', async () => {
    expect(await importedError({}, {}, 'fp16')).toBeLessThan(5e-3);
  });
});

describe("models by onnxruntime-genai's builder", () => {
  it.each<Omit<ExportOptions, 'style'>>([
    {},
    {quantized: true},
    {quantized: true, biases: true},
    {biases: true, kvHeads: 4},
    {biases: ['q', 'v']},
    {unrotated: [0, 1]},
    {window: 4},
    {interleaved: true},
    {headSize: 32, rotarySize: 16},
    {activation: 'gelu_tanh', embeddingScale: 5.65, logitsCap: 3},
    {activation: 'gelu_erf', layers: 1},
  ])('%o', async (options) => {
    const model = exportedDecoder({style: 'genai', ...options});
    const lowered = await lowerDecoder(model);
    expect(lowered.parts.map(({name}) => name)).toEqual(['prologue', 'block', 'epilogue']);
    expect(lowered.parts[1]!.weights.map(({name}) => name)).toContain('qkv');
    expect(lowered.models.get('block')!.decode.graph.node.map(({opType}) => opType)).toEqual(BLOCK);
    expect(await largestError(model, lowered, EXPORTED_TOKENS)).toBeLessThan(1e-5);
  });
});

describe("exports in ONNX's own operators, caches concatenated", () => {
  it.each<Omit<ExportOptions, 'style'>>([
    {},
    {biases: true},
    {kvHeads: 4, rootScale: true},
    {kvHeads: 1},
    {window: 4},
    {headSize: 32, rotarySize: 16},
    {activation: 'gelu_tanh', embeddingScale: 5.65, logitsCap: 3},
    {activation: 'gelu_erf', layers: 1},
    {shiftedNorms: true, whereMask: true, softcap: 2},
    {half: true, biases: true, window: [4, 0]},
    {half: true, shiftedNorms: true, whereMask: true, softcap: 2, activation: 'gelu_tanh'},
  ])('%o', async (options) => {
    const model = exportedDecoder({style: 'plain', ...options});
    const lowered = await lowerDecoder(model, {maxPositions: 40});
    expect(lowered.shape.maxPositions).toBe(40);
    const {window = 0, layers = 2} = options;
    expect(lowered.shape.windows).toEqual(typeof window === 'number' ? Array(layers).fill(window) : window);
    expect(lowered.models.get('block')!.decode.graph.node.map(({opType}) => opType)).toEqual(BLOCK);
    // Where the model rounds to halves, the interpreter does not.
    expect(await largestError(model, lowered, EXPORTED_TOKENS)).toBeLessThan(options.half ? 1e-2 : 1e-5);
  });
});

/** What the products of a block are where its weights stay quantized. */
const QUANTIZED_BLOCK = ['QuantizedLinear', 'Attention', 'QuantizedLinear', 'QuantizedLinear', 'QuantizedLinear'];
const opTypes = (lowered: LoweredDecoder, range: 'decode' | 'wide' | 'prefill') =>
  lowered.models.get('block')![range]!.graph.node.map(({opType}) => opType);

describe('weights that stay quantized', () => {
  const sizes = {hidden: 64, inner: 128};
  const formatOf = (lowered: LoweredDecoder, part: number, name: string) =>
    lowered.parts[part]!.weights.find((weight) => weight.name === name)?.packed;

  it.each<[DequantizedOptions, PackedFormat]>([
    [{codes: 'int8'}, {codes: 'uint8', offsets: 'middle', block: 0, gated: false}],
    [
      {codes: 'int8', byOutputs: false},
      {codes: 'uint8', offsets: 'middle', block: 0, gated: false},
    ],
    [
      {codes: 'int8', zeroPoints: 'middle'},
      {codes: 'uint8', offsets: 'middle', block: 0, gated: false},
    ],
    [
      {codes: 'int8', zeroPoints: 'random'},
      {codes: 'uint8', offsets: 'codes', block: 0, gated: false},
    ],
    [{codes: 'uint8'}, {codes: 'uint8', offsets: 'codes', block: 0, gated: false}],
    [
      {codes: 'uint8', zeroPoints: 'random', byOutputs: false},
      {codes: 'uint8', offsets: 'codes', block: 0, gated: false},
    ],
    [
      {codes: 'int8', block: 32},
      {codes: 'uint8', offsets: 'middle', block: 32, gated: false},
    ],
    [
      {codes: 'int8', block: 32, byOutputs: false, zeroPoints: 'random'},
      {codes: 'uint8', offsets: 'codes', block: 32, gated: false},
    ],
    [
      {codes: 'int4', block: 32},
      {codes: 'uint4', offsets: 'middle', block: 32, gated: false},
    ],
    [
      {codes: 'int4', block: 64, zeroPoints: 'random'},
      {codes: 'uint4', offsets: 'codes', block: 64, gated: false},
    ],
    [
      {codes: 'uint4', block: 32, zeroPoints: 'random'},
      {codes: 'uint4', offsets: 'codes', block: 32, gated: false},
    ],
    [
      {codes: 'uint4', block: 32, zeroPoints: 'middle'},
      {codes: 'uint4', offsets: 'middle', block: 32, gated: false},
    ],
    [{codes: 'int4'}, {codes: 'uint4', offsets: 'middle', block: 64, gated: false}],
    [{codes: 'float8'}, {codes: 'float8', offsets: 'middle', block: 0, gated: false}],
    [
      {codes: 'float8', byOutputs: false},
      {codes: 'float8', offsets: 'middle', block: 0, gated: false},
    ],
  ])('DequantizeLinear: %o', async (dequantized, format) => {
    const model = exportedDecoder({style: 'genai', ...sizes, dequantized});
    const lowered = await lowerDecoder(model);
    expect(opTypes(lowered, 'decode')).toEqual(QUANTIZED_BLOCK);
    expect(formatOf(lowered, 1, 'qkv')).toEqual(format);
    expect(formatOf(lowered, 1, 'gate_up')).toEqual({...format, gated: true});
    expect(lowered.models.get('prologue')!.decode.graph.node.map(({opType}) => opType)).toEqual(['QuantizedEmbed']);
    expect(await largestError(model, lowered, EXPORTED_TOKENS)).toBeLessThan(1e-5);
    const dense = await lowerDecoder(model, {dequantize: true});
    expect(opTypes(dense, 'decode')).toEqual(BLOCK);
    expect(dense.weights.every(({packed}) => packed === undefined)).toBe(true);
    expect(await largestError(model, dense, EXPORTED_TOKENS)).toBeLessThan(1e-5);
  });

  it('MatMulNBits in blocks of 32, beside floats', async () => {
    const model = exportedDecoder({style: 'genai', ...sizes, quantized: true, blockSize: 32, biases: true});
    const lowered = await lowerDecoder(model);
    expect(opTypes(lowered, 'decode')).toEqual(QUANTIZED_BLOCK);
    expect(opTypes(lowered, 'wide')).toEqual(QUANTIZED_BLOCK);
    expect(opTypes(lowered, 'prefill').filter((opType) => opType === 'Unpack')).toHaveLength(4);
    expect(formatOf(lowered, 1, 'qkv')).toEqual({codes: 'uint4', offsets: 'codes', block: 32, gated: false});
    expect(lowered.models.get('prologue')!.decode.graph.node.map(({opType}) => opType)).toEqual(['Embed']);
    expect(lowered.models.get('epilogue')!.decode.graph.node.map(({opType}) => opType)).toEqual(['Linear']);
    expect(await largestError(model, lowered, EXPORTED_TOKENS)).toBeLessThan(1e-5);
  });

  it.each<[NonNullable<ExportOptions['gathered']>, PackedFormat]>([
    ['bytes4', {codes: 'uint4', offsets: 'middle', block: 32, gated: false}],
    ['bytes8', {codes: 'uint8', offsets: 'middle', block: 32, gated: false}],
    ['int4', {codes: 'uint4', offsets: 'middle', block: 32, gated: false}],
    ['uint4', {codes: 'uint4', offsets: 'codes', block: 32, gated: false}],
  ])('GatherBlockQuantized of %s', async (gathered, format) => {
    const model = exportedDecoder({style: 'genai', ...sizes, gathered});
    const lowered = await lowerDecoder(model);
    expect(formatOf(lowered, 0, 'table')).toEqual(format);
    expect(await largestError(model, lowered, EXPORTED_TOKENS)).toBeLessThan(1e-5);
  });

  it('blocks that no kernel takes are floats, as are products that are quantized in two ways', async () => {
    const sixteen = await lowerDecoder(exportedDecoder({style: 'genai', quantized: true}));
    expect(opTypes(sixteen, 'wide').filter((opType) => opType === 'Gemm')).toHaveLength(4);
    const config = tinyConfig({hiddenSize: 128, intermediateSize: 256, headDim: 64});
    const type = (name: string): TensorType => (/v_proj/.test(name) ? 'Q8_0' : 'Q4_1');
    const mixed = buildDecoder(config, randomTensors(config, {type}), {dtype: 'fp32'});
    const lowered = await lowerDecoder(mixed);
    expect(opTypes(lowered, 'decode')).toEqual(['Linear', ...QUANTIZED_BLOCK.slice(1)]);
    // TensorRT's product and ours side by side.
    expect(opTypes(lowered, 'wide')).toEqual(expect.arrayContaining(['Gemm', 'QuantizedLinear']));
    expect(await largestError(mixed, lowered)).toBeLessThan(1e-5);
  });

  it('an embedding that is the head too is one packed matrix', async () => {
    const config = tinyConfig({hiddenSize: 128, intermediateSize: 256, headDim: 64, tieWordEmbeddings: true});
    for (const type of ['Q4_0', 'Q4_1', 'Q8_0'] as const) {
      const lowered = await lowerDecoder(buildDecoder(config, randomTensors(config, {type: () => type}), {dtype: 'fp32'}));
      const {table} = lowered.sequence[0]!.weights;
      expect(lowered.sequence.at(-1)!.weights.head).toBe(table);
      expect(lowered.weights[table!]!.packed).toMatchObject({codes: type === 'Q8_0' ? 'uint8' : 'uint4', block: 32, gated: false});
    }
  });

  it('packs gates and ups for one product alone', async () => {
    const lowered = await lowerDecoder(exportedDecoder({style: 'genai', ...sizes, quantized: true, blockSize: 32}));
    const gateUp = lowered.weights[lowered.sequence[1]!.weights.gate_up!]!;
    expect(gateUp).toMatchObject({shape: [256, 64], packed: {gated: true}});
    const block = lowered.models.get('block')!;
    for (const range of ['decode', 'wide', 'prefill'] as const) {
      const input = block[range]!.graph.input.find(({name}) => name === 'gate_up')!;
      expect(tensorInfo(input)).toMatchObject({type: DataType.INT32, dims: [weightByteLength(gateUp) / 4]});
    }
  });

  it.each<[string, DequantizedOptions, string]>([
    ['4-bit codes that lie across', {codes: 'uint4', block: 32, byOutputs: false}, 'for which there is no kernel'],
    ['float8 in blocks', {codes: 'float8', block: 32}, 'for which there is no kernel'],
    ['small blocks of signed codes', {codes: 'int8', block: 16}, 'for which there is no kernel'],
  ])('refuses %s', async (_, dequantized, message) => {
    await expect(lowerDecoder(exportedDecoder({style: 'genai', ...sizes, dequantized}))).rejects.toThrow(message);
  });
});

it.each(['genai', 'plain'] as const)('layers of different windows are different blocks: %s', async (style) => {
  const model = exportedDecoder({style, window: [3, 0, 3], layers: 3});
  const lowered = await lowerDecoder(model, {maxPositions: 40});
  expect(lowered.shape.windows).toEqual([3, 0, 3]);
  expect(lowered.parts.map(({name}) => name)).toEqual(['prologue', 'block', 'block_1', 'epilogue']);
  expect(lowered.sequence.map(({part}) => part)).toEqual(['prologue', 'block', 'block_1', 'block', 'epilogue']);
  expect(await largestError(model, lowered, EXPORTED_TOKENS)).toBeLessThan(1e-5);
});

describe('refuses, and says which node', () => {
  const changed = (change: (model: Model) => void, options: Partial<ExportOptions> = {}) => {
    const model = exportedDecoder({style: 'genai', ...options});
    change(model);
    return lowerDecoder(model, {maxPositions: 40});
  };
  const node = (model: Model, opType: string) => model.graph.node.find((each) => each.opType === opType)!;

  const takeInstead = (model: Model, name: string, other: string) => {
    for (const each of model.graph.node) each.input = each.input.map((input) => (input === name ? other : input));
  };

  it.each<[string, (model: Model) => void, string, Partial<ExportOptions>?]>([
    [
      'another operator',
      (model) => (node(model, 'MatMul').opType = 'MatMulInteger'),
      "MatMulInteger 'MatMul': has no equal in the decoder runtime",
    ],
    [
      'a norm that subtracts the mean',
      (model) => Object.assign(node(model, 'SimplifiedLayerNormalization'), {opType: 'LayerNormalization'}),
      "LayerNormalization 'SimplifiedLayerNormalization': has no equal",
    ],
    [
      'a smooth softmax',
      (model) => node(model, 'GroupQueryAttention').attribute.push(int(1)('smooth_softmax')),
      "com.microsoft.GroupQueryAttention 'GroupQueryAttention': has smooth_softmax 1",
    ],
    [
      'a group index',
      (model) => Object.assign(node(model, 'MatMulNBits'), {input: [...node(model, 'MatMulNBits').input, '0.q.scales']}),
      "com.microsoft.MatMulNBits 'MatMulNBits': has a group index",
      {quantized: true},
    ],
    [
      'codes of 2 bits',
      (model) => (node(model, 'MatMulNBits').attribute.find(({name}) => name === 'bits')!.i = 2n),
      "com.microsoft.MatMulNBits 'MatMulNBits': has codes of 2 bits",
      {quantized: true},
    ],
    ['an activation without a gate', (model) => takeInstead(model, 'Mul_1/output', 'Mul/output'), 'takes an activation that gates nothing'],
    [
      'an activation multiplied by itself',
      (model) => takeInstead(model, 'MatMul_5/output', 'Mul/output'),
      "Mul 'Mul_1': multiplies rows, and no gate with what it gates",
    ],
    [
      'a weight that is an input',
      (model) => {
        model.graph.initializer = model.graph.initializer.filter(({name}) => name !== '0.q');
        GraphBuilder.extend(model).input('0.q', DataType.FLOAT, [32, 64]);
      },
      "MatMul 'MatMul': is a product of two values, and no attention that is known",
    ],
    [
      'rotation of the queries alone',
      (model) =>
        (node(model, 'GroupQueryAttention').input[1] = node(model, 'GroupQueryAttention').input[1]!.replace(/.*/, 'MatMul_1/output')),
      "com.microsoft.GroupQueryAttention 'GroupQueryAttention': its queries and keys are not rotated alike",
    ],
    [
      'positions that depend on the tokens',
      (model) => (node(model, 'RotaryEmbedding').input[1] = 'input_ids'),
      "com.microsoft.RotaryEmbedding 'RotaryEmbedding': 'input_ids' is made of more than positions",
    ],
    [
      'a mask that hides what came before',
      (model) => (node(model, 'Greater').opType = 'Less'),
      "Softmax 'Softmax': its mask is neither causal nor a sliding window",
      {style: 'plain'},
    ],
    [
      'embeddings from outside',
      (model) => {
        model.graph.node = model.graph.node.filter(({opType, input}) => opType !== 'Gather' || input[0] !== 'embed');
        GraphBuilder.extend(model).input('Gather_1/output', DataType.FLOAT, ['batch_size', 'sequence_length', 32]);
      },
      "exported: 'logits' does not come from embeddings of 'input_ids'",
    ],
  ])('%s', async (_, change, message, options) => {
    const lowering = changed(change, options);
    await expect(lowering).rejects.toThrow(UnsupportedError);
    await expect(lowering).rejects.toThrow(message);
  });

  it('options that are not there', async () => {
    const type = 'int8' as 'float16';
    await expect(lowerDecoder(exportedDecoder({style: 'genai'}), {type})).rejects.toThrow(
      "type must be 'float16' or 'bfloat16', got 'int8'",
    );
  });
});

it('stops when it is told to', async () => {
  await expect(lowerDecoder(exportedDecoder({style: 'genai'}), {signal: AbortSignal.abort()})).rejects.toThrow(AbortError);
});

it('leaves the model as it was', async () => {
  const model = exportedDecoder({style: 'plain'});
  const before = toBinary(ModelProtoSchema, model.proto);
  await lowerDecoder(model);
  expect(Buffer.compare(before, toBinary(ModelProtoSchema, model.proto))).toBe(0);
});

it('has weights of one type, tables of float32, each input once', async () => {
  const config = tinyConfig({tieWordEmbeddings: true});
  const lowered = await lowerDecoder(buildDecoder(config, randomTensors(config), {dtype: 'fp32'}), {type: 'bfloat16'});
  const [prologue, block, next, epilogue] = lowered.sequence as [Execution, Execution, Execution, Execution];
  expect(epilogue.weights.head).toBe(prologue.weights.table);
  expect(next.weights.cos).toBe(block.weights.cos);
  expect(new Set(lowered.weights.map(weightKey)).size).toBe(lowered.weights.length);
  for (const [name, index] of Object.entries(block.weights)) {
    expect(lowered.weights[index]!.type, name).toBe(name === 'cos' || name === 'sin' ? 'float32' : 'bfloat16');
  }
  for (const {name, weights} of lowered.parts) {
    const {decode, ...others} = lowered.models.get(name)!;
    const inputsOf = ({graph}: Model) => graph.input.map((input) => [input.name, tensorInfo(input)] as const);
    const inputs = inputsOf(decode);
    expect(Object.keys(others)).toEqual(name === 'block' ? ['wide', 'prefill'] : []);
    for (const other of Object.values(others)) expect(inputsOf(other)).toEqual(inputs);
    expect(Object.fromEntries(inputs)).toMatchObject(
      Object.fromEntries(
        weights.map((weight) => [weight.name, {type: weight.type === 'float32' ? DataType.FLOAT : DataType.BFLOAT16, dims: weight.shape}]),
      ),
    );
  }
});

it('layers without positions are blocks of their own', async () => {
  const model = exportedDecoder({style: 'genai', unrotated: [1], layers: 3});
  const lowered = await lowerDecoder(model);
  expect(lowered.shape.rotarySize).toBe(16);
  expect(lowered.sequence.map(({part}) => part)).toEqual(['prologue', 'block', 'block_1', 'block', 'epilogue']);
  expect(await largestError(model, lowered, EXPORTED_TOKENS)).toBeLessThan(1e-5);
});

it.each<ExportOptions>([
  {style: 'plain', headNorms: true},
  {style: 'plain', headNorms: true, headSize: 32, rotarySize: 16, biases: true},
  {style: 'plain', postNorms: true, shiftedNorms: true},
  {style: 'genai', postNorms: true},
])('more norms than Llama has: %o', async (options) => {
  const model = exportedDecoder(options);
  const lowered = await lowerDecoder(model, {maxPositions: 40});
  expect(lowered.parts.map(({name}) => name)).toEqual(['prologue', 'block', 'epilogue']);
  expect(await largestError(model, lowered, EXPORTED_TOKENS)).toBeLessThan(1e-5);
});

const SMOLLM2_GGUF = fileURLToPath(new URL('../../.models/SmolLM2-135M-Instruct.Q4_1.gguf', import.meta.url));
const SMOLLM2 = fileURLToPath(new URL('../../.models/SmolLM2-135M-Instruct/model.onnx', import.meta.url));

describe.skipIf(!existsSync(SMOLLM2) || !existsSync(SMOLLM2_GGUF))('SmolLM2-135M-Instruct, Q4_1', () => {
  it('has the logits that ONNX Runtime has', async () => {
    const model = await readModel(SMOLLM2);
    const lowered = await lowerDecoder(model);
    expect(lowered.parts.map(({name}) => name)).toEqual(['prologue', 'block', 'epilogue']);
    expect(opTypes(lowered, 'decode')).toEqual(QUANTIZED_BLOCK);
    // All of it but the vocabulary is in the GGUF as it is in memory; rotary tables are of 8192 positions at most.
    const memory = lowered.weights.reduce((sum, weight) => sum + weightByteLength(weight), 0);
    expect(memory).toBeLessThan(1.03 * statSync(SMOLLM2_GGUF).size);
    // 'The capital of': few tokens, as plain loops are slow.
    const error = await largestError(model, lowered, [[504, 3575], [], [282]]);
    expect(error).toBeLessThan(1e-4);
  }, 60_000);
});

it('tells attention what pages of the cache hold, and nothing where that is the hidden type', async () => {
  const config = tinyConfig({headDim: 64});
  const model = buildDecoder(config, randomTensors(config), {dtype: 'fp32'});
  const cacheTypes = ({models}: LoweredDecoder) => {
    const {decode, prefill} = models.get('block')!;
    const attentions = [decode, prefill!].map(({graph}) => graph.node.find(({opType}) => opType === 'Attention')!);
    return attentions.map((each) => stringAttribute(each, 'cache_type'));
  };
  const rounded = await lowerDecoder(model, {kvCacheType: 'fp8'});
  expect(rounded.shape.kvCacheType).toBe('fp8');
  expect(cacheTypes(rounded)).toEqual(['fp8', 'fp8']);
  expect(cacheTypes(await lowerDecoder(model))).toEqual([undefined, undefined]);
  await expect(lowerDecoder(model, {kvCacheType: 'fp4' as never})).rejects.toMatchObject({option: 'kvCacheType'});
});
