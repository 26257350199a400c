/**
 * SmoothQuant (Xiao et al. 2022): channels of an activation that are far larger than others leave the others few of 256 steps.
 * They are divided by factors that the weights are multiplied with, which changes nothing but what is rounded:
 *   X W = (X / s) (s W),   s_j = max|X_j|^a / max|W_j|^(1 - a)
 * The division is that of the norm's own vectors.
 */

import {DataType} from '../../onnx/data_type.js';
import {GraphIndex} from '../../onnx/graph.js';
import type {Model} from '../../onnx/model.js';
import type {NodeProto, TensorProto} from '../../onnx/onnx_pb.js';
import {readFloats, writeFloats} from './float_tensor.js';
import type {Product} from './products.js';

/** Where a norm has the vectors that its result is proportional to. */
const NORMS: Readonly<Record<string, readonly number[]>> = {
  LayerNormalization: [1, 2],
  SimplifiedLayerNormalization: [1],
  RMSNormalization: [1],
  SkipLayerNormalization: [2, 3],
  SkipSimplifiedLayerNormalization: [2],
};

/**
 * Of all products that multiply `input`. Divides `maxima`, of the input, by the factors too. Returns whether it was done: it is
 * not where no norm makes the input, or others take it.
 */
export async function smooth(
  model: Model,
  input: string,
  products: readonly Product[],
  maxima: Float32Array,
  strength: number,
): Promise<boolean> {
  const vectors = normVectors(new GraphIndex(model.graph), input, products);
  if (vectors === undefined || vectors.some(({dims}) => Number(dims[0]) !== maxima.length)) return false;
  const weights = await Promise.all(products.map(({weight}) => readFloats(model, weight)));
  const largest = new Float32Array(maxima.length);
  for (const [at, product] of products.entries()) {
    eachWeight(product, (element, channel) => {
      largest[channel] = Math.max(largest[channel]!, Math.abs(weights[at]![element]!));
    });
  }
  const factors = maxima.map((most, channel) => factorOf(most, largest[channel]!, strength));
  for (const [at, product] of products.entries()) {
    const values = weights[at]!;
    eachWeight(product, (element, channel) => {
      values[element] = values[element]! * factors[channel]!;
    });
    writeFloats(model, product.weight, values);
  }
  for (const vector of vectors) {
    const values = await readFloats(model, vector);
    writeFloats(
      model,
      vector,
      values.map((value, channel) => value / factors[channel]!),
    );
  }
  for (const [channel, factor] of factors.entries()) maxima[channel] = maxima[channel]! / factor;
  return true;
}

/** 1 for a channel that is never used. */
function factorOf(activation: number, weight: number, strength: number): number {
  if (activation === 0 || weight === 0) return 1;
  // Halves hold no factor beyond these.
  return Math.min(1e4, Math.max(1e-4, activation ** strength / weight ** (1 - strength)));
}

function eachWeight({columns, inner, outer}: Product, take: (element: number, channel: number) => void): void {
  for (let element = 0; element < inner * outer; element++) take(element, columns ? Math.floor(element / outer) : element % inner);
}

/** Undefined where there is no norm whose result these products alone take. */
function normVectors(index: GraphIndex, value: string, products: readonly Product[]): TensorProto[] | undefined {
  const takers = index.consumers.get(value) ?? [];
  if (index.isOutput(value) || takers.some((taker) => !products.some(({node}) => node === taker))) return undefined;
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
