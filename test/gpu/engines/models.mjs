// Small models for the tests on a GPU, each with the arithmetic that says what it gives.

import {DataType} from '../../../dist/onnx/data_type.js';
import {float, GraphBuilder, int, ints} from '../../../dist/onnx/graph_builder.js';

const bytes = (array) => new Uint8Array(array.buffer);
/** Eighths in -1 to 1, so that sums of products are exact in float32. */
const weights = (count, step) => Float32Array.from({length: count}, (_, index) => (((index * step) % 17) - 8) / 8);

const WIDTH = 16;
const HIDDEN = 24;

/** `scale`: of the weights, for refits. */
export function perceptron(scale = 1) {
  const builder = GraphBuilder.create({name: 'perceptron', opsets: {'': 17}, irVersion: 8});
  const x = builder.input('x', DataType.FLOAT, ['batch', WIDTH]);
  const [first, second] = [weights(WIDTH * HIDDEN, 5), weights(HIDDEN * WIDTH, 7)].map((each) => each.map((value) => value * scale));
  const into = builder.op('MatMul', [x, builder.initializer('first', DataType.FLOAT, [WIDTH, HIDDEN], bytes(first))], {name: 'into'});
  const hidden = builder.op('Relu', [into]);
  builder.op('MatMul', [hidden, builder.initializer('second', DataType.FLOAT, [HIDDEN, WIDTH], bytes(second))], {output: 'y', name: 'out'});
  builder.output('y', DataType.FLOAT, ['batch', WIDTH]);
  return builder.build();
}

export const perceptronProfiles = [{x: {min: [1, WIDTH], opt: [4, WIDTH], max: [32, WIDTH]}}];

export function perceptronInput(batch, seed = 0) {
  const data = Float32Array.from({length: batch * WIDTH}, (_, index) => (((index + seed) * 11) % 13) / 4 - 1);
  return {type: 'float32', dims: [batch, WIDTH], data};
}

export function perceptronOutput({dims: [batch], data}, scale = 1) {
  const [first, second] = [weights(WIDTH * HIDDEN, 5), weights(HIDDEN * WIDTH, 7)];
  const product = (rows, left, inner, right, columns) =>
    Float32Array.from({length: rows * columns}, (_, at) => {
      const [row, column] = [Math.floor(at / columns), at % columns];
      let sum = 0;
      for (let k = 0; k < inner; k++) sum += left[row * inner + k] * right[k * columns + column] * scale;
      return sum;
    });
  const hidden = product(batch, data, WIDTH, first, HIDDEN).map((value) => Math.max(0, value));
  return product(batch, hidden, HIDDEN, second, WIDTH);
}

/** x times x, again and again: as slow as is wanted, without weights. The identity stays the identity. */
export function slow(products = 24) {
  const builder = GraphBuilder.create({name: 'slow', opsets: {'': 17}, irVersion: 8});
  const x = builder.input('x', DataType.FLOAT, ['n', 'n']);
  let value = x;
  for (let each = 0; each < products; each++) value = builder.op('MatMul', [value, x], each === products - 1 ? {output: 'y'} : {});
  builder.output('y', DataType.FLOAT, ['n', 'n']);
  return builder.build();
}

export function identity(n) {
  const data = new Float32Array(n * n);
  for (let at = 0; at < n; at++) data[at * (n + 1)] = 1;
  return {type: 'float32', dims: [n, n], data};
}

/** Of every type that a plain tensor can have; the network's own types count. */
export function types(names = Object.keys(typeCases)) {
  const builder = GraphBuilder.create({name: 'types', opsets: {'': 17}, irVersion: 8});
  const twice = (input, output) => builder.op('Add', [input, input], {output});
  const cast = (input, to, options) => builder.op('Cast', [input], {...options, attributes: {to: int(to)}});
  const kinds = {
    float32: [DataType.FLOAT, twice],
    float16: [DataType.FLOAT16, twice],
    bfloat16: [DataType.BFLOAT16, twice],
    int32: [DataType.INT32, twice],
    int64: [DataType.INT64, twice],
    // TensorRT has no arithmetic on these two.
    bool: [DataType.BOOL, (input, output) => cast(cast(input, DataType.INT32), DataType.BOOL, {output})],
    uint8: [DataType.UINT8, (input, output) => cast(twice(cast(input, DataType.FLOAT)), DataType.UINT8, {output})],
  };
  for (const name of names) {
    const [type, build] = kinds[name];
    builder.input(name, type, ['n']);
    build(name, `${name}_out`);
    builder.output(`${name}_out`, type, ['n']);
  }
  return builder.build();
}

/** Inputs of `types` and what it makes of them, as bits where JavaScript has no such numbers. */
export const typeCases = {
  float32: [Float32Array.of(1.5, -2, 1e30), Float32Array.of(3, -4, 2e30)],
  // 1.5, -2 and 1000 in halves, and their doubles.
  float16: [Uint16Array.of(0x3e00, 0xc000, 0x63d0), Uint16Array.of(0x4200, 0xc400, 0x67d0)],
  bfloat16: [Uint16Array.of(0x3fc0, 0xc000, 0x447a), Uint16Array.of(0x4040, 0xc080, 0x44fa)],
  int32: [Int32Array.of(1, -2, 2 ** 30 - 1), Int32Array.of(2, -4, 2 ** 31 - 2)],
  int64: [BigInt64Array.of(1n, -2n, 2n ** 40n), BigInt64Array.of(2n, -4n, 2n ** 41n)],
  bool: [Uint8Array.of(1, 0, 1), Uint8Array.of(1, 0, 1)],
  uint8: [Uint8Array.of(1, 0, 127), Uint8Array.of(2, 0, 254)],
};

const EIGHT_BITS = {int8: DataType.INT8, float8e4m3fn: DataType.FLOAT8E4M3FN};

/** Numbers to eight bits, eight bits to numbers, and numbers there and back; a step of int8 is an eighth. */
export function quantized(kind) {
  const type = EIGHT_BITS[kind];
  const builder = GraphBuilder.create({name: `quantized-${kind}`, opsets: {'': 19}, irVersion: 9});
  const scale = builder.float32('scale', [1 / 8], []);
  const zero = builder.initializer('zero', type, [], Uint8Array.of(0));
  const dims = ['rows', 16];
  builder.input('numbers', DataType.FLOAT, dims);
  builder.input('bits', type, dims);
  const small = builder.op('QuantizeLinear', ['numbers', scale, zero], {output: 'small'});
  builder.op('DequantizeLinear', [small, scale, zero], {output: 'back'});
  builder.op('DequantizeLinear', ['bits', scale, zero], {output: 'large'});
  builder.output('small', type, dims);
  builder.output('back', DataType.FLOAT, dims);
  builder.output('large', DataType.FLOAT, dims);
  return builder.build();
}

/** Numbers and the bits that they become, exactly; the last ones are out of range. */
export const quantizedCases = {
  int8: {numbers: [0.125, -0.75, 15.875, 1, 100, -100], bits: [1, -6, 127, 8, 127, -128], back: [0.125, -0.75, 15.875, 1, 15.875, -16]},
  // 1, -6, 448 and 0.5, as four bits of exponent and three of mantissa.
  float8e4m3fn: {numbers: [0.125, -0.75, 56, 0.0625], bits: [0x38, 0xcc, 0x7e, 0x30], back: [0.125, -0.75, 56, 0.0625]},
};

const WIDE = 1024;

/** Weights that are worth streaming: each row of the result is the input's, negated and turned around. */
export function wide() {
  const builder = GraphBuilder.create({name: 'wide', opsets: {'': 17}, irVersion: 8});
  const matrix = new Float32Array(WIDE * WIDE);
  for (let at = 0; at < WIDE; at++) matrix[at * WIDE + (WIDE - 1 - at)] = -1;
  builder.op(
    'MatMul',
    [builder.input('x', DataType.FLOAT, ['batch', WIDE]), builder.initializer('matrix', DataType.FLOAT, [WIDE, WIDE], bytes(matrix))],
    {
      output: 'y',
    },
  );
  builder.output('y', DataType.FLOAT, ['batch', WIDE]);
  return builder.build();
}

/** Positions of what is not zero: how many there are is known after the run. */
export function nonZero() {
  const builder = GraphBuilder.create({name: 'non-zero', opsets: {'': 17}, irVersion: 8});
  builder.op('NonZero', [builder.input('x', DataType.FLOAT, ['n'])], {output: 'positions'});
  builder.output('positions', DataType.INT64, [1, 'count']);
  return builder.build();
}

/** Its second input is a shape, whose values decide the output's. */
export function expand() {
  const builder = GraphBuilder.create({name: 'expand', opsets: {'': 17}, irVersion: 8});
  const x = builder.input('x', DataType.FLOAT, [1, 3]);
  builder.op('Expand', [x, builder.input('shape', DataType.INT64, [2])], {output: 'y'});
  builder.output('y', DataType.FLOAT, ['rows', 'columns']);
  return builder.build();
}

/** Two convolutions, for int8. */
export function convolutions() {
  const builder = GraphBuilder.create({name: 'convolutions', opsets: {'': 17}, irVersion: 8});
  let value = builder.input('x', DataType.FLOAT, ['batch', 4, 16, 16]);
  for (const [index, [from, to]] of [
    [4, 32],
    [32, 32],
  ].entries()) {
    const kernel = builder.initializer(
      `kernel${index}`,
      DataType.FLOAT,
      [to, from, 3, 3],
      bytes(weights(to * from * 9, 5).map((each) => each / 8)),
    );
    value = builder.op('Conv', [value, kernel], {attributes: {kernel_shape: ints([3, 3]), pads: ints([1, 1, 1, 1])}});
    value = builder.op('LeakyRelu', [value], {...(index === 1 && {output: 'y'}), attributes: {alpha: float(0.1)}});
  }
  builder.output('y', DataType.FLOAT, ['batch', 32, 16, 16]);
  return builder.build();
}

const FEATURES = 512;

/** Products of rows, each with something between that TensorRT may fuse with it. */
export function products(count = 6) {
  const builder = GraphBuilder.create({name: 'products', opsets: {'': 17}, irVersion: 8});
  let value = builder.input('x', DataType.FLOAT, ['batch', FEATURES]);
  for (let each = 0; each < count; each++) {
    const values = weights(FEATURES * FEATURES, 7 + each).map((value) => value / 32);
    const matrix = builder.initializer(`matrix${each}`, DataType.FLOAT, [FEATURES, FEATURES], bytes(values));
    const product = builder.op('MatMul', [value, matrix], {name: `/head.${each}/MatMul`});
    const gate = builder.op('Sigmoid', [product], {name: `/head.${each}/Sigmoid`});
    value = builder.op('Add', [value, gate], {...(each === count - 1 && {output: 'y'}), name: `/head.${each}/Add`});
  }
  builder.output('y', DataType.FLOAT, ['batch', FEATURES]);
  return builder.build();
}

export const productsProfiles = [1, 64].map((rows) => ({
  x: {min: [rows, FEATURES], opt: [8 * rows, FEATURES], max: [32 * rows, FEATURES]},
}));

export function productsInput(rows) {
  return {type: 'float32', dims: [rows, FEATURES], data: Float32Array.from({length: rows * FEATURES}, (_, index) => Math.sin(index))};
}

export const convolutionProfiles = [{x: {min: [1, 4, 16, 16], opt: [4, 4, 16, 16], max: [8, 4, 16, 16]}}];

export function convolutionInput(batch, seed) {
  const data = Float32Array.from({length: batch * 4 * 256}, (_, index) => Math.sin((index + 1) * (seed + 1.7)));
  return {type: 'float32', dims: [batch, 4, 16, 16], data};
}
