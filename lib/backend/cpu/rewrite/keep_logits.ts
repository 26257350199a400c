/** Computes logits only where they are asked for: a prefill needs the last position's alone, and the head is its largest product. */

import {DataType} from '../../../onnx/data_type.js';
import {GraphIndex} from '../../../onnx/graph.js';
import {GraphBuilder} from '../../../onnx/graph_builder.js';
import type {Model} from '../../../onnx/model.js';
import type {NodeProto} from '../../../onnx/onnx_pb.js';

/** An input many exports have already: how many of the last positions get logits. int64, [1] here and a scalar there. */
export const KEEP_INPUT = 'num_logits_to_keep';

/** Where a position's result depends on nothing but that position, up to the head: the last of these before `logits` is cut. */
const NORMALIZATIONS = new Set([
  'SimplifiedLayerNormalization',
  'SkipSimplifiedLayerNormalization',
  'LayerNormalization',
  'RMSNormalization',
]);

/** Adds KEEP_INPUT and cuts the last normalization's output by it. Changes nothing where the model has no such node. */
export function keepLogits(model: Model): void {
  const {graph} = model;
  if (graph.input.some(({name}) => name === KEEP_INPUT)) return;
  const norm = lastNormalization(model);
  if (norm === undefined) return;

  const builder = GraphBuilder.extend(model);
  const all = norm.output[0]!;
  const takers = new GraphIndex(graph).consumers.get(all) ?? [];
  builder.input(KEEP_INPUT, DataType.INT64, [1]);
  const start = builder.op('Neg', [KEEP_INPUT]);
  const end = builder.int64('keep_logits/end', [Number.MAX_SAFE_INTEGER]);
  const axis = builder.int64('keep_logits/axis', [1]);
  const kept = builder.op('Slice', [all, start, end, axis]);
  for (const taker of takers) taker.input = taker.input.map((name) => (name === all ? kept : name));
}

function lastNormalization(model: Model): NodeProto | undefined {
  const {producers} = new GraphIndex(model.graph);
  const inputs = new Set(model.graph.input.map(({name}) => name));
  /** Whether a value depends on an input; a dequantised or transposed weight does not. */
  const isComputed = (name: string): boolean => inputs.has(name) || (producers.get(name)?.input.some(isComputed) ?? false);

  // The head is a chain: each node of it takes one computed value and constants.
  for (let name: string | undefined = 'logits'; name !== undefined; ) {
    const node: NodeProto | undefined = producers.get(name);
    if (node === undefined || NORMALIZATIONS.has(node.opType)) return node;
    const computed: string[] = node.input.filter(isComputed);
    name = computed.length === 1 ? computed[0] : undefined;
  }
  return undefined;
}
