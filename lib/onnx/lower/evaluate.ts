/** What a graph computes from constants, positions and lengths alone, found by running that part of it. */

import {create} from '@bufbuild/protobuf';
import type * as ort from 'onnxruntime-node';

import {serialize} from '../../backend/cpu/rewrite/serialize.js';
import {DataType} from '../data_type.js';
import {GraphIndex, namesIn} from '../graph.js';
import {GraphBuilder} from '../graph_builder.js';
import {Model} from '../model.js';
import {GraphProtoSchema, ModelProtoSchema, type NodeProto, TensorProtoSchema} from '../onnx_pb.js';

/** One sequence: `tokens` more after `past`. */
export interface Lengths {
  past: number;
  tokens: number;
}

/** The values of `names`, each of which isPlumbing; in any of ONNX Runtime's types. Throws FormatError or UnsupportedError where ONNX Runtime refuses the graph. */
export async function evaluate(model: Model, names: readonly string[], lengths: Lengths): Promise<ReadonlyMap<string, ort.Tensor>> {
  // Models that need none of it do not wait for ONNX Runtime.
  const [{Tensor}, {createSession}] = await Promise.all([import('onnxruntime-node'), import('../../onnxruntime/session.js')]);
  const index = new GraphIndex(model.graph);
  const part = plumbingModel(model, index, names, lengths);
  const {past, tokens} = lengths;
  const int64 = (count: number, value: (at: number) => number) =>
    new Tensor(
      'int64',
      BigInt64Array.from({length: count}, (_, at) => BigInt(value(at))),
      [1, count],
    );
  const feeds: Record<string, ort.Tensor> = {};
  for (const {name} of part.graph.input) {
    feeds[name] = name === 'position_ids' ? int64(tokens, (at) => past + at) : int64(past + tokens, () => 1);
  }
  const path = model.path ?? 'model.onnx';
  const session = await createSession({path, bytes: await serialize(part), proto: part.proto, threads: 1});
  try {
    const results = await session.run(feeds);
    return new Map(names.map((name) => [name, results[name]!]));
  } finally {
    await session.release();
  }
}

/** The nodes that `names` need, with shapes of inputs as constants. */
function plumbingModel(model: Model, index: GraphIndex, names: readonly string[], lengths: Lengths): Model {
  const needed = new Set(names);
  const nodes: NodeProto[] = [];
  const shapes: NodeProto[] = [];
  for (const node of [...model.graph.node].reverse()) {
    if (!node.output.some((output) => needed.has(output))) continue;
    if (node.opType === 'Shape' && index.valueInfos.has(node.input[0]!) && !index.producers.has(node.input[0]!)) {
      shapes.push(node);
      continue;
    }
    nodes.unshift(node);
    for (const name of namesIn(node)) needed.add(name);
  }
  const stored = model.graph.initializer.filter(({name}) => needed.has(name));
  // Copies: serializing puts bytes into them.
  const initializer = stored.map((tensor) => Object.assign(create(TensorProtoSchema), tensor));
  const graph = Object.assign(create(GraphProtoSchema), {
    name: 'plumbing',
    node: nodes,
    initializer,
    input: model.graph.input.filter(({name}) => needed.has(name)),
  });
  const proto = Object.assign(create(ModelProtoSchema), model.proto, {graph});
  const part = new Model(proto, model.path, model.fileBytes);
  for (const [at, tensor] of stored.entries()) part.setSource(initializer[at]!, model.source(tensor));
  const builder = GraphBuilder.extend(part);
  for (const {input, output} of shapes) {
    const bytes = new Uint8Array(BigInt64Array.from(shapeOf(index, input[0]!, lengths).map(BigInt)).buffer);
    builder.initializer(output[0]!, DataType.INT64, [bytes.byteLength / 8], bytes);
  }
  // Types are inferred: outputs may go without.
  for (const name of names) builder.output(name, DataType.UNDEFINED, []);
  for (const output of graph.output) output.type = undefined;
  return part;
}

function shapeOf(index: GraphIndex, name: string, {past, tokens}: Lengths): number[] {
  if (name === 'input_ids' || name === 'position_ids') return [1, tokens];
  if (name === 'attention_mask') return [1, past + tokens];
  // A cache: batch, heads, positions, head size.
  const dims = index.tensorInfo(name)?.dims ?? [];
  return dims.map((dim, at) => (at === 0 ? 1 : typeof dim === 'number' ? dim : past));
}
