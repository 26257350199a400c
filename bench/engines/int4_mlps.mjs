/** A model that is hard for TensorRT's builder: 4-bit weights, dequantised by blocks before large products. */

import {randomFillSync} from 'node:crypto';

import {DataType} from '../../dist/onnx/data_type.js';
import {GraphBuilder, int} from '../../dist/onnx/graph_builder.js';
import {BytesSource} from '../../dist/onnx/tensor_source.js';

/**
 * `layers` gated feed-forward blocks of fp16 [rows, size], hidden layers of `hidden`, each with its residual; all weights
 * INT4, a scale for each `block` rows of a column. `distinct`: each matrix has random weights of its own; else all are one.
 * `form`: `constants`; `transposed`, constants that lie the other way; `inputs`, fed at run time.
 */
export function int4Mlps({size, hidden, layers, block = 128, distinct = false, form = 'constants'}) {
  const builder = GraphBuilder.create({name: 'int4-mlps', opsets: {'': 21}});
  const shared = bytes((size * hidden) / 2);
  const scales = new BytesSource(new Uint8Array(new Uint16Array((size * hidden) / block).fill(0x1400).buffer));

  function product(input, name, rows, columns) {
    const transposed = form === 'transposed';
    const shapes = transposed
      ? [
          [columns, rows],
          [columns, rows / block],
        ]
      : [
          [rows, columns],
          [rows / block, columns],
        ];
    const tensor = (part, type, shape, data) =>
      form === 'inputs' ? builder.input(`${name}.${part}`, type, shape) : builder.initializer(`${name}.${part}`, type, shape, data());
    const codes = tensor('codes', DataType.INT4, shapes[0], () => (distinct ? bytes((rows * columns) / 2) : shared));
    const weights = builder.op('DequantizeLinear', [codes, tensor('scales', DataType.FLOAT16, shapes[1], () => scales)], {
      attributes: {axis: int(transposed ? 1 : 0), block_size: int(block)},
    });
    return builder.op('MatMul', [input, transposed ? builder.op('Transpose', [weights]) : weights]);
  }

  let value = builder.input('x', DataType.FLOAT16, ['rows', size]);
  for (let layer = 0; layer < layers; layer++) {
    const gate = product(value, `${layer}.gate`, size, hidden);
    const up = product(value, `${layer}.up`, size, hidden);
    const gated = builder.op('Mul', [builder.op('Mul', [gate, builder.op('Sigmoid', [gate])]), up]);
    const down = product(gated, `${layer}.down`, hidden, size);
    value = builder.op('Add', [value, down], layer === layers - 1 ? {output: 'y'} : {});
  }
  builder.output('y', DataType.FLOAT16, ['rows', size]);
  return builder.build();
}

function bytes(count) {
  return new BytesSource(randomFillSync(new Uint8Array(count)));
}
