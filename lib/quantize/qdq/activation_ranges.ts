/** How large values of a graph become, channel by channel, while it runs on representative inputs. */

import {create} from '@bufbuild/protobuf';
import * as ort from 'onnxruntime-node';

import {serialize} from '../../backend/cpu/rewrite/serialize.js';
import type {Tensor} from '../../engine/tensor.js';
import {OptionError, throwIfAborted} from '../../errors.js';
import {float16ToFloat32} from '../../import/numeric/float16.js';
import {DataType} from '../../onnx/data_type.js';
import {GraphBuilder} from '../../onnx/graph_builder.js';
import {Model} from '../../onnx/model.js';
import {GraphProtoSchema, ModelProtoSchema, TensorProtoSchema} from '../../onnx/onnx_pb.js';
import {floatTensor} from '../../onnxruntime/float_tensor.js';
import {createSession} from '../../onnxruntime/session.js';
import type {OnProgress} from '../../progress.js';

export type Batch = Readonly<Record<string, Tensor>>;

/** Of a value, channel by channel: an element of its last dimension each. */
export interface ActivationRange {
  /** Largest magnitudes. */
  maxima: Float32Array;
  /** Means of the squares. */
  squares: Float32Array;
}

export interface RangeOptions {
  batches: Iterable<Batch> | AsyncIterable<Batch>;
  threads: number;
  signal?: AbortSignal | undefined;
  onProgress?: OnProgress | undefined;
}

/**
 * Values by name with the size of their last dimension; of floats. Throws
 * OptionError where there is no batch, and what ONNX Runtime does for one that the model does not take.
 */
export async function activationRanges(
  model: Model,
  values: ReadonlyMap<string, number>,
  {batches, threads, signal, onProgress}: RangeOptions,
): Promise<Map<string, ActivationRange>> {
  const session = await createSession({
    path: model.path ?? 'model.onnx',
    bytes: await serialize(withOutputs(model, [...values.keys()])),
    proto: model.proto,
    threads,
  });
  const seen = new Map([...values].map(([name, size]) => [name, {maxima: new Float32Array(size), sums: new Float64Array(size), rows: 0}]));
  try {
    let done = 0;
    for await (const batch of batches) {
      throwIfAborted(signal);
      const feeds = Object.fromEntries(Object.entries(batch).map(([name, tensor]) => [name, ortTensor(tensor)]));
      const results = await session.run(feeds);
      for (const [name, range] of seen) add(range, floatsOf(results[name] ?? feeds[name]!));
      done++;
      onProgress?.({phase: 'calibrate', done, unit: 'batches'});
    }
    if (done === 0) throw new OptionError('batches', 'at least one batch', batches);
  } finally {
    await session.release();
  }
  return new Map([...seen].map(([name, {maxima, sums, rows}]) => [name, {maxima, squares: Float32Array.from(sums, (sum) => sum / rows)}]));
}

/** A copy of the graph: serializing puts bytes into its tensors. */
function withOutputs(model: Model, names: readonly string[]): Model {
  const stored = model.graph.initializer;
  const initializer = stored.map((tensor) => Object.assign(create(TensorProtoSchema), tensor));
  const graph = Object.assign(create(GraphProtoSchema), model.graph, {initializer, output: [...model.graph.output]});
  const copy = new Model(Object.assign(create(ModelProtoSchema), model.proto, {graph}), model.path, model.fileBytes);
  for (const [at, tensor] of stored.entries()) copy.setSource(initializer[at]!, model.source(tensor));
  const known = new Set([...graph.output, ...graph.input].map(({name}) => name));
  const builder = GraphBuilder.extend(copy);
  for (const name of names) if (!known.has(name)) builder.output(name, DataType.UNDEFINED, []);
  // Types are inferred.
  for (const each of graph.output) if (!known.has(each.name)) each.type = undefined;
  return copy;
}

function ortTensor({type, dims, data}: Tensor): ort.Tensor {
  if (type === 'float16') return floatTensor(new Uint16Array(data.buffer, data.byteOffset, data.length), dims);
  return new ort.Tensor(type as ort.Tensor.Type, data as ort.Tensor['data'] & Float32Array, dims);
}

function floatsOf({type, data}: ort.Tensor): Float32Array {
  if (type !== 'float16') return data as Float32Array;
  const {buffer, byteOffset, length} = data as unknown as Uint16Array;
  return float16ToFloat32(new Uint16Array(buffer, byteOffset, length));
}

function add(range: {maxima: Float32Array; sums: Float64Array; rows: number}, values: Float32Array): void {
  const {maxima, sums} = range;
  const {length} = maxima;
  for (let start = 0; start < values.length; start += length) {
    for (let at = 0; at < length; at++) {
      const value = values[start + at]!;
      maxima[at] = Math.max(maxima[at]!, Math.abs(value));
      sums[at]! += value * value;
    }
  }
  range.rows += values.length / length;
}
