/** Norms, activations, and products with numbers. */

import {DataType} from '../../onnx/data_type.js';
import {floatAttribute, intAttribute, stringAttribute} from '../../onnx/graph.js';
import type {NodeProto} from '../../onnx/onnx_pb.js';
import type {ActivationName, Value} from '../rows_graph.js';
import {joinValues} from './join_values.js';
import {flat, type Traced, type Translation} from './translation.js';

const FLOATS: ReadonlySet<number> = new Set([DataType.FLOAT, DataType.FLOAT16, DataType.BFLOAT16, DataType.DOUBLE]);

export function cast(t: Translation, node: NodeProto, inputs: readonly (Traced | undefined)[]): Traced | undefined {
  // Rows are of the hidden type throughout, and operators that need more compute in float32 inside.
  if (!FLOATS.has(intAttribute(node, 'to', 0))) t.refuse(node, 'casts rows to another type than a float');
  return inputs[0];
}

export function norm(t: Translation, node: NodeProto, inputs: readonly (Traced | undefined)[]): Traced {
  const x = inputs[0] ?? t.refuse(node, `'${node.input[0]}' does not come from the embeddings`);
  const weight = t.weight(node, node.input[1]!);
  const epsilon = floatAttribute(node, 'epsilon', 1e-5);
  if (node.output.slice(1).some((name) => name && t.index.consumers.has(name))) t.refuse(node, 'its second output is used');
  const width = t.width(x.value);
  const size = width / (x.heads ?? 1);
  if (weight.inner !== 0 || weight.outer !== size) t.refuse(node, `its weight has ${weight.outer} elements for rows of ${size}`);
  if (x.heads === undefined) return {value: t.graph.add({op: 'RmsNorm', width, x: x.value, weight, epsilon})};
  if (x.rotary !== undefined) t.refuse(node, 'normalizes heads that are rotated');
  return {...x, value: t.graph.add({op: 'HeadNorm', width, x: x.value, weight, epsilon})};
}

export function multiply(t: Translation, node: NodeProto, inputs: readonly (Traced | undefined)[]): Traced {
  const [a, b] = inputs;
  if (a === undefined || b === undefined) {
    const at = a === undefined ? 1 : 0;
    const factor = t.constants.scalar(node.input[1 - at]!);
    if (factor === undefined) return t.refuse(node, `'${node.input[1 - at]}' is not one number`);
    return scaled(t, flat(t, node, inputs[at], node.input[at]), factor);
  }
  const values = [flat(t, node, a, node.input[0]), flat(t, node, b, node.input[1])] as const;
  for (const [gate, up] of [values, [values[1], values[0]] as const]) {
    const activated = t.graph.as(gate, 'Activation');
    if (activated === undefined || t.graph.as(up, 'Activation') || t.width(up) !== activated.width) continue;
    const gateUp = joinValues(t.graph, [activated.x, up]);
    return {value: t.graph.add({op: 'GatedActivation', width: activated.width, gateUp, activation: activated.activation})};
  }
  return t.refuse(node, 'multiplies rows, and no gate with what it gates');
}

export function divide(t: Translation, node: NodeProto, inputs: readonly (Traced | undefined)[]): Traced {
  const divisor = t.constants.scalar(node.input[1]!);
  if (divisor === undefined) return t.refuse(node, `'${node.input[1]}' is not one number`);
  return scaled(t, flat(t, node, inputs[0], node.input[0]), 1 / divisor);
}

function scaled(t: Translation, x: Value, factor: number): Traced {
  const inner = t.graph.as(x, 'Scale');
  const [from, all] = inner ? [inner.x, inner.factor * factor] : [x, factor];
  if (Math.abs(all - 1) < 1e-6) return {value: from};
  return {value: t.graph.add({op: 'Scale', width: t.width(from), x: from, factor: all})};
}

/** cap * tanh(x / cap), which is written as Div, Tanh, Mul. */
export function softcap(t: Translation, node: NodeProto, inputs: readonly (Traced | undefined)[]): Traced {
  const scale = t.graph.as(flat(t, node, inputs[0], node.input[0]), 'Scale');
  if (scale === undefined) return t.refuse(node, 'is no soft cap: its input is not divided by a number');
  const capped = t.graph.add({op: 'Softcap', width: scale.width, x: scale.x, cap: 1 / scale.factor});
  return {value: t.graph.add({op: 'Scale', width: scale.width, x: capped, factor: scale.factor})};
}

export function quickGelu(t: Translation, node: NodeProto, inputs: readonly (Traced | undefined)[]): Traced {
  if (floatAttribute(node, 'alpha', 1.702) !== 1) t.refuse(node, 'has another alpha than 1, which is SiLU');
  return activation(t, node, inputs[0], 'silu');
}

export function gelu(t: Translation, node: NodeProto, inputs: readonly (Traced | undefined)[]): Traced {
  if (node.input[1]) t.refuse(node, 'has a bias');
  const tanh = node.opType === 'FastGelu' || stringAttribute(node, 'approximate', 'none') === 'tanh';
  return activation(t, node, inputs[0], tanh ? 'gelu_tanh' : 'gelu_erf');
}

function activation(t: Translation, node: NodeProto, x: Traced | undefined, name: ActivationName): Traced {
  const value = flat(t, node, x, node.input[0]);
  return {value: t.graph.add({op: 'Activation', width: t.width(value), x: value, activation: name})};
}
