import * as ort from 'onnxruntime-node';
import {describe, expect, it} from 'vitest';
import {uniform} from '../../backend/cpu/random.js';
import {serialize} from '../../backend/cpu/rewrite/serialize.js';
import type {Tensor} from '../../engine/tensor.js';
import {float16ToFloat32, float32ToFloat16} from '../../import/numeric/float16.js';
import {DataType} from '../../onnx/data_type.js';
import {GraphIndex} from '../../onnx/graph.js';
import {float, GraphBuilder, int, ints} from '../../onnx/graph_builder.js';
import type {Model} from '../../onnx/model.js';
import {createSession} from '../../onnxruntime/session.js';
import {toE4m3} from './float8.js';
import {type InsertQuantizationOptions, insertQuantization} from './insert_qdq.js';

const [WIDTH, HIDDEN, ROWS] = [32, 48, 40];
/** Channels that a norm makes 60 times as large as others, as those of language models are. */
const LARGE = new Set([3, 17]);

let draws = 0;
const floats = (count: number, size = 1) => Float32Array.from({length: count}, () => (uniform(5, draws++) - 0.5) * 2 * size);
const bytesOf = (values: Float32Array | Uint16Array) => new Uint8Array(values.buffer, values.byteOffset, values.byteLength);

interface Form {
  norm?: 'LayerNormalization' | 'written out' | 'none';
  half?: boolean;
  opset?: number;
}

/** x to norm to two products, one of them transposed; their sum through Tanh to a Gemm (before a QuantizeLinear of float8 ONNX Runtime 1.30 takes a Relu away). Products take weights 1 / 60 as large where activations are large. */
function network({norm = 'LayerNormalization', half = false, opset = 21}: Form = {}): Model {
  draws = 0;
  const type = half ? DataType.FLOAT16 : DataType.FLOAT;
  const builder = GraphBuilder.create({name: 'network', opsets: {'': opset}});
  const constant = (name: string, dims: number[], values: Float32Array) =>
    builder.initializer(name, type, dims, half ? bytesOf(float32ToFloat16(values)) : bytesOf(values));
  const x = builder.input('x', type, ['rows', WIDTH]);
  const scale = floats(WIDTH).map((value, at) => (value + 2) * (LARGE.has(at) ? 60 : 1));
  const weight = (outer: number) => {
    const values = floats(WIDTH * outer);
    for (const channel of LARGE) for (let at = 0; at < outer; at++) values[channel * outer + at]! /= 60;
    return values;
  };
  const vectors = [constant('norm.scale', [WIDTH], scale), constant('norm.offset', [WIDTH], floats(WIDTH, 0.5))];
  let normed = x;
  if (norm === 'LayerNormalization') normed = builder.op('LayerNormalization', [x, ...vectors], {attributes: {epsilon: float(1e-5)}});
  if (norm === 'written out') normed = builder.op('Add', [builder.op('Mul', [vectors[0]!, x]), vectors[1]!]);
  const first = builder.op('MatMul', [normed, constant('first', [WIDTH, HIDDEN], weight(HIDDEN))], {name: 'first'});
  const columns = weight(HIDDEN);
  const rows = Float32Array.from({length: columns.length}, (_, at) => columns[(at % WIDTH) * HIDDEN + Math.floor(at / WIDTH)]!);
  const turned = builder.op('Transpose', [constant('second', [HIDDEN, WIDTH], rows)], {attributes: {perm: ints([1, 0])}});
  const second = builder.op('MatMul', [normed, turned], {name: 'second'});
  const active = builder.op('Tanh', [builder.op('Add', [first, second])]);
  builder.node('Gemm', [active, constant('third', [8, HIDDEN], floats(8 * HIDDEN)), constant('bias', [8], floats(8))], {
    name: 'third',
    outputs: ['y'],
    attributes: {transB: int(1)},
  });
  builder.output('y', type, ['rows', 8]);
  return builder.build();
}

const input = floats(ROWS * WIDTH);
const tensor = (half = false): Tensor => ({
  type: half ? 'float16' : 'float32',
  dims: [ROWS, WIDTH],
  data: half ? float32ToFloat16(input) : input,
});

async function run(model: Model, half = false): Promise<Float32Array> {
  const session = await createSession({
    path: 'network.onnx',
    bytes: await serialize(model),
    proto: model.proto,
    threads: 1,
    dequantized: 'float',
  });
  try {
    const {data} = tensor(half);
    const {y} = await session.run({x: new ort.Tensor(half ? 'float16' : 'float32', data as Float32Array & Uint16Array, [ROWS, WIDTH])});
    return half ? float16ToFloat32(y!.data as unknown as Uint16Array) : (y!.data as Float32Array);
  } finally {
    await session.release();
  }
}

/** Root of the mean square of the difference, over that of the first. */
function distance(expected: Float32Array, actual: Float32Array): number {
  const squares = (values: Float32Array) => values.reduce((sum, value) => sum + value * value, 0);
  return Math.sqrt(squares(expected.map((value, at) => value - actual[at]!)) / squares(expected));
}

async function quantized(form: Form, options: Partial<InsertQuantizationOptions> = {}) {
  const model = network(form);
  const result = await insertQuantization(model, {batches: [{x: tensor(form.half)}], threads: 1, ...options});
  return {model, result, error: distance(await run(network(form), form.half), await run(model, form.half))};
}

describe('insertQuantization', () => {
  it.each([
    {norm: 'LayerNormalization', smoothing: 0.5},
    {norm: 'written out', smoothing: 0.5},
    {norm: 'LayerNormalization', smoothing: 'auto'},
  ] as const)('is several times as exact with smoothing, %o', async ({norm, smoothing}) => {
    const plain = await quantized({norm}, {smoothing: false});
    const smoothed = await quantized({norm}, {smoothing});
    expect(smoothed.error).toBeLessThan(0.02);
    expect(plain.error / smoothed.error).toBeGreaterThan(3);
  });

  it('multiplies where no norm can be changed, or others take what it makes', async () => {
    expect((await quantized({}, {smoothing: 0.5})).result).toEqual({products: 3, multiplied: 1});
    const none = await quantized({norm: 'none'}, {smoothing: 0.5});
    expect(none.result).toEqual({products: 3, multiplied: 2});
    expect(none.error).toBeLessThan(0.02);
    // Left out, this one needs the activations as they were.
    const {result, model, error} = await quantized({}, {keep: ['first'], smoothing: 0.5});
    expect(result).toEqual({products: 2, multiplied: 2});
    expect(error).toBeLessThan(0.02);
    expect(model.graph.node.find(({name}) => name === 'first')!.input[1]).toBe('first');
  });

  it('rounds an activation once for all that take it, and each weight on its own', async () => {
    const {model} = await quantized({});
    const count = (opType: string) => model.graph.node.filter((node) => node.opType === opType).length;
    expect([count('QuantizeLinear'), count('DequantizeLinear')]).toEqual([2, 5]);
    const index = new GraphIndex(model.graph);
    expect(['first', 'second', 'third'].filter((name) => index.initializers.has(name))).toEqual([]);
    const scales = ['first', 'second', 'third'].map((name) => index.initializers.get(`${name}/scales`)!.dims.map(Number));
    expect(scales).toEqual([[HIDDEN], [HIDDEN], [8]]);
  });

  it.each([
    {form: {}, type: 'fp8', limit: 0.12},
    {form: {half: true}, type: 'int8', limit: 0.03},
    {form: {half: true}, type: 'fp8', limit: 0.12},
  ] as const)('makes $type of $form', async ({form, type, limit}) => {
    const {result, error, model} = await quantized(form, {type});
    expect(result.products).toBe(3);
    expect(error).toBeLessThan(limit);
    expect(error).toBeGreaterThan(0);
    const codes = model.graph.initializer.filter(({name}) => name.endsWith('/codes'));
    expect(codes.every(({dataType}) => dataType === (type === 'fp8' ? DataType.FLOAT8E4M3FN : DataType.INT8))).toBe(true);
  });

  it('leaves the model as it was where a batch is wrong', async () => {
    const model = network();
    const before = model.graph.node.map(({opType}) => opType);
    await expect(insertQuantization(model, {batches: [{z: tensor()}], threads: 1})).rejects.toThrow("'x' is missing");
    expect(model.graph.node.map(({opType}) => opType)).toEqual(before);
    expect(model.graph.output.map(({name}) => name)).toEqual(['y']);
  });

  it.each([
    [{batches: 5}, 'batches'],
    [{batches: []}, 'batches'],
    [{type: 'int4'}, 'type'],
    [{smoothing: 2}, 'smoothing'],
    [{keep: ['fourth']}, 'keep'],
    [{threads: 0}, 'threads'],
    [{smothing: 1}, 'options.smothing'],
  ])('refuses %j', async (options, option) => {
    const given = {batches: [{x: tensor()}], ...options} as unknown as InsertQuantizationOptions;
    await expect(insertQuantization(network(), given)).rejects.toMatchObject({code: 'ERR_OPTION', option});
  });

  it('refuses what has nothing to quantise, and operator sets that have no such types', async () => {
    const options = {batches: [{x: tensor()}], threads: 1};
    const {model} = await quantized({});
    await expect(insertQuantization(model, options)).rejects.toMatchObject({code: 'ERR_UNSUPPORTED'});
    await expect(insertQuantization(network({opset: 17}), {...options, type: 'fp8'})).rejects.toThrow('operator set 17');
  });

  it('ends between batches when it is aborted', async () => {
    const controller = new AbortController();
    const batches = (function* () {
      yield {x: tensor()};
      controller.abort('enough');
      yield {x: tensor()};
    })();
    await expect(insertQuantization(network(), {batches, threads: 1, signal: controller.signal})).rejects.toMatchObject({
      code: 'ERR_ABORTED',
    });
  });
});

describe('toE4m3', () => {
  it.each([
    [0, 0],
    [1, 0x38],
    [-1, 0xb8],
    [448, 0x7e],
    [1e6, 0x7e],
    [-1e6, 0xfe],
    [2 ** -9, 1],
    [2 ** -10, 0],
    [1.5 * 2 ** -9, 2],
    // Between 1 and 1.125, and between 1.125 and 1.25: ties go to the even code.
    [1.0625, 0x38],
    [1.1875, 0x3a],
    [1.07, 0x39],
  ])('of %d is %d', (value, code) => {
    expect(toE4m3(value)).toBe(code);
  });
});
