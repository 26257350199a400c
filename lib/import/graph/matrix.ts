/** Multiplication by a weight matrix: MatMulNBits where the checkpoint has blocks, MatMul otherwise. */

import {DataType} from '../../onnx/data_type.js';
import {type GraphBuilder, int} from '../../onnx/graph_builder.js';
import type {CheckpointTensor} from '../checkpoint.js';
import {BLOCK_SIZE, type BlockTensor, type BlockWeights, blockWeights, isBlockType} from './blocks.js';
import {transposedSource} from './dense.js';
import {type FloatType, onnxType} from './float_type.js';

/** Domain of ONNX Runtime's contrib operators. */
export const MICROSOFT = 'com.microsoft';

export interface GraphContext {
  builder: GraphBuilder;
  /** What the graph computes in. */
  dtype: FloatType;
}

export interface Product {
  /** Prefix of the node's name. */
  name: string;
  /** Name of the value; made up if left out. */
  output?: string | undefined;
}

/** `hidden · weightᵀ` for a weight [out, in]. */
export function multiply(context: GraphContext, weight: CheckpointTensor, hidden: string, product: Product): string {
  return isBlock(weight)
    ? multiplyBlocks(context, weight, blockWeights(weight, context.dtype), hidden, product)
    : multiplyDense(context, weight, hidden, product);
}

/** The same with weights that may have initializers already. */
export function multiplyBlocks(
  context: GraphContext,
  weight: BlockTensor,
  {bits, codes, scales, zeroPoints}: BlockWeights,
  hidden: string,
  {name, output}: Product,
): string {
  const {builder, dtype} = context;
  const [outputs, inputs] = weight.shape as readonly [number, number];
  const blocks = inputs / BLOCK_SIZE;
  const initializer = (suffix: string, type: DataType, dims: number[], source: typeof codes): string =>
    blockInitializer(builder, `${weight.name}.${suffix}`, type, dims, source);
  const weights = [
    initializer('codes', DataType.UINT8, [outputs, blocks, (BLOCK_SIZE * bits) / 8], codes),
    initializer('scales', onnxType(dtype), [outputs, blocks], scales),
    ...(zeroPoints ? [initializer('zero_points', DataType.FLOAT, [outputs, blocks], zeroPoints)] : []),
  ];
  return builder.op('MatMulNBits', [hidden, ...weights], {
    domain: MICROSOFT,
    name: `${name}/MatMulNBits`,
    output,
    attributes: {K: int(inputs), N: int(outputs), bits: int(bits), block_size: int(BLOCK_SIZE)},
  });
}

/** The initializer of that name, made if there is none. */
export function blockInitializer(
  builder: GraphBuilder,
  name: string,
  type: DataType,
  dims: number[],
  source: BlockWeights['codes'],
): string {
  return builder.has(name) ? name : builder.initializer(name, type, dims, source);
}

export function isBlock(tensor: CheckpointTensor): tensor is BlockTensor {
  return isBlockType(tensor.type);
}

function multiplyDense({builder, dtype}: GraphContext, weight: CheckpointTensor, hidden: string, {name, output}: Product): string {
  const [outputs, inputs] = weight.shape as readonly [number, number];
  const transposed = builder.initializer(weight.name, onnxType(dtype), [inputs, outputs], transposedSource(weight, dtype));
  return builder.op('MatMul', [hidden, transposed], {name: `${name}/MatMul`, output});
}
