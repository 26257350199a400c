/** com.microsoft MatMulNBits as the rewrites see it. */

import {intAttribute} from '../../../onnx/graph.js';
import type {NodeProto} from '../../../onnx/onnx_pb.js';

export const Input = {Activations: 0, Codes: 1, Scales: 2, ZeroPoints: 3, GroupIndex: 4, Bias: 5} as const;

export interface BlockProduct {
  bits: number;
  blockSize: number;
  /** Blocks in a row of weights, K / blockSize. */
  blocks: number;
  /** Rows of weights, N: columns of the result. */
  columns: number;
}

/** Undefined for other nodes, and for those whose blocks are not contiguous or do not fill the row. */
export function blockProduct(node: NodeProto): BlockProduct | undefined {
  if (node.opType !== 'MatMulNBits' || node.domain !== 'com.microsoft' || node.input[Input.GroupIndex]) return undefined;
  const [k, columns, bits, blockSize] = (['K', 'N', 'bits', 'block_size'] as const).map((name) => intAttribute(node, name, 0));
  if (!k || !columns || !bits || !blockSize || k % blockSize !== 0) return undefined;
  return {bits, blockSize, blocks: k / blockSize, columns};
}
