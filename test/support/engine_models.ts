/** Small models for tests of engines, of operators that the simulated TensorRT knows too. */

import {DataType} from '../../lib/onnx/data_type.js';
import {GraphBuilder} from '../../lib/onnx/graph_builder.js';
import type {Model} from '../../lib/onnx/model.js';

function builder(name: string): GraphBuilder {
  return GraphBuilder.create({name, opsets: {'': 17}, irVersion: 8});
}

/** `y` is `x`, [n, 3] of any type. */
export function identity(type: DataType, rows: string | number = 'n'): Model {
  const graph = builder('identity');
  graph.input('x', type, [rows, 3]);
  graph.op('Identity', ['x'], {output: 'y'});
  graph.output('y', type, [rows, 3]);
  return graph.build();
}

/** Row-major [4, 3]. */
export const AFFINE_WEIGHTS = [1, -2, 3, 0.5, 4, -1, 2, 2, 2, -3, 1, 0];
export const AFFINE_BIAS = [10, 20, 30];

/** `y` = `x` W + b; [n, 4] to [n, 3]. */
export function affine(weights: readonly number[] = AFFINE_WEIGHTS): Model {
  const graph = builder('affine');
  graph.input('x', DataType.FLOAT, ['n', 4]);
  const product = graph.op('MatMul', ['x', graph.float32('weights', weights, [4, 3])]);
  graph.op('Add', [product, graph.float32('bias', AFFINE_BIAS)], {output: 'y'});
  graph.output('y', DataType.FLOAT, ['n', 3]);
  return graph.build();
}

/** What `affine` makes of the rows of `x`. */
export function affineOf(x: Float32Array): Float32Array {
  return Float32Array.from({length: (x.length / 4) * 3}, (_, index) => {
    const [row, column] = [Math.floor(index / 3), index % 3];
    return AFFINE_BIAS[column]! + [0, 1, 2, 3].reduce((sum, k) => sum + x[4 * row + k]! * AFFINE_WEIGHTS[3 * k + column]!, 0);
  });
}

/** Of fixed shapes: `sum` = `a` + `b`, [2, 2]. */
export function sum(): Model {
  const graph = builder('sum');
  graph.input('a', DataType.FLOAT, [2, 2]);
  graph.input('b', DataType.FLOAT, [2, 2]);
  graph.op('Add', ['a', 'b'], {output: 'sum'});
  graph.output('sum', DataType.FLOAT, [2, 2]);
  return graph.build();
}

/** `at` are the coordinates of the elements of `x`, [2, 3], that are not zero: [2, count]. `twice` is 2 `x`. */
export function nonZero(): Model {
  const graph = builder('non_zero');
  graph.input('x', DataType.FLOAT, [2, 3]);
  graph.op('NonZero', ['x'], {output: 'at'});
  graph.op('Add', ['x', 'x'], {output: 'twice'});
  graph.output('at', DataType.INT64, [2, 'count']);
  graph.output('twice', DataType.FLOAT, [2, 3]);
  return graph.build();
}

/** `y` = `x` W W W …, [n, size]: each product takes n size² steps, so that runs last as long as a test likes. */
export function slow(size: number, products: number): Model {
  const graph = builder('slow');
  graph.input('x', DataType.FLOAT, ['n', size]);
  const weights = graph.float32(
    'weights',
    Array.from({length: size * size}, (_, index) => (index % (size + 1) === 0 ? 1 : 0)),
    [size, size],
  );
  let value = 'x';
  for (let index = 1; index < products; index++) value = graph.op('MatMul', [value, weights]);
  graph.op('MatMul', [value, weights], {output: 'y'});
  graph.output('y', DataType.FLOAT, ['n', size]);
  return graph.build();
}

/** `y` is `x`, [1, 3], repeated to the shape that `shape`, [2], holds: [rows, 3]. */
export function expand(): Model {
  const graph = builder('expand');
  graph.input('x', DataType.FLOAT, [1, 3]);
  graph.input('shape', DataType.INT64, [2]);
  graph.op('Expand', ['x', 'shape'], {output: 'y'});
  graph.output('y', DataType.FLOAT, ['rows', 'columns']);
  return graph.build();
}
