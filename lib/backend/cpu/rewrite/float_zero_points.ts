/**
 * Another road to the same numbers for MatMulNBits with floating zero points, or 8-bit codes with any, which ONNX Runtime's CPU
 * kernel dequantises whole on every call (9 ms where the symmetric kernel takes 0.09 ms, 1536x4096, one row).
 *
 * With codes q, scale s and zero point z of a block, and the symmetric zero point c = 2^(bits-1):
 *   sum_k x_k (q_k - z) s = sum_k x_k (q_k - c) s + (sum_k x_k) (c - z) s
 * so the product is a symmetric MatMulNBits plus a small one of x's block sums with the constants (c - z) s.
 */

import {topologicalOrder} from '../../../onnx/check.js';
import {DataType} from '../../../onnx/data_type.js';
import {GraphIndex} from '../../../onnx/graph.js';
import {GraphBuilder, int} from '../../../onnx/graph_builder.js';
import type {Model} from '../../../onnx/model.js';
import type {NodeProto, TensorProto} from '../../../onnx/onnx_pb.js';
import {floats} from './floats.js';
import {type BlockProduct, blockProduct, Input} from './mat_mul_n_bits.js';

export async function splitFloatZeroPoints(model: Model): Promise<void> {
  const {graph} = model;
  const {initializers} = new GraphIndex(graph);
  const builder = GraphBuilder.extend(model);
  /** Block sums by activations and block size: projections of one input share them. */
  const sums = new Map<string, string>();

  for (const node of [...graph.node]) {
    const split = splittable(node, initializers);
    if (split === undefined) continue;
    const {blocks, blockSize, columns} = split;
    const offsets = builder.initializer(`${node.name}/offsets`, DataType.FLOAT, [blocks, columns], await offsetsOf(model, split));
    const activations = node.input[Input.Activations]!;
    const key = `${activations} ${blockSize}`;
    let blockSums = sums.get(key);
    if (blockSums === undefined) {
      const shape = builder.int64('block_sums/shape', [0, 0, blocks, blockSize]);
      const byBlock = builder.op('Reshape', [activations, shape]);
      blockSums = builder.op('ReduceSum', [byBlock, builder.int64('block_sums/axes', [-1])], {attributes: {keepdims: int(0)}});
      sums.set(key, blockSums);
    }
    const output = node.output[0]!;
    const symmetric = builder.renameOutput(node, output, `${output}/symmetric`);
    const bias = node.input[Input.Bias];
    node.input = [...node.input.slice(0, Input.ZeroPoints), ...(bias ? ['', '', bias] : [])];
    builder.node('Add', [symmetric, builder.op('MatMul', [blockSums, offsets])], {outputs: [output], name: `${node.name}/sum`});
  }
  if (sums.size > 0) graph.node = topologicalOrder(graph, model.label);
}

interface Splittable extends BlockProduct {
  scales: TensorProto;
  zeroPoints: TensorProto;
}

/** Products with such zero points whose arithmetic is float32. */
function splittable(node: NodeProto, initializers: ReadonlyMap<string, TensorProto>): Splittable | undefined {
  const product = blockProduct(node);
  const scales = initializers.get(node.input[Input.Scales] ?? '');
  const zeroPoints = initializers.get(node.input[Input.ZeroPoints] ?? '');
  if (product === undefined || scales?.dataType !== DataType.FLOAT || zeroPoints === undefined) return undefined;
  const slow = zeroPoints.dataType === DataType.FLOAT || (zeroPoints.dataType === DataType.UINT8 && product.bits === 8);
  if (!slow) return undefined;
  return {...product, scales, zeroPoints};
}

/** (c - z) s as float32, [blocks, columns]. */
async function offsetsOf(model: Model, {scales, zeroPoints, bits, blocks, columns}: Splittable): Promise<Uint8Array> {
  const isFloat = zeroPoints.dataType === DataType.FLOAT;
  const [s, z] = await Promise.all([floats(model, scales), isFloat ? floats(model, zeroPoints) : model.readTensorData(zeroPoints)]);
  const center = 2 ** (bits - 1);
  const offsets = new Float32Array(blocks * columns);
  for (let column = 0; column < columns; column++) {
    for (let block = 0; block < blocks; block++) {
      const from = column * blocks + block;
      offsets[block * columns + column] = (center - z[from]!) * s[from]!;
    }
  }
  return new Uint8Array(offsets.buffer);
}
