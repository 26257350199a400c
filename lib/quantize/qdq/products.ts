/** Products with matrices of floats, and those among them that share what they multiply. */

import {DataType} from '../../onnx/data_type.js';
import {floatAttribute, GraphIndex, intAttribute, intsAttribute} from '../../onnx/graph.js';
import type {Model} from '../../onnx/model.js';
import type {NodeProto, TensorProto} from '../../onnx/onnx_pb.js';

export interface Product {
  node: NodeProto;
  weight: TensorProto;
  /** Stored as [inner, outer]: a column for each result. */
  columns: boolean;
  /** Terms of a sum. */
  inner: number;
  outer: number;
}

/** By the value that they multiply, in the order of the graph. */
export function productsByInput(model: Model): Map<string, Product[]> {
  const index = new GraphIndex(model.graph);
  const groups = new Map<string, Product[]>();
  for (const node of model.graph.node) {
    const product = productOf(node, index);
    if (product === undefined) continue;
    const input = node.input[0]!;
    groups.set(input, [...(groups.get(input) ?? []), product]);
  }
  return groups;
}

function productOf(node: NodeProto, index: GraphIndex): Product | undefined {
  if (node.domain !== '' || (node.opType !== 'MatMul' && node.opType !== 'Gemm')) return undefined;
  // A constant factor on the left is no activation.
  if (index.initializers.has(node.input[0]!)) return undefined;
  let columns = true;
  if (node.opType === 'Gemm') {
    if (intAttribute(node, 'transA', 0) !== 0 || floatAttribute(node, 'alpha', 1) !== 1) return undefined;
    columns = intAttribute(node, 'transB', 0) === 0;
  }
  let name = node.input[1]!;
  const transpose = index.producers.get(name);
  if (transpose?.opType === 'Transpose' && intsAttribute(transpose, 'perm', [1, 0]).join() === '1,0') {
    columns = !columns;
    name = transpose.input[0]!;
  }
  const weight = index.initializers.get(name);
  // What others take too cannot be changed for this product.
  if (weight?.dims.length !== 2 || index.consumers.get(name)!.length > 1 || index.isOutput(name)) return undefined;
  if (transpose && index.consumers.get(node.input[1]!)!.length > 1) return undefined;
  if (weight.dataType !== DataType.FLOAT && weight.dataType !== DataType.FLOAT16) return undefined;
  const [first, second] = weight.dims.map(Number) as [number, number];
  return {node, weight, columns, inner: columns ? first : second, outer: columns ? second : first};
}
