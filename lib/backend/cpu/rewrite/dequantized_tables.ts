/**
 * Rows of a table are taken before they are dequantised, not after: ONNX Runtime would dequantise the whole table in each step,
 * or hold it as float32.
 */

import {topologicalOrder} from '../../../onnx/check.js';
import {DataType} from '../../../onnx/data_type.js';
import {GraphIndex, intAttribute} from '../../../onnx/graph.js';
import {GraphBuilder, int} from '../../../onnx/graph_builder.js';
import type {Model} from '../../../onnx/model.js';
import type {NodeProto} from '../../../onnx/onnx_pb.js';

/** Of tables with a scale for each row, or one for all. */
export function gatherBeforeDequantizing(model: Model): void {
  const {graph} = model;
  const index = new GraphIndex(graph);
  const builder = GraphBuilder.extend(model);
  let changed = false;
  for (const node of [...graph.node]) {
    const table = tableOf(node, index);
    if (table === undefined) continue;
    const {maker, type, byRow} = table;
    const [codes, scales, zeroPoints] = maker.input;
    const ids = node.input[1]!;
    const taken = (name: string) => builder.op('Gather', [name, ids]);
    // A row's scale beside each of its elements.
    const ofRow = (name: string) => (byRow ? builder.op('Unsqueeze', [taken(name), builder.int64('gathered/axes', [-1])]) : name);
    const cast = (name: string) => builder.op('Cast', [name], {attributes: {to: int(type)}});
    let rows = cast(taken(codes!));
    if (zeroPoints) rows = builder.op('Sub', [rows, cast(ofRow(zeroPoints))]);
    const output = node.output[0]!;
    builder.renameOutput(node, output, `${output}/gathered`);
    graph.node = graph.node.filter((each) => each !== node);
    builder.node('Mul', [rows, ofRow(scales!)], {outputs: [output], name: `${node.name}/dequantized`});
    changed = true;
  }
  if (changed) graph.node = topologicalOrder(graph, model.label);
}

function tableOf(node: NodeProto, {producers, initializers}: GraphIndex): {maker: NodeProto; type: number; byRow: boolean} | undefined {
  if (node.opType !== 'Gather' || node.domain !== '' || intAttribute(node, 'axis', 0) !== 0) return undefined;
  const maker = producers.get(node.input[0]!);
  if (maker?.opType !== 'DequantizeLinear' || maker.domain !== '' || intAttribute(maker, 'block_size', 0) !== 0) return undefined;
  const [codes, scales] = maker.input.map((name) => initializers.get(name));
  // Gather takes no other type that is dequantised.
  if (codes?.dataType !== DataType.INT8 && codes?.dataType !== DataType.UINT8) return undefined;
  if (codes.dims.length !== 2 || scales === undefined || scales.dims.length > 1) return undefined;
  const byRow = scales.dims.length === 1;
  if (byRow && (intAttribute(maker, 'axis', 1) + 2) % 2 !== 0) return undefined;
  return {maker, type: scales.dataType, byRow};
}
