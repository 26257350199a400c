/** The simulated TensorRT computes what ONNX Runtime does: it is what other tests take for TensorRT. */

import {buildEngine, Engine, type Tensor, type TensorType} from 'tensorrt-node';
import {beforeAll, expect, it} from 'vitest';

import {DataType} from '../../lib/onnx/data_type.js';
import {GraphBuilder, int} from '../../lib/onnx/graph_builder.js';
import type {Model} from '../../lib/onnx/model.js';
import {writeModel} from '../../lib/onnx/write.js';
import {temporaryFolder} from '../support/temporary_folder.js';
import {useSimulatedTensorrt} from './helpers/simulated_tensorrt.js';

const folder = temporaryFolder();
beforeAll(async () => {
  await useSimulatedTensorrt();
});

const ARITHMETIC = ['Add', 'Sub', 'Mul', 'Div'] as const;
const EVERY_NUMBER = ['Identity', 'Neg', 'Abs', 'Relu'] as const;
const FLOATS = ['Sqrt', 'Exp', 'Sigmoid', 'Tanh'] as const;

/** An output of each operator: `x` is [2, 3], `row` is [1, 3] and `square` [3, 3]. */
function everyOperator(type: DataType, isFloat: boolean): Model {
  const graph = GraphBuilder.create({name: 'every_operator', opsets: {'': 17}, irVersion: 8});
  graph.input('x', type, [2, 3]);
  graph.input('row', type, [1, 3]);
  const made = (name: string, opType: string, inputs: string[], to = type, dims = [2, 3], attributes = {}) => {
    graph.op(opType, inputs, {output: name, attributes});
    graph.output(name, to, dims);
  };
  for (const name of EVERY_NUMBER) made(name, name, ['x']);
  for (const name of ARITHMETIC) made(name, name, ['x', 'row']);
  made('ExpandRow', 'Expand', ['row', graph.int64('two_rows', [2, 1])]);
  made('Reshape', 'Reshape', ['x', graph.int64('columns', [-1, 2])], type, [3, 2]);
  made('Shape', 'Shape', ['x'], DataType.INT64, [2]);
  made('Cast', 'Cast', ['x'], DataType.INT32, [2, 3], {to: int(DataType.INT32)});
  made('CastBack', 'Cast', ['Cast'], DataType.FLOAT16, [2, 3], {to: int(DataType.FLOAT16)});
  const bounds = [1, 3, 1].map((each, index) => graph.int64(`bound_${index}`, [each]));
  made('Slice', 'Slice', ['x', ...bounds], type, [2, 2]);
  made('Concat', 'Concat', ['x', 'row'], type, [3, 3], {axis: int(0)});
  made('Transpose', 'Transpose', ['x'], type, [3, 2]);
  if (!isFloat) return graph.build();
  graph.input('square', type, [3, 3]);
  for (const name of FLOATS) made(name, name, ['Abs']);
  made('MatMul', 'MatMul', ['x', 'square']);
  made('Gemm', 'Gemm', ['x', 'square', 'row'], type, [2, 3], {transB: int(1)});
  return graph.build();
}

interface Case {
  type: TensorType;
  onnx: DataType;
  isFloat: boolean;
  /** Relative error; what rounding costs. */
  tolerance: number;
  array(values: readonly number[]): Tensor['data'];
}

/** Bits of halves that need no rounding. */
function halves(values: readonly number[]): Uint16Array {
  return Uint16Array.from(values, (value) => {
    if (value === 0) return 0;
    const exponent = Math.floor(Math.log2(Math.abs(value)));
    return (value < 0 ? 0x8000 : 0) + ((exponent + 15) << 10) + (Math.abs(value) / 2 ** exponent - 1) * 1024;
  });
}

function numberOf(half: number): number {
  const [exponent, fraction] = [(half >> 10) & 31, half & 1023];
  return (half & 0x8000 ? -1 : 1) * (exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25));
}

function numbers({type, data}: Tensor): number[] {
  const values = Array.from(data as ArrayLike<number | bigint>, Number);
  return type === 'float16' && data instanceof Uint16Array ? values.map(numberOf) : values;
}

const CASES: readonly Case[] = [
  {type: 'float32', onnx: DataType.FLOAT, isFloat: true, tolerance: 1e-6, array: (values) => Float32Array.from(values)},
  {type: 'float16', onnx: DataType.FLOAT16, isFloat: true, tolerance: 1e-3, array: halves},
  {type: 'int32', onnx: DataType.INT32, isFloat: false, tolerance: 0, array: (values) => Int32Array.from(values)},
];

it.each(CASES)('operators on $type', async ({type, onnx, isFloat, tolerance, array}) => {
  const file = folder(`${type}.onnx`);
  await writeModel(everyOperator(onnx, isFloat), file);
  await buildEngine(file, {output: folder(type), typing: 'strong', cache: false});
  const inputs: Record<string, Tensor> = {
    x: {type, dims: [2, 3], data: array([1.5, -2, 0, 4, -0.25, 96].map((each) => (isFloat ? each : Math.trunc(each * 4))))},
    row: {type, dims: [1, 3], data: array([2, -3, 5])},
    ...(isFloat && {square: {type, dims: [3, 3], data: array([1, 2, -3, 0.5, 4, -1, 2, 2, 8])}}),
  };
  await using simulated = await Engine.load(folder(type));
  await using reference = await Engine.load(folder(type), {backend: 'cpu', model: file, threads: 1});
  const [actual, expected] = await Promise.all([simulated.run(inputs), reference.run(inputs)]);
  expect(Object.keys(actual)).toEqual(Object.keys(expected));
  for (const [name, {type: elements, dims}] of Object.entries(expected)) {
    expect({name, ...actual[name]}).toMatchObject({name, type: elements, dims});
    const wanted = numbers(expected[name]!);
    for (const [index, value] of numbers(actual[name]!).entries()) {
      const right = wanted[index]!;
      const error = value === right ? 0 : Math.abs(value - right) / Math.max(Math.abs(right), 1e-3);
      expect(error, `${name}[${index}]: ${value}, not ${right}`).toBeLessThanOrEqual(tolerance);
    }
  }
});
