/** Products with weights, and what is added to them. */

import {describe} from '../../onnx/check.js';
import {floatAttribute, intAttribute} from '../../onnx/graph.js';
import type {NodeProto} from '../../onnx/onnx_pb.js';
import type {Weight} from '../rows_graph.js';
import {transposed} from './constants.js';
import {matMulNBitsRows} from './quantized.js';
import {flat, type Traced, type Translation, weightOfRows} from './translation.js';

export function matMul(t: Translation, node: NodeProto, inputs: readonly (Traced | undefined)[]): Traced {
  const stored = t.constants.matrix(node.input[1]!, describe(node));
  if (stored === undefined || inputs[0] === undefined) return t.refuse(node, 'is a product of two values, and no attention that is known');
  const weight = transposed(stored) ?? t.refuse(node, 'its weight is of more than one piece');
  return linear(t, node, inputs[0], t.weightOf(node, weight));
}

export function gemm(t: Translation, node: NodeProto, inputs: readonly (Traced | undefined)[]): Traced {
  if (floatAttribute(node, 'alpha', 1) !== 1 || floatAttribute(node, 'beta', 1) !== 1 || intAttribute(node, 'transA', 0) !== 0) {
    t.refuse(node, 'has alpha, beta or transA');
  }
  const stored = t.constants.matrix(node.input[1]!, describe(node));
  if (stored === undefined) return t.refuse(node, `'${node.input[1]}' is not a constant`);
  const weight = intAttribute(node, 'transB', 0) ? stored : (transposed(stored) ?? t.refuse(node, 'its weight is of more than one piece'));
  return linear(t, node, inputs[0], t.weightOf(node, weight), node.input[2] ? t.weight(node, node.input[2]) : undefined);
}

export function matMulNBits(t: Translation, node: NodeProto, inputs: readonly (Traced | undefined)[]): Traced {
  const rows = matMulNBitsRows(t, node);
  const bias = node.input[5] ? t.weight(node, node.input[5]) : undefined;
  return linear(t, node, inputs[0], weightOfRows(rows), bias);
}

function linear(t: Translation, node: NodeProto, x: Traced | undefined, weight: Weight, bias?: Weight): Traced {
  const value = flat(t, node, x, node.input[0]);
  if (t.graph.as(value, 'Activation')) t.refuse(node, 'takes an activation that gates nothing');
  if (weight.inner !== t.width(value)) t.refuse(node, `its weight has ${weight.inner} columns for rows of ${t.width(value)}`);
  return {value: t.graph.add({op: 'Linear', width: weight.outer, x: value, weight, ...(bias ? {bias} : {})})};
}

export function add(t: Translation, node: NodeProto, inputs: readonly (Traced | undefined)[]): Traced {
  const [a, b] = inputs;
  if (a !== undefined && b !== undefined) {
    const [left, right] = [flat(t, node, a, node.input[0]), flat(t, node, b, node.input[1])];
    if (t.width(left) !== t.width(right)) t.refuse(node, `adds rows of ${t.width(left)} and ${t.width(right)}`);
    return {value: t.graph.add({op: 'Add', width: t.width(left), a: left, b: right})};
  }
  const at = a === undefined ? 1 : 0;
  const product = t.graph.as(flat(t, node, inputs[at], node.input[at]), 'Linear');
  const bias = t.weight(node, node.input[1 - at]!);
  if (product === undefined || product.bias !== undefined) return t.refuse(node, 'adds a constant to what is no product');
  if (bias.inner !== 0 || bias.outer !== product.width) t.refuse(node, `its bias has ${bias.outer} elements for rows of ${product.width}`);
  return {value: t.graph.add({...product, bias})};
}
