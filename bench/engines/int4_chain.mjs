/** A model that TensorRT 10.6's builder aborts on: 4-bit weights, dequantised by blocks before large products. */

import {DataType} from '../../dist/onnx/data_type.js';
import {GraphBuilder, int} from '../../dist/onnx/graph_builder.js';

const BLOCK = 128;

/** `layers` products of fp16 [rows, size] with INT4 [size, size], whose scales hold for 128 rows of weights each. */
export function int4Chain({size = 4096, layers = 8} = {}) {
  const builder = GraphBuilder.create({name: 'int4-chain', opsets: {'': 21}});
  let value = builder.input('x', DataType.FLOAT16, ['rows', size]);
  // All the same: what is in them changes nothing.
  const codes = new Uint8Array((size * size) / 2).fill(0x31);
  const scales = new Uint8Array(new Uint16Array((size / BLOCK) * size).fill(0x1400).buffer);
  for (let layer = 0; layer < layers; layer++) {
    const weights = builder.op(
      'DequantizeLinear',
      [
        builder.initializer(`codes${layer}`, DataType.INT4, [size, size], codes),
        builder.initializer(`scales${layer}`, DataType.FLOAT16, [size / BLOCK, size], scales),
      ],
      {attributes: {axis: int(0), block_size: int(BLOCK)}},
    );
    value = builder.op('MatMul', [value, weights], layer === layers - 1 ? {output: 'y'} : {});
  }
  builder.output('y', DataType.FLOAT16, ['rows', size]);
  return builder.build();
}
