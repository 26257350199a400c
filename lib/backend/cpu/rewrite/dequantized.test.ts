/** Weights in every form that quantisers write, through all rewrites, beside the same computed in double precision. */

import * as ort from 'onnxruntime-node';
import {describe, expect, it} from 'vitest';

import {float16ToFloat32, float32ToFloat16} from '../../../import/numeric/float16.js';
import {DataType} from '../../../onnx/data_type.js';
import {GraphBuilder, int, ints} from '../../../onnx/graph_builder.js';
import type {Model} from '../../../onnx/model.js';
import {createSession} from '../../../onnxruntime/session.js';
import {uniform} from '../random.js';
import {hasDequantizedIntegers} from './dequantized_products.js';
import {prepare} from './prepare.js';
import {serialize} from './serialize.js';

let draws = 0;
const random = () => uniform(13, draws++);
const floats = (count: number, from: number, to: number) => Float32Array.from({length: count}, () => from + (to - from) * random());
const bytesOf = (array: Float32Array | Uint16Array) => new Uint8Array(array.buffer, array.byteOffset, array.byteLength);

const TYPES = {
  int8: {type: DataType.INT8, bits: 8, decode: (code: number) => (code << 24) >> 24},
  uint8: {type: DataType.UINT8, bits: 8, decode: (code: number) => code},
  int4: {type: DataType.INT4, bits: 4, decode: (code: number) => (code << 28) >> 28},
  uint4: {type: DataType.UINT4, bits: 4, decode: (code: number) => code},
  fp8: {type: DataType.FLOAT8E4M3FN, bits: 8, decode: e4m3},
} as const;
type TypeName = keyof typeof TYPES;

/** Sign, 4 bits of exponent with bias 7, 3 of fraction; OCP 8-bit floating point specification, E4M3. */
function e4m3(code: number): number {
  const exponent = (code >> 3) & 15;
  const magnitude = exponent === 0 ? 2 ** -6 * ((code & 7) / 8) : 2 ** (exponent - 7) * (1 + (code & 7) / 8);
  return code >> 7 ? -magnitude : magnitude;
}

/** Codes of each element, none of them E4M3's NaN. */
function codesOf(name: TypeName, count: number): number[] {
  const {bits} = TYPES[name];
  return Array.from({length: count}, () => Math.floor(random() * 2 ** bits)).map((code) =>
    name === 'fp8' && (code & 127) === 127 ? 0 : code,
  );
}

function packed(name: TypeName, codes: readonly number[]): Uint8Array {
  if (TYPES[name].bits === 8) return Uint8Array.from(codes);
  return Uint8Array.from({length: Math.ceil(codes.length / 2)}, (_, at) => codes[2 * at]! | ((codes[2 * at + 1] ?? 0) << 4));
}

interface Form {
  type: TypeName;
  /** [N, K] and a Transpose; else [K, N]. */
  rows: boolean;
  /** Along K; a scale for each of N where left out, one for all with 0. */
  block?: number;
  zeroPoints?: boolean;
  n?: number;
  k?: number;
  half?: boolean;
}

/** x [1, rows, K] times a dequantised matrix; the matrix as doubles, [N][K]. */
function product({type, rows, block, zeroPoints = false, n = 24, k = 96, half = false}: Form) {
  const floatType = half ? DataType.FLOAT16 : DataType.FLOAT;
  const builder = GraphBuilder.create({name: 'product', opsets: {'': 21}});
  const codes = codesOf(type, n * k);
  const blocks = block === undefined || block === 0 ? 1 : k / block;
  const count = block === 0 ? 1 : n * blocks;
  const scaleDims = block === 0 ? [] : block === undefined ? [n] : rows ? [n, blocks] : [blocks, n];
  let scales = floats(count, 0.01, 0.05);
  if (half) scales = float16ToFloat32(float32ToFloat16(scales)) as typeof scales;
  const zeros = zeroPoints ? codesOf(type, count) : undefined;
  const data = (values: Float32Array) => (half ? bytesOf(float32ToFloat16(values)) : bytesOf(values));
  const weight = builder.op(
    'DequantizeLinear',
    [
      builder.initializer('codes', TYPES[type].type, rows ? [n, k] : [k, n], packed(type, codes)),
      builder.initializer('scales', floatType, scaleDims, data(scales)),
      zeros ? builder.initializer('zeros', TYPES[type].type, scaleDims, packed(type, zeros)) : '',
    ].filter((name, index) => index < 2 || name !== ''),
    {
      attributes: {
        axis: int(block === undefined || block === 0 ? (rows ? 0 : 1) : rows ? 1 : 0),
        ...(block ? {block_size: int(block)} : {}),
      },
    },
  );
  const x = builder.input('x', floatType, [1, 'rows', k]);
  const turned = rows ? builder.op('Transpose', [weight], {attributes: {perm: ints([1, 0])}}) : weight;
  builder.node('MatMul', [x, turned], {outputs: ['y']});
  builder.output('y', floatType, [1, 'rows', n]);
  const {decode} = TYPES[type];
  const matrix = Array.from({length: n}, (_, row) =>
    Array.from({length: k}, (_, column) => {
      const at = block ? Math.floor(column / block) : 0;
      const place = block === 0 ? 0 : rows ? row * blocks + at : at * n + row;
      const zero = zeros === undefined ? 0 : decode(zeros[place]!);
      return (decode(codes[rows ? row * k + column : column * n + row]!) - zero) * scales[place]!;
    }),
  );
  return {model: builder.build(), matrix, k};
}

async function run(model: Model, feeds: Record<string, ort.Tensor>): Promise<ort.Tensor> {
  await prepare(model, {accuracyLevel: 0});
  const dequantized = hasDequantizedIntegers(model) ? 0 : 'float';
  const session = await createSession({path: 'model.onnx', bytes: await serialize(model), proto: model.proto, threads: 1, dequantized});
  try {
    return (await session.run(feeds)).y as ort.Tensor;
  } finally {
    await session.release();
  }
}

function times(x: Float32Array, matrix: readonly (readonly number[])[], k: number): number[] {
  return Array.from({length: x.length / k}, (_, row) =>
    matrix.map((weights) => weights.reduce((sum, weight, at) => sum + weight * x[row * k + at]!, 0)),
  ).flat();
}

function expectClose(actual: Float32Array, expected: readonly number[], tolerance = 2e-6): void {
  expect(actual.length).toBe(expected.length);
  const largest = Math.max(...expected.map(Math.abs));
  const worst = Math.max(...expected.map((value, index) => Math.abs(actual[index]! - value)));
  expect(worst / largest).toBeLessThan(tolerance);
}

const opTypes = (model: Model) => model.graph.node.map(({opType}) => opType);

describe('products of dequantised weights', () => {
  const types = Object.keys(TYPES) as TypeName[];
  const forms: Form[] = types.flatMap((type) =>
    [true, false].flatMap((rows) => [
      {type, rows},
      {type, rows, block: 0},
      {type, rows, block: 32},
      // Neither a multiple of a block nor of four.
      {type, rows, k: 90, n: 7},
      ...(type === 'fp8'
        ? []
        : [
            {type, rows, zeroPoints: true},
            {type, rows, zeroPoints: true, block: 16, n: 5},
            {type, rows, zeroPoints: true, block: 0},
          ]),
    ]),
  );
  it.each(forms)('are as exact as others, %o', async (form) => {
    const {model, matrix, k} = product(form);
    const x = floats(3 * k, -1, 1);
    const y = await run(model, {x: new ort.Tensor('float32', x, [1, 3, k])});
    expectClose(y.data as Float32Array, times(x, matrix, k));
    // One of integers must not have been left to ONNX Runtime, which would round activations.
    if (form.type !== 'fp8') expect(opTypes(model)).not.toContain('DequantizeLinear');
  });

  it.each([
    {type: 'int8', rows: true},
    {type: 'uint8', rows: false, zeroPoints: true},
    {type: 'int4', rows: true, block: 32, zeroPoints: true},
    {type: 'fp8', rows: true},
  ] as Form[])('may be halves, %o', async (form) => {
    const {model, matrix, k} = product({...form, half: true});
    const x = float32ToFloat16(floats(3 * k, -1, 1));
    const y = await run(model, {x: new ort.Tensor('float16', x, [1, 3, k])});
    expectClose(float16ToFloat32(y.data as unknown as Uint16Array), times(float16ToFloat32(x) as Float32Array, matrix, k), 2e-3);
  });

  it('take no more memory than their codes and scales', async () => {
    const {model} = product({type: 'int8', rows: true, n: 64, k: 256});
    await prepare(model, {accuracyLevel: 4});
    const bytes = model.graph.initializer.reduce((sum, tensor) => sum + model.source(tensor).byteLength, 0);
    expect(opTypes(model)).toEqual(['MatMulNBits']);
    expect(bytes).toBe(64 * 256 + 64 * 2 * 4);
  });

  it('stay where a scale is for each term, which blocks cannot say', async () => {
    const {model} = product({type: 'int8', rows: true});
    model.graph.node.find(({opType}) => opType === 'DequantizeLinear')!.attribute[0]!.i = 1n;
    await prepare(model, {accuracyLevel: 0});
    expect(opTypes(model)).toEqual(['DequantizeLinear', 'Transpose', 'MatMul']);
    expect(hasDequantizedIntegers(model)).toBe(true);
  });
});

describe('tables', () => {
  it.each([
    {type: 'int8', byRow: true},
    {type: 'uint8', byRow: true, zeroPoints: true},
    {type: 'int8', byRow: false},
    {type: 'fp8', byRow: true},
  ] as {type: TypeName; byRow: boolean; zeroPoints?: boolean}[])(
    'give rows without being dequantised in each run, %o',
    async ({type, byRow, zeroPoints}) => {
      const [rows, width] = [11, 6];
      const builder = GraphBuilder.create({name: 'table', opsets: {'': 21}});
      const codes = codesOf(type, rows * width);
      const count = byRow ? rows : 1;
      const scales = floats(count, 0.1, 1);
      const zeros = zeroPoints ? codesOf(type, count) : undefined;
      const dims = byRow ? [rows] : [];
      const table = builder.op(
        'DequantizeLinear',
        [
          builder.initializer('codes', TYPES[type].type, [rows, width], packed(type, codes)),
          builder.initializer('scales', DataType.FLOAT, dims, bytesOf(scales)),
          ...(zeros ? [builder.initializer('zeros', TYPES[type].type, dims, packed(type, zeros))] : []),
        ],
        {attributes: {axis: int(0)}},
      );
      const ids = builder.input('ids', DataType.INT64, [1, 'length']);
      builder.node('Gather', [table, ids], {outputs: ['y']});
      builder.output('y', DataType.FLOAT, [1, 'length', width]);
      const model = builder.build();
      const wanted = [3, 10, 0, 3];
      const y = await run(model, {ids: new ort.Tensor('int64', BigInt64Array.from(wanted, BigInt), [1, 4])});
      // E4M3 cannot be taken: it is dequantised at load.
      if (type !== 'fp8') expect(opTypes(model)).not.toContain('DequantizeLinear');
      const {decode} = TYPES[type];
      expectClose(
        y.data as Float32Array,
        wanted.flatMap((row) =>
          Array.from({length: width}, (_, column) => {
            const place = byRow ? row : 0;
            return (decode(codes[row * width + column]!) - (zeros ? decode(zeros[place]!) : 0)) * scales[place]!;
          }),
        ),
      );
    },
  );
});

describe('blocks', () => {
  const middle = (bits: number) => 2 ** (bits - 1);

  it.each(
    ([4, 8] as const).flatMap((bits) =>
      ([16, 32, 64, 128] as const).flatMap((block) => (['none', 'codes', 'floats'] as const).flatMap((zeros) => [{bits, block, zeros}])),
    ),
  )('of MatMulNBits have zero points of any kind, %o', async ({bits, block, zeros}) => {
    const [n, k] = [9, 256];
    const blocks = k / block;
    const codes = Array.from({length: n * k}, () => Math.floor(random() * 2 ** bits));
    const scales = floats(n * blocks, 0.01, 0.05);
    const integers = Array.from({length: n * blocks}, () => Math.floor(random() * 2 ** bits));
    const offsets = floats(n * blocks, 0, 2 ** bits);
    const pack = (values: readonly number[]) => packed(bits === 4 ? 'uint4' : 'uint8', values);
    const builder = GraphBuilder.create({name: 'blocks', opsets: {'': 21, 'com.microsoft': 1}});
    const rowsOfZeros = Array.from({length: n}, (_, row) => [...pack(integers.slice(row * blocks, (row + 1) * blocks))]).flat();
    const inputs = [
      builder.input('x', DataType.FLOAT, [1, 'rows', k]),
      builder.initializer('codes', DataType.UINT8, [n, blocks, (block * bits) / 8], pack(codes)),
      builder.initializer('scales', DataType.FLOAT, [n, blocks], bytesOf(scales)),
    ];
    if (zeros === 'codes')
      inputs.push(builder.initializer('zeros', DataType.UINT8, [n, rowsOfZeros.length / n], Uint8Array.from(rowsOfZeros)));
    if (zeros === 'floats') inputs.push(builder.initializer('zeros', DataType.FLOAT, [n, blocks], bytesOf(offsets)));
    builder.node('MatMulNBits', inputs, {
      domain: 'com.microsoft',
      outputs: ['y'],
      attributes: {K: int(k), N: int(n), bits: int(bits), block_size: int(block)},
    });
    builder.output('y', DataType.FLOAT, [1, 'rows', n]);
    const x = floats(2 * k, -1, 1);
    const y = await run(builder.build(), {x: new ort.Tensor('float32', x, [1, 2, k])});
    const matrix = Array.from({length: n}, (_, row) =>
      Array.from({length: k}, (_, column) => {
        const at = row * blocks + Math.floor(column / block);
        const zero = zeros === 'none' ? middle(bits) : zeros === 'codes' ? integers[at]! : offsets[at]!;
        return (codes[row * k + column]! - zero) * scales[at]!;
      }),
    );
    expectClose(y.data as Float32Array, times(x, matrix, k), 4e-6);
  });

  it.each(
    ([4, 8] as const).flatMap((bits) =>
      ([16, 32, 64, 128] as const).flatMap((block) => [true, false].map((zeroPoints) => ({bits, block, zeroPoints}))),
    ),
  )('of GatherBlockQuantized too, %o', async ({bits, block, zeroPoints}) => {
    const [rows, width] = [7, 256];
    const blocks = width / block;
    const codes = Array.from({length: rows * width}, () => Math.floor(random() * 2 ** bits));
    const scales = floats(rows * blocks, 0.01, 0.05);
    const zeros = Array.from({length: rows * blocks}, () => Math.floor(random() * 2 ** bits));
    const pack = (values: readonly number[]) => packed(bits === 4 ? 'uint4' : 'uint8', values);
    const builder = GraphBuilder.create({name: 'table', opsets: {'': 21, 'com.microsoft': 1}});
    const zeroBytes = Array.from({length: rows}, (_, row) => [...pack(zeros.slice(row * blocks, (row + 1) * blocks))]).flat();
    const inputs = [
      builder.initializer('codes', DataType.UINT8, [rows, (width * bits) / 8], pack(codes)),
      builder.input('ids', DataType.INT64, [1, 'length']),
      builder.initializer('scales', DataType.FLOAT, [rows, blocks], bytesOf(scales)),
    ];
    if (zeroPoints) inputs.push(builder.initializer('zeros', DataType.UINT8, [rows, zeroBytes.length / rows], Uint8Array.from(zeroBytes)));
    builder.node('GatherBlockQuantized', inputs, {
      domain: 'com.microsoft',
      outputs: ['y'],
      attributes: {bits: int(bits), block_size: int(block), gather_axis: int(0), quantize_axis: int(1)},
    });
    builder.output('y', DataType.FLOAT, [1, 'length', width]);
    const wanted = [6, 0, 2];
    const y = await run(builder.build(), {ids: new ort.Tensor('int64', BigInt64Array.from(wanted, BigInt), [1, 3])});
    expectClose(
      y.data as Float32Array,
      wanted.flatMap((row) =>
        Array.from({length: width}, (_, column) => {
          const at = row * blocks + Math.floor(column / block);
          return (codes[row * width + column]! - (zeroPoints ? zeros[at]! : middle(bits))) * scales[at]!;
        }),
      ),
    );
  });
});
