/** The vectors that a norm's result is proportional to: what its columns are scaled by is taken off there. */

import {DataType} from '../onnx/data_type.js';
import type {GraphIndex} from '../onnx/graph.js';
import type {NodeProto, TensorProto} from '../onnx/onnx_pb.js';

/** Inputs of norms that are such vectors. */
const NORMS: Readonly<Record<string, readonly number[]>> = {
  LayerNormalization: [1, 2],
  SimplifiedLayerNormalization: [1],
  RMSNormalization: [1],
  SkipLayerNormalization: [2, 3],
  SkipSimplifiedLayerNormalization: [2],
};

/** Undefined unless `value` is a norm's, whose vectors are its own, and every node that takes it passes `takes`. */
export function normVectors(index: GraphIndex, value: string, takes: (node: NodeProto) => boolean): TensorProto[] | undefined {
  const takers = index.consumers.get(value) ?? [];
  if (index.isOutput(value) || !takers.every(takes)) return undefined;
  const norm = index.producers.get(value);
  if (norm === undefined || norm.output[0] !== value) return undefined;
  const places = NORMS[norm.opType];
  if (places !== undefined) return vectorsOf(index, norm, places);
  return spelledOut(index, norm);
}

/** x * scale + offset, as norms end that are written out. */
function spelledOut(index: GraphIndex, last: NodeProto): TensorProto[] | undefined {
  if (last.opType === 'Mul') return oneVector(index, last)?.vectors;
  if (last.opType !== 'Add') return undefined;
  const added = oneVector(index, last);
  const product = added && index.producers.get(added.other);
  if (product?.opType !== 'Mul' || index.consumers.get(added!.other)!.length > 1) return undefined;
  const scaled = oneVector(index, product);
  return scaled && [...scaled.vectors, ...added!.vectors];
}

function oneVector(index: GraphIndex, node: NodeProto): {vectors: TensorProto[]; other: string} | undefined {
  for (const place of [0, 1]) {
    const vectors = vectorsOf(index, node, [place]);
    if (vectors !== undefined) return {vectors, other: node.input[1 - place]!};
  }
  return undefined;
}

/** Undefined unless each that is there is a vector of the norm's own. */
function vectorsOf(index: GraphIndex, node: NodeProto, places: readonly number[]): TensorProto[] | undefined {
  const names = places.flatMap((place) => (node.input[place] ? [node.input[place]] : []));
  const tensors = names.map((name) => index.initializers.get(name));
  const own = tensors.every(
    (tensor) =>
      tensor?.dims.length === 1 &&
      index.consumers.get(tensor.name)!.length === 1 &&
      (tensor.dataType === DataType.FLOAT || tensor.dataType === DataType.FLOAT16),
  );
  return own && tensors.length > 0 ? (tensors as TensorProto[]) : undefined;
}
