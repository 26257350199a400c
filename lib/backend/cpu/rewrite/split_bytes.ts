/**
 * Two 4-bit products for an 8-bit one: ONNX Runtime's CPU kernel has no exact 8-bit path and dequantises the matrix on
 * every call (250 ms for 49152x576, where the two take 11 ms).
 *
 * A code is q = 16 h + l and a weight (q - 128) s = (h - 8) 16s + l s: the upper halves are symmetric 4-bit codes with
 * the scale 16s, exact as 16 is a power of two, and the lower ones have the zero point 0.
 */

import {topologicalOrder} from '../../../onnx/check.js';
import {DataType} from '../../../onnx/data_type.js';
import {GraphIndex} from '../../../onnx/graph.js';
import {GraphBuilder, int} from '../../../onnx/graph_builder.js';
import type {Model} from '../../../onnx/model.js';
import type {NodeProto, TensorProto} from '../../../onnx/onnx_pb.js';
import {floats} from './floats.js';
import {type BlockProduct, blockProduct, Input} from './mat_mul_n_bits.js';

/** The new codes travel inside the protocol buffer, which ends at 2 GiB: beyond this, matrices stay as they are. */
const MAX_BYTES = 1.5 * 2 ** 30;

export async function splitBytes(model: Model): Promise<void> {
  const {graph} = model;
  const {initializers} = new GraphIndex(graph);
  const builder = GraphBuilder.extend(model);
  let bytes = 0;
  for (const node of [...graph.node]) {
    const split = splittable(node, initializers);
    if (split === undefined || bytes + split.codes.byteLength > MAX_BYTES) continue;
    bytes += split.codes.byteLength;
    await splitNode(model, builder, node, split);
  }
  if (bytes > 0) graph.node = topologicalOrder(graph, model.label);
}

interface Splittable extends BlockProduct {
  codes: {tensor: TensorProto; byteLength: number};
  scales: TensorProto;
}

/** Symmetric 8-bit products whose arithmetic is float32. */
function splittable(node: NodeProto, initializers: ReadonlyMap<string, TensorProto>): Splittable | undefined {
  const product = blockProduct(node);
  if (product?.bits !== 8 || node.input[Input.ZeroPoints]) return undefined;
  const tensor = initializers.get(node.input[Input.Codes]!);
  const scales = initializers.get(node.input[Input.Scales]!);
  if (tensor?.dataType !== DataType.UINT8 || scales?.dataType !== DataType.FLOAT) return undefined;
  return {...product, codes: {tensor, byteLength: product.columns * product.blocks * product.blockSize}, scales};
}

async function splitNode(model: Model, builder: GraphBuilder, node: NodeProto, split: Splittable): Promise<void> {
  const {columns, blocks, blockSize, codes, scales} = split;
  const {upper, lower} = halves(await model.readTensorData(codes.tensor));
  const scaled = (await floats(model, scales)).map((scale) => 16 * scale);
  const dims = [columns, blocks, blockSize / 2];
  const initializer = (suffix: string, type: DataType, shape: number[], data: Uint8Array) =>
    builder.initializer(`${node.name}/${suffix}`, type, shape, data);

  const output = node.output[0]!;
  const upperProduct = builder.renameOutput(node, output, `${output}/upper`);
  const activations = node.input[Input.Activations]!;
  const scalesName = node.input[Input.Scales]!;
  const bias = node.input[Input.Bias];
  const zeros = new Uint8Array(columns * Math.ceil(blocks / 2));
  node.input = [
    activations,
    initializer('upper', DataType.UINT8, dims, upper),
    initializer('upper_scales', DataType.FLOAT, [columns, blocks], new Uint8Array(scaled.buffer)),
    ...(bias ? ['', '', bias] : []),
  ];
  for (const attribute of node.attribute) if (attribute.name === 'bits') attribute.i = 4n;
  const lowerProduct = builder.op(
    'MatMulNBits',
    [
      activations,
      initializer('lower', DataType.UINT8, dims, lower),
      scalesName,
      initializer('zeros', DataType.UINT8, [zeros.length], zeros),
    ],
    {
      domain: 'com.microsoft',
      attributes: {K: int(blocks * blockSize), N: int(columns), bits: int(4), block_size: int(blockSize)},
    },
  );
  builder.node('Add', [upperProduct, lowerProduct], {outputs: [output], name: `${node.name}/sum`});
}

/** The upper and the lower four bits of each byte, packed two to a byte, the first in the low bits. */
function halves(codes: Uint8Array): {upper: Uint8Array; lower: Uint8Array} {
  const upper = new Uint8Array(codes.length / 2);
  const lower = new Uint8Array(codes.length / 2);
  for (let index = 0; index < upper.length; index++) {
    const first = codes[2 * index]!;
    const second = codes[2 * index + 1]!;
    upper[index] = (first >> 4) | (second & 0xf0);
    lower[index] = (first & 0x0f) | ((second & 0x0f) << 4);
  }
  return {upper, lower};
}
