/** Small integer constants and what simple nodes make of them: enough to tell which branch an If takes. */

import {DataType} from '../data_type.js';
import {intAttribute, tensorAttribute} from '../graph.js';
import type {Model} from '../model.js';
import type {GraphProto, NodeProto, TensorProto} from '../onnx_pb.js';

/** Elements in row-major order; the shape does not matter to the operators below. */
type Values = readonly bigint[];

/** Larger constants are weights. */
const MAX_ELEMENTS = 64;

/** What is known of `graph`'s values without running it, by name. */
export async function constantValues(model: Model, graph: GraphProto): Promise<ReadonlyMap<string, Values>> {
  const known = new Map<string, Values>();
  const inputs = new Set(graph.input.map(({name}) => name));
  for (const tensor of graph.initializer) {
    // Under an input's name it is a default, which a caller may change.
    const values = inputs.has(tensor.name) ? undefined : await integers(model, tensor);
    if (values) known.set(tensor.name, values);
  }
  for (const node of graph.node) {
    const output = node.output[0];
    const values = output === undefined ? undefined : await valuesOf(model, node, known);
    if (values) known.set(output!, values);
  }
  return known;
}

async function valuesOf(model: Model, node: NodeProto, known: ReadonlyMap<string, Values>): Promise<Values | undefined> {
  if (node.domain !== '') return undefined;
  if (node.opType === 'Constant') {
    const tensor = tensorAttribute(node, 'value');
    return tensor && (await integers(model, tensor));
  }
  const [a, b] = node.input.map((name) => known.get(name));
  if (a === undefined) return undefined;
  switch (node.opType) {
    case 'Identity':
    case 'Reshape':
    case 'Squeeze':
    case 'Unsqueeze':
    case 'Flatten':
      return a;
    case 'Cast':
      return cast(a, intAttribute(node, 'to', DataType.UNDEFINED));
    case 'Not':
      return a.map((value) => (value === 0n ? 1n : 0n));
    case 'Equal':
      return b && compare(a, b, (left, right) => left === right);
    case 'Less':
      return b && compare(a, b, (left, right) => left < right);
    case 'Greater':
      return b && compare(a, b, (left, right) => left > right);
    case 'Gather':
      return b && gather(a, b);
    default:
      return undefined;
  }
}

function cast(values: Values, type: number): Values | undefined {
  if (type === DataType.BOOL) return values.map((value) => (value === 0n ? 0n : 1n));
  return type === DataType.INT64 ? values : undefined;
}

function compare(a: Values, b: Values, holds: (left: bigint, right: bigint) => boolean): Values | undefined {
  // Alike in number, or one against many: anything else broadcasts by shape.
  if (a.length !== b.length && a.length !== 1 && b.length !== 1) return undefined;
  return Array.from({length: Math.max(a.length, b.length)}, (_, index) =>
    holds(a[a.length === 1 ? 0 : index]!, b[b.length === 1 ? 0 : index]!) ? 1n : 0n,
  );
}

/** From a vector; of more dimensions the shape would be needed. */
function gather(from: Values, indices: Values): Values | undefined {
  const values = indices.map((index) => from.at(Number(index)));
  return values.every((value) => value !== undefined) ? (values as bigint[]) : undefined;
}

async function integers(model: Model, tensor: TensorProto): Promise<Values | undefined> {
  if (tensor.dims.length > 1 || tensor.dims.reduce((count, dim) => count * Number(dim), 1) > MAX_ELEMENTS) return undefined;
  if (tensor.dataType !== DataType.INT64 && tensor.dataType !== DataType.INT32 && tensor.dataType !== DataType.BOOL) return undefined;
  const bytes = Uint8Array.from(await model.readTensorData(tensor)).buffer;
  if (tensor.dataType === DataType.INT64) return [...new BigInt64Array(bytes)];
  return [...(tensor.dataType === DataType.INT32 ? new Int32Array(bytes) : new Uint8Array(bytes))].map(BigInt);
}
