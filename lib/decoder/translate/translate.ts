/** From a decoder's ONNX graph, in contrib operators, to operators on rows. */

import {UnsupportedError} from '../../errors.js';
import {intAttribute} from '../../onnx/graph.js';
import {isTokens} from '../../onnx/lower/runtime_values.js';
import type {Model} from '../../onnx/model.js';
import type {NodeProto} from '../../onnx/onnx_pb.js';
import type {RowsGraph, Value, Weight} from '../rows_graph.js';
import {translateAttention} from './attention.js';
import {cast, divide, gelu, multiply, norm, quickGelu, softcap} from './elementwise.js';
import {lastRows, reshape, slice, split, transpose} from './layout.js';
import {add, gemm, matMul, matMulNBits} from './products.js';
import {gatherBlockQuantizedRows} from './quantized.js';
import {type QuantizedTable, quantizedTables} from './quantized_table.js';
import {rotaryEmbedding} from './rotary.js';
import {Translation, type Translator, weightOfRows} from './translation.js';

export interface Translated {
  graph: RowsGraph;
  logits: Value;
}

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

/** Throws UnsupportedError that names the node which has no equal here. */
export function translate(model: Model): Translated {
  const t = new Translation(model);
  const tables = quantizedTables(t);
  for (const node of model.graph.node) translateNode(t, node, tables);
  const logits = t.traced('logits');
  if (logits === undefined) throw new UnsupportedError(`${model.label}: 'logits' does not come from embeddings of 'input_ids'`);
  return {graph: t.graph, logits: logits.value};
}

function translateNode(t: Translation, node: NodeProto, tables: readonly QuantizedTable[]): void {
  const table = embeddedTable(t, node, tables);
  if (table !== undefined) t.set(node.output[0]!, {value: t.graph.add({op: 'Embed', width: table.inner, table})});
  if (table !== undefined || node.opType === 'Shape') return;
  const inputs = node.input.map((name) => t.traced(name));
  if (inputs.every((input) => input === undefined)) return;
  const translator = TRANSLATORS.get(operatorOf(node));
  if (translator === undefined) t.refuse(node, 'has no equal in the decoder runtime');
  const made = translator(t, node, inputs);
  if (made !== undefined) t.set(node.output[0]!, made);
}

/** The table whose rows of the tokens a node takes. */
function embeddedTable(t: Translation, node: NodeProto, tables: readonly QuantizedTable[]): Weight | undefined {
  const table = tables.find(({last}) => last === node);
  if (table !== undefined) return weightOfRows(table.rows);
  if (tables.some(({gathers}) => gathers.includes(node)) || !node.input[1] || !isTokens(t.index, node.input[1])) return undefined;
  if (operatorOf(node) === 'com.microsoft.GatherBlockQuantized') return weightOfRows(gatherBlockQuantizedRows(t, node));
  if (operatorOf(node) !== 'Gather') return undefined;
  if (intAttribute(node, 'axis', 0) !== 0) t.refuse(node, 'gathers tokens along another dimension than the first');
  return t.weight(node, node.input[0]!);
}

function operatorOf({domain, opType}: NodeProto): string {
  return domain === '' ? opType : `${domain}.${opType}`;
}
