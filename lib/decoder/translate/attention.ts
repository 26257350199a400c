/** com.microsoft GroupQueryAttention as attention on rows. */

import {floatAttribute, intAttribute} from '../../onnx/graph.js';
import {isPlumbing} from '../../onnx/lower/runtime_values.js';
import type {NodeProto} from '../../onnx/onnx_pb.js';
import type {RotaryTables, Value, Weight} from '../rows_graph.js';
import {weightKey} from '../weight_ref.js';
import {joinValues} from './join_values.js';
import {rotaryTables} from './rotary.js';
import type {Traced, Translation} from './translation.js';

const Input = {Query: 0, Key: 1, Value: 2, Cos: 7, Sin: 8, Positions: 9} as const;

/** Attributes that change what is computed, and the values at which they do not. */
const NEUTRAL = {smooth_softmax: 0, qk_output: 0, k_quant_type: 0, v_quant_type: 0, is_unidirectional: 1} as const;

export function translateAttention(t: Translation, node: NodeProto, inputs: readonly (Traced | undefined)[]): Traced {
  for (const [name, neutral] of Object.entries(NEUTRAL)) {
    const found = node.attribute.find((each) => each.name === name);
    if (found && Number(found.i) !== neutral && found.s.byteLength === 0) t.refuse(node, `has ${name} ${found.i}`);
  }
  for (const name of node.input.slice(Input.Positions + 1)) if (name) t.refuse(node, `has the further input '${name}'`);
  for (const at of [5, 6, Input.Positions]) {
    const name = node.input[at];
    if (name && !isPlumbing(t.index, name)) t.refuse(node, `'${name}' is made of more than lengths and positions`);
  }
  const [heads, kvHeads] = [intAttribute(node, 'num_heads', 0), intAttribute(node, 'kv_num_heads', 0)];
  if (!heads || !kvHeads || heads % kvHeads !== 0) t.refuse(node, `has ${heads} heads on ${kvHeads} of keys and values`);

  const parts = [Input.Query, Input.Key, Input.Value].flatMap((at) => (node.input[at] ? [{at, traced: inputs[at]}] : []));
  const values = parts.map(({at, traced}): Value => {
    if (traced === undefined) return t.refuse(node, `'${node.input[at]}' does not come from the embeddings`);
    if (traced.heads !== undefined) t.refuse(node, `'${node.input[at]}' is split into heads`);
    return traced.value;
  });
  const qkv = values.length === 1 ? values[0]! : joinValues(t.graph, values);
  const headSize = t.width(qkv) / (heads + 2 * kvHeads);
  if (!Number.isInteger(headSize)) t.refuse(node, `its rows of ${t.width(qkv)} are not ${heads} + 2 * ${kvHeads} heads`);

  const rotary = rotaryOf(
    t,
    node,
    parts.map(({traced}) => traced?.rotary),
  );
  const rotarySize = rotary ? 2 * rotary.cos.inner : 0;
  if (rotarySize > headSize) t.refuse(node, `rotates ${rotarySize} elements of heads of ${headSize}`);
  const scale = floatAttribute(node, 'scale', 0) || 1 / Math.sqrt(headSize);
  const shape = {
    heads,
    kvHeads,
    headSize,
    rotarySize,
    interleaved: rotary?.interleaved ?? false,
    window: Math.max(0, intAttribute(node, 'local_window_size', -1)),
    scale,
    softcap: floatAttribute(node, 'softcap', 0),
  };
  const width = heads * headSize;
  return {value: t.graph.add({op: 'Attention', width, qkv, layer: t.nextLayer(), shape, ...(rotary ? {rotary} : {})})};
}

/** What rotates queries and keys: the operator itself, or those before it. */
function rotaryOf(t: Translation, node: NodeProto, before: readonly (RotaryTables | undefined)[]): RotaryTables | undefined {
  const [query, key, value] = before;
  if (intAttribute(node, 'do_rotary', 0)) {
    if (query ?? key ?? value) t.refuse(node, 'rotates what is rotated already');
    return rotaryTables(t, node, node.input[Input.Cos]!, node.input[Input.Sin]!, intAttribute(node, 'rotary_interleaved', 0) !== 0);
  }
  if (value !== undefined) t.refuse(node, 'its values are rotated');
  if (query === undefined && key === undefined) return undefined;
  if (query === undefined || key === undefined || !sameTables(query, key)) t.refuse(node, 'its queries and keys are not rotated alike');
  return query;
}

function sameTables(a: RotaryTables, b: RotaryTables): boolean {
  return a.interleaved === b.interleaved && sameWeight(a.cos, b.cos) && sameWeight(a.sin, b.sin);
}

function sameWeight(a: Weight, b: Weight): boolean {
  return weightKey(a.rows) === weightKey(b.rows);
}
