import {fromBinary} from '@bufbuild/protobuf';
import {describe, expect, it} from 'vitest';

import {DataType} from '../../onnx/data_type.js';
import {tensorInfo} from '../../onnx/graph.js';
import {GraphBuilder} from '../../onnx/graph_builder.js';
import {ModelProtoSchema} from '../../onnx/onnx_pb.js';
import {inputShapes} from './input_shapes.js';

type Dims = (number | string)[];

function sum(...inputs: Dims[]) {
  const builder = GraphBuilder.create({name: 'sum', opsets: {'': 17}});
  const names = inputs.map((dims, index) => builder.input(`x${index}`, DataType.FLOAT, dims));
  builder.op('Sum', names, {output: 'y'});
  builder.output('y', DataType.FLOAT, inputs[0]!);
  return builder.build();
}

const fixed = (...dims: number[]) => ({min: dims, opt: dims, max: dims});
const batch = (max: number, ...rest: number[]) => ({min: [1, ...rest], opt: [1, ...rest], max: [max, ...rest]});

describe('inputShapes', () => {
  it.each<[string, Dims[], Parameters<typeof inputShapes>[1], Dims[], object[]]>([
    ['fixes what a profile fixes', [['n', 3, 'h']], [{x0: batch(8, 3, 48)}], [['n', 3, 48]], [{x0: batch(8, 3, 48)}]],
    [
      'fixes what all profiles fix alike',
      [['n', 'h']],
      [{x0: fixed(1, 48)}, {x0: fixed(4, 48)}],
      [['n', 48]],
      [{x0: fixed(1, 48)}, {x0: fixed(4, 48)}],
    ],
    ['drops inputs that are static then', [['n'], ['m']], [{x0: fixed(4), x1: batch(4)}], [[4], ['m']], [{x1: batch(4)}]],
    ['drops profiles without inputs', [['n']], [{x0: fixed(4)}], [[4]], []],
    [
      'takes away a name that two dimensions break',
      [['?', '?']],
      [{x0: {min: [1, 2], opt: [1, 2], max: [4, 8]}}],
      [['', '']],
      [{x0: {min: [1, 2], opt: [1, 2], max: [4, 8]}}],
    ],
    [
      'takes away a name that two inputs break',
      [['n'], ['n']],
      [{x0: batch(4), x1: batch(8)}],
      [[''], ['']],
      [{x0: batch(4), x1: batch(8)}],
    ],
    ['takes -1 for no size', [[-1, 3]], [{x0: batch(8, 3)}], [['', 3]], [{x0: batch(8, 3)}]],
  ])('%s', (_name, inputs, profiles, dims, left) => {
    const model = sum(...inputs);
    const before = JSON.stringify(model.graph.input.map((input) => tensorInfo(input)));
    const shapes = inputShapes(model, profiles)!;
    const {graph} = fromBinary(ModelProtoSchema, shapes.model);
    expect(graph!.input.map((input) => tensorInfo(input)!.dims)).toEqual(dims);
    expect(graph!.node).toHaveLength(1);
    expect(shapes.profiles).toEqual(left);
    expect(JSON.stringify(model.graph.input.map((input) => tensorInfo(input)))).toBe(before);
  });

  it.each<[string, Dims[], Parameters<typeof inputShapes>[1]]>([
    ['static inputs', [[1, 3]], []],
    [
      'a name that the profiles keep',
      [
        ['n', 4],
        ['n', 2],
      ],
      [{x0: batch(4, 4), x1: batch(4, 2)}],
    ],
    ['an input whose content a profile gives', [[2]], [{x0: {min: [1, 1], opt: [1, 1], max: [4, 4], values: true}}]],
  ])('leaves the model alone: %s', (_name, inputs, profiles) => {
    expect(inputShapes(sum(...inputs), profiles)).toBeUndefined();
  });
});
