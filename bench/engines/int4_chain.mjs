/** A model that TensorRT 10.6's builder aborts on: 4-bit weights, dequantised by blocks before large products. */

import {DataType} from '../../dist/onnx/data_type.js';
import {GraphBuilder, int} from '../../dist/onnx/graph_builder.js';
import {BytesSource} from '../../dist/onnx/tensor_source.js';

/**
 * Products of fp16 [rows, size] with INT4 [size, hidden], then [hidden, size], and so on, in all `layers` of them; a scale
 * for each `block` rows of a column.
 */
export function int4Chain({size, hidden, layers, block = 128}) {
  const builder = GraphBuilder.create({name: 'int4-chain', opsets: {'': 21}});
  let value = builder.input('x', DataType.FLOAT16, ['rows', size]);
  // All the same, and in the file once: what is in them changes nothing.
  const codes = new BytesSource(new Uint8Array((size * hidden) / 2).fill(0x31));
  const scales = new BytesSource(new Uint8Array(new Uint16Array((size * hidden) / block).fill(0x1400).buffer));
  for (let layer = 0; layer < layers; layer++) {
    const [rows, columns] = layer % 2 === 0 ? [size, hidden] : [hidden, size];
    const weights = builder.op(
      'DequantizeLinear',
      [
        builder.initializer(`codes${layer}`, DataType.INT4, [rows, columns], codes),
        builder.initializer(`scales${layer}`, DataType.FLOAT16, [rows / block, columns], scales),
      ],
      {attributes: {axis: int(0), block_size: int(block)}},
    );
    value = builder.op('MatMul', [value, weights], layer === layers - 1 ? {output: 'y'} : {});
  }
  builder.output('y', DataType.FLOAT16, ['rows', layers % 2 === 0 ? size : hidden]);
  return builder.build();
}
