/** Computes small constants that a graph makes of others: 1 + weight of a norm, shapes, frequencies. */

import type * as ort from 'onnxruntime-node';

import {DataType} from '../data_type.js';
import {GraphBuilder} from '../graph_builder.js';
import type {Model} from '../model.js';
import {evaluate} from './evaluate.js';
import {Matcher} from './matcher.js';
import {removeUnused} from './remove_unused.js';

/** Weights are left to whoever reads them. */
const MAX_BYTES = 1 << 20;

/** Other arrangements of the same bytes are read as well as the bytes, and from the file; so are codes with their scales. */
const ARRANGES: ReadonlySet<string> = new Set(['Transpose', 'Cast', 'Identity', 'Concat', 'DequantizeLinear']);
const SMALL_BYTES = 256;

const TYPES: ReadonlyMap<ort.Tensor.Type, DataType> = new Map<ort.Tensor.Type, DataType>([
  ['float32', DataType.FLOAT],
  ['float16', DataType.FLOAT16],
  ['int64', DataType.INT64],
  ['int32', DataType.INT32],
  ['bool', DataType.BOOL],
]);

/** Constants made of at most a mebibyte become initializers. Changes `model`; returns how many there were. */
export async function foldConstants(model: Model): Promise<number> {
  const matcher = new Matcher(model);
  const {graph} = model;
  /** Bytes of the initializers that constants are made of. */
  const sizes = new Map<string, number>();
  for (const tensor of graph.initializer) {
    if (!graph.input.some(({name}) => name === tensor.name)) sizes.set(tensor.name, model.source(tensor).byteLength);
  }
  const made = new Set<string>();
  for (const node of graph.node) {
    const inputs = node.input.filter((name) => name !== '');
    const known = inputs.every((name) => sizes.has(name)) && node.attribute.every(({g, graphs}) => !g && graphs.length === 0);
    const isFoldable = known && (inputs.length > 0 || node.opType === 'Constant' || node.opType === 'ConstantOfShape');
    const size = inputs.reduce((sum, name) => sum + (sizes.get(name) ?? 0), 0);
    if (!isFoldable || size > MAX_BYTES) continue;
    for (const output of node.output) {
      if (output === '') continue;
      sizes.set(output, size);
      if (size <= SMALL_BYTES || !ARRANGES.has(node.opType)) made.add(output);
    }
  }
  // Only what others take: the rest goes with the nodes that make it.
  const names = [...made].filter(
    (name) =>
      matcher.index.isOutput(name) || matcher.index.consumers.get(name)?.some((taker) => taker.output.some((output) => !made.has(output))),
  );
  if (names.length === 0) return 0;
  const values = await evaluate(model, names, {past: 0, tokens: 1});
  const builder = GraphBuilder.extend(model);
  let folded = 0;
  for (const [name, {type, dims, data}] of values) {
    const dataType = TYPES.get(type);
    if (dataType === undefined) continue;
    const node = matcher.index.producers.get(name)!;
    const {buffer, byteOffset, byteLength} = data as Float32Array;
    builder.renameOutput(node, name, `${name}/folded`);
    builder.initializer(name, dataType, dims, new Uint8Array(buffer, byteOffset, byteLength).slice());
    folded++;
  }
  removeUnused(graph);
  return folded;
}
