/** From a decoder's ONNX graph, in contrib operators, to operators on rows. */

import {UnsupportedError} from '../errors.js';
import {describe} from '../onnx/check.js';
import {DataType} from '../onnx/data_type.js';
import {floatAttribute, type GraphIndex, intAttribute, intsAttribute, stringAttribute} from '../onnx/graph.js';
import {Matcher} from '../onnx/lower/matcher.js';
import {isPlumbing, isTokens} from '../onnx/lower/runtime_values.js';
import {shapeValues} from '../onnx/lower/shape_values.js';
import type {Model} from '../onnx/model.js';
import type {NodeProto} from '../onnx/onnx_pb.js';
import {translateAttention} from './attention.js';
import {type ConstantRowsOf, Constants, transposed} from './constants.js';
import {joinValues} from './join_values.js';
import {gatherBlockQuantizedRows, matMulNBitsRows} from './quantized.js';
import {type QuantizedTable, quantizedTables} from './quantized_table.js';
import {type ActivationName, type RotaryTables, RowsGraph, type Value, type Weight} from './rows_graph.js';
import type {QuantizedRows} from './weight_ref.js';

/** A value of the ONNX graph that is made of rows. */
export interface Traced {
  value: Value;
  /** Where its last dimension is split in two: [.., heads, width / heads]. */
  heads?: number;
  /** Whether the heads come before the positions: [batch, heads, positions, size]. */
  headsFirst?: boolean;
  /** What its heads are still to be rotated by: attention does it. */
  rotary?: RotaryTables;
}

export interface Translated {
  graph: RowsGraph;
  logits: Value;
}

const FLOATS: ReadonlySet<number> = new Set([DataType.FLOAT, DataType.FLOAT16, DataType.BFLOAT16, DataType.DOUBLE]);

/** Throws UnsupportedError that names the node which has no equal here. */
export function translate(model: Model): Translated {
  return new Translation(model).run();
}

/** What the translation of one node sees. */
export class Translation {
  readonly graph = new RowsGraph();
  readonly matcher: Matcher;
  readonly constants: Constants;
  readonly #traced = new Map<string, Traced>();
  /** By the nodes that end them. */
  readonly #tables: ReadonlyMap<NodeProto, QuantizedTable>;
  readonly #tableGathers: ReadonlySet<NodeProto>;
  #attentions = 0;

  constructor(readonly model: Model) {
    this.matcher = new Matcher(model);
    this.constants = new Constants(model, this.index);
    const tables = quantizedTables(this);
    this.#tables = new Map(tables.map((table) => [table.last, table]));
    this.#tableGathers = new Set(tables.flatMap(({gathers}) => gathers));
  }

  get index(): GraphIndex {
    return this.matcher.index;
  }

  run(): Translated {
    for (const node of this.model.graph.node) this.#node(node);
    const logits = this.#traced.get('logits');
    if (logits === undefined) throw new UnsupportedError(`${this.model.label}: 'logits' does not come from embeddings of 'input_ids'`);
    return {graph: this.graph, logits: logits.value};
  }

  traced(name: string | undefined): Traced | undefined {
    return name ? this.#traced.get(name) : undefined;
  }

  set(name: string, traced: Traced): void {
    this.#traced.set(name, traced);
  }

  width(value: Value): number {
    return this.graph.get(value).width;
  }

  /** The layer of the attention met now: they come in order. */
  nextLayer(): number {
    return this.#attentions++;
  }

  refuse(node: NodeProto, why: string): never {
    throw new UnsupportedError(`${this.model.label}: ${describe(node)}: ${why}`);
  }

  /** A constant as a weight [outer, inner], or a vector. */
  weight(node: NodeProto, name: string): Weight {
    const found = this.constants.matrix(name, describe(node));
    return found ? weightOf(found) : this.refuse(node, `'${name}' is not a constant`);
  }

  #node(node: NodeProto): void {
    const embedded = this.#embedding(node);
    if (embedded !== undefined) this.set(node.output[0]!, {value: this.graph.add({op: 'Embed', width: embedded.inner, table: embedded})});
    if (embedded !== undefined || node.opType === 'Shape') return;
    const inputs = node.input.map((name) => this.traced(name));
    if (inputs.every((input) => input === undefined)) return;
    const translator = TRANSLATORS.get(operatorOf(node));
    if (translator === undefined) this.refuse(node, 'has no equal in the decoder runtime');
    const made = translator(this, node, inputs);
    if (made !== undefined) this.set(node.output[0]!, made);
  }

  /** The table whose rows of the tokens a node takes. */
  #embedding(node: NodeProto): Weight | undefined {
    const table = this.#tables.get(node);
    if (table !== undefined) return weightOfRows(table.rows);
    if (this.#tableGathers.has(node) || !node.input[1] || !isTokens(this.index, node.input[1])) return undefined;
    if (operatorOf(node) === 'com.microsoft.GatherBlockQuantized') return weightOfRows(gatherBlockQuantizedRows(this, node));
    if (operatorOf(node) !== 'Gather') return undefined;
    if (intAttribute(node, 'axis', 0) !== 0) this.refuse(node, 'gathers tokens along another dimension than the first');
    return this.weight(node, node.input[0]!);
  }
}

function operatorOf({domain, opType}: NodeProto): string {
  return domain === '' ? opType : `${domain}.${opType}`;
}

function weightOfRows(rows: QuantizedRows): Weight {
  return {outer: rows.rows, inner: rows.columns, rows: [rows]};
}

export function weightOf({rank, rows, columns, parts}: ConstantRowsOf): Weight {
  return {outer: rows, inner: rank === 1 ? 0 : columns, rows: parts};
}

type Translator = (t: Translation, node: NodeProto, inputs: readonly (Traced | undefined)[]) => Traced | undefined;

const same: Translator = (_, __, inputs) => inputs[0];

const TRANSLATORS: ReadonlyMap<string, Translator> = new Map<string, Translator>([
  ['Identity', same],
  ['Dropout', same],
  ['Cast', cast],
  ['MatMul', matMul],
  ['Gemm', gemm],
  ['com.microsoft.MatMulNBits', matMulNBits],
  ['SimplifiedLayerNormalization', norm],
  ['RMSNormalization', norm],
  ['Add', add],
  ['Mul', multiply],
  ['Div', divide],
  ['Tanh', softcap],
  ['Split', split],
  ['Slice', slice],
  ['Gather', lastRows],
  ['Reshape', reshape],
  ['Transpose', transpose],
  ['com.microsoft.QuickGelu', quickGelu],
  ['Gelu', gelu],
  ['com.microsoft.Gelu', gelu],
  ['com.microsoft.FastGelu', gelu],
  ['com.microsoft.RotaryEmbedding', rotaryEmbedding],
  ['com.microsoft.GroupQueryAttention', translateAttention],
]);

function cast(t: Translation, node: NodeProto, inputs: readonly (Traced | undefined)[]): Traced | undefined {
  // Rows are of the hidden type throughout, and operators that need more compute in float32 inside.
  if (!FLOATS.has(intAttribute(node, 'to', 0))) t.refuse(node, 'casts rows to another type than a float');
  return inputs[0];
}

function flat(t: Translation, node: NodeProto, traced: Traced | undefined, name: string | undefined): Value {
  if (traced === undefined) return t.refuse(node, `'${name}' does not come from the embeddings`);
  if (traced.heads !== undefined) t.refuse(node, `'${name}' is split into heads`);
  if (traced.rotary !== undefined) t.refuse(node, `'${name}' is rotated, and not for attention`);
  return traced.value;
}

function linear(t: Translation, node: NodeProto, x: Traced | undefined, weight: Weight, bias?: Weight): Traced {
  const value = flat(t, node, x, node.input[0]);
  if (t.graph.as(value, 'Activation')) t.refuse(node, 'takes an activation that gates nothing');
  if (weight.inner !== t.width(value)) t.refuse(node, `its weight has ${weight.inner} columns for rows of ${t.width(value)}`);
  return {value: t.graph.add({op: 'Linear', width: weight.outer, x: value, weight, ...(bias ? {bias} : {})})};
}

function matMul(t: Translation, node: NodeProto, inputs: readonly (Traced | undefined)[]): Traced {
  const stored = t.constants.matrix(node.input[1]!, describe(node));
  if (stored === undefined || inputs[0] === undefined) return t.refuse(node, 'is a product of two values, and no attention that is known');
  const weight = transposed(stored) ?? t.refuse(node, 'its weight is of more than one piece');
  return linear(t, node, inputs[0], weightOf(weight));
}

function gemm(t: Translation, node: NodeProto, inputs: readonly (Traced | undefined)[]): Traced {
  if (floatAttribute(node, 'alpha', 1) !== 1 || floatAttribute(node, 'beta', 1) !== 1 || intAttribute(node, 'transA', 0) !== 0) {
    t.refuse(node, 'has alpha, beta or transA');
  }
  const stored = t.constants.matrix(node.input[1]!, describe(node));
  if (stored === undefined) return t.refuse(node, `'${node.input[1]}' is not a constant`);
  const weight = intAttribute(node, 'transB', 0) ? stored : (transposed(stored) ?? t.refuse(node, 'its weight is of more than one piece'));
  return linear(t, node, inputs[0], weightOf(weight), node.input[2] ? t.weight(node, node.input[2]) : undefined);
}

function matMulNBits(t: Translation, node: NodeProto, inputs: readonly (Traced | undefined)[]): Traced {
  const rows = matMulNBitsRows(t, node);
  const bias = node.input[5] ? t.weight(node, node.input[5]) : undefined;
  return linear(t, node, inputs[0], weightOfRows(rows), bias);
}

function norm(t: Translation, node: NodeProto, inputs: readonly (Traced | undefined)[]): Traced {
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

function add(t: Translation, node: NodeProto, inputs: readonly (Traced | undefined)[]): Traced {
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

function multiply(t: Translation, node: NodeProto, inputs: readonly (Traced | undefined)[]): Traced {
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

function divide(t: Translation, node: NodeProto, inputs: readonly (Traced | undefined)[]): Traced {
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
function softcap(t: Translation, node: NodeProto, inputs: readonly (Traced | undefined)[]): Traced {
  const scale = t.graph.as(flat(t, node, inputs[0], node.input[0]), 'Scale');
  if (scale === undefined) return t.refuse(node, 'is no soft cap: its input is not divided by a number');
  const capped = t.graph.add({op: 'Softcap', width: scale.width, x: scale.x, cap: 1 / scale.factor});
  return {value: t.graph.add({op: 'Scale', width: scale.width, x: capped, factor: scale.factor})};
}

function split(t: Translation, node: NodeProto, inputs: readonly (Traced | undefined)[]): undefined {
  const x = flat(t, node, inputs[0], node.input[0]);
  const axis = intAttribute(node, 'axis', 0);
  if (axis !== -1 && axis !== 2) t.refuse(node, 'splits along another dimension than the last');
  const width = t.width(x);
  const given = node.input[1] ? shapeValues(t.matcher, node.input[1]) : intsAttribute(node, 'split');
  const sizes = given ?? node.output.map(() => width / node.output.length);
  let from = 0;
  for (const [at, name] of node.output.entries()) {
    const size = sizes[at];
    if (size === undefined || !Number.isInteger(size)) return t.refuse(node, 'the sizes of its parts are not known');
    t.set(name, {value: t.graph.add({op: 'Slice', width: size, x, from})});
    from += size;
  }
  return undefined;
}

function slice(t: Translation, node: NodeProto, inputs: readonly (Traced | undefined)[]): Traced {
  const x = flat(t, node, inputs[0], node.input[0]);
  const [starts, ends, axes, steps] = [1, 2, 3, 4].map((at) => shapeValues(t.matcher, node.input[at] ?? ''));
  if (axes?.length !== 1 || (steps !== undefined && steps[0] !== 1)) return t.refuse(node, 'cuts other than one dimension, or in steps');
  // Which rows get logits is for the runtime to say.
  if (axes[0] === 1) return {value: x};
  const width = t.width(x);
  const bound = (at: number | undefined) => (at === undefined ? undefined : Math.min(at < 0 ? at + width : at, width));
  const [from, to] = [bound(starts?.[0]), bound(ends?.[0])];
  if ((axes[0] !== 2 && axes[0] !== -1) || from === undefined || to === undefined) return t.refuse(node, 'where it cuts is not known');
  return {value: t.graph.add({op: 'Slice', width: to - from, x, from})};
}

function lastRows(t: Translation, node: NodeProto, inputs: readonly (Traced | undefined)[]): Traced {
  if (intAttribute(node, 'axis', 0) !== 1) t.refuse(node, 'takes some of the elements of rows');
  return {value: flat(t, node, inputs[0], node.input[0])};
}

function reshape(t: Translation, node: NodeProto, inputs: readonly (Traced | undefined)[]): Traced {
  const x = inputs[0] ?? t.refuse(node, 'reshapes by a shape made of rows');
  if (x.headsFirst) t.refuse(node, 'reshapes heads that come before positions');
  const dims = shapeValues(t.matcher, node.input[1]!);
  const width = t.width(x.value);
  const known = (size: number | undefined) => (size === undefined || size <= 0 ? undefined : size);
  const last = known(dims?.at(-1));
  if (dims?.length === 4) {
    const heads = known(dims[2]) ?? (last === undefined ? undefined : width / last);
    if (heads === undefined || !Number.isInteger(width / heads) || (last !== undefined && heads * last !== width)) {
      return t.refuse(node, `does not split rows of ${width} into heads`);
    }
    return {...x, heads};
  }
  if ((dims?.length !== 3 && dims?.length !== 2) || (last !== undefined && last !== width)) {
    return t.refuse(node, `makes something else than rows of ${width}`);
  }
  const {heads: _, ...rest} = x;
  return rest;
}

function transpose(t: Translation, node: NodeProto, inputs: readonly (Traced | undefined)[]): Traced {
  const x = inputs[0]!;
  if (x.heads === undefined || String(intsAttribute(node, 'perm')) !== '0,2,1,3')
    t.refuse(node, 'transposes something else than heads and positions');
  return {...x, headsFirst: !x.headsFirst};
}

function activation(t: Translation, node: NodeProto, x: Traced | undefined, name: ActivationName): Traced {
  const value = flat(t, node, x, node.input[0]);
  return {value: t.graph.add({op: 'Activation', width: t.width(value), x: value, activation: name})};
}

function quickGelu(t: Translation, node: NodeProto, inputs: readonly (Traced | undefined)[]): Traced {
  if (floatAttribute(node, 'alpha', 1.702) !== 1) t.refuse(node, 'has another alpha than 1, which is SiLU');
  return activation(t, node, inputs[0], 'silu');
}

function gelu(t: Translation, node: NodeProto, inputs: readonly (Traced | undefined)[]): Traced {
  if (node.input[1]) t.refuse(node, 'has a bias');
  const tanh = node.opType === 'FastGelu' || stringAttribute(node, 'approximate', 'none') === 'tanh';
  return activation(t, node, inputs[0], tanh ? 'gelu_tanh' : 'gelu_erf');
}

function rotaryEmbedding(t: Translation, node: NodeProto, inputs: readonly (Traced | undefined)[]): Traced {
  const x = inputs[0] ?? t.refuse(node, `'${node.input[0]}' does not come from the embeddings`);
  if (x.rotary !== undefined) t.refuse(node, 'rotates twice');
  if (floatAttribute(node, 'scale', 1) !== 1 || intAttribute(node, 'is_packed_batching', 0))
    t.refuse(node, 'has a scale or packed batches');
  const rotary = rotaryTables(t, node, node.input[2]!, node.input[3]!, intAttribute(node, 'interleaved', 0) !== 0);
  if (!isPlumbing(t.index, node.input[1]!)) t.refuse(node, `'${node.input[1]}' is made of more than positions`);
  const size = intAttribute(node, 'rotary_embedding_dim', 0);
  if (size !== 0 && size !== 2 * rotary.cos.inner) t.refuse(node, `rotates ${size} elements by tables of ${rotary.cos.inner} pairs`);
  return {...x, rotary};
}

export function rotaryTables(t: Translation, node: NodeProto, cosName: string, sinName: string, interleaved: boolean): RotaryTables {
  const [cos, sin] = [t.weight(node, cosName), t.weight(node, sinName)];
  if (cos.inner === 0 || cos.inner !== sin.inner || cos.outer !== sin.outer) {
    t.refuse(node, `its rotary tables have shapes [${cos.outer}, ${cos.inner}] and [${sin.outer}, ${sin.inner}]`);
  }
  return {cos, sin, interleaved};
}
