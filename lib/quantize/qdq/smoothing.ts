/**
 * SmoothQuant (Xiao et al. 2022): channels of an activation that are far larger than others leave the others few of 256 steps.
 * They are divided by factors that the weights are multiplied with, which changes nothing but what is rounded:
 *   X W = (X / s) (s W),   s_j = max|X_j|^a / max|W_j|^(1 - a)
 * The division is that of the vectors of the norm before, or where there is none, or others take its result, a multiplication by
 * 1 / s of its own.
 */

import {GraphIndex} from '../../onnx/graph.js';
import type {GraphBuilder} from '../../onnx/graph_builder.js';
import type {Model} from '../../onnx/model.js';
import type {NodeProto} from '../../onnx/onnx_pb.js';
import {normVectors} from '../norm_vectors.js';
import type {ActivationRange} from './activation_ranges.js';
import {floatBytes, readFloats, writeFloats} from './float_tensor.js';
import type {Product} from './products.js';

/** Strengths that 'auto' tries. */
const STRENGTHS = [0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9];

/**
 * Of all products that multiply `input`, whose `maxima` become what they are after that. Returns what they multiply from now on.
 * 'auto' takes the strength, or none, that loses least by `roundingError`.
 */
export async function smooth(
  model: Model,
  builder: GraphBuilder,
  input: string,
  products: readonly Product[],
  range: ActivationRange,
  strength: number | 'auto',
): Promise<string> {
  const {maxima} = range;
  const weights = await Promise.all(products.map(({weight}) => readFloats(model, weight)));
  const largest = new Float32Array(maxima.length);
  for (const [at, product] of products.entries()) {
    eachWeight(product, (element, channel) => {
      largest[channel] = Math.max(largest[channel]!, Math.abs(weights[at]![element]!));
    });
  }
  const factorsFor = (each: number) => maxima.map((most, channel) => factorOf(most, largest[channel]!, each));
  const factors = strength === 'auto' ? bestFactors(STRENGTHS.map(factorsFor), products, weights, range) : factorsFor(strength);
  if (factors === undefined) return input;
  for (const [at, product] of products.entries()) {
    const values = weights[at]!;
    eachWeight(product, (element, channel) => {
      values[element] = values[element]! * factors[channel]!;
    });
    writeFloats(model, product.weight, values);
  }
  for (const [channel, factor] of factors.entries()) maxima[channel] = maxima[channel]! / factor;

  const takes = (node: NodeProto) => products.some((product) => product.node === node);
  const vectors = normVectors(new GraphIndex(model.graph), input, takes);
  if (vectors?.every(({dims}) => Number(dims[0]) === maxima.length)) {
    for (const vector of vectors) {
      const values = await readFloats(model, vector);
      writeFloats(
        model,
        vector,
        values.map((value, channel) => value / factors[channel]!),
      );
    }
    return input;
  }
  const type = products[0]!.weight.dataType;
  const inverse = floatBytes(
    type,
    factors.map((factor) => 1 / factor),
  );
  return builder.op('Mul', [input, builder.initializer(`${input}/smoothing`, type, [maxima.length], inverse)]);
}

/** Undefined where none loses less than to leave channels as they are. */
function bestFactors(
  candidates: readonly Float32Array[],
  products: readonly Product[],
  weights: readonly Float32Array[],
  range: ActivationRange,
): Float32Array | undefined {
  const errorOf = (factors: Float32Array) =>
    products.reduce((sum, product, at) => sum + roundingError(product, weights[at]!, range, factors), 0);
  let least = errorOf(new Float32Array(range.maxima.length).fill(1));
  let best: Float32Array | undefined;
  for (const factors of candidates) {
    const error = errorOf(factors);
    if (error < least) [least, best] = [error, factors];
  }
  return best;
}

/**
 * What rounding adds to the squares of a product's results, times 12: steps d of an activation and d_o of a row of weights are off
 * by d^2 / 12 on average, independent of each other, so
 *   sum_o sum_j d^2 (s_j W_jo)^2 + d_o^2 E[X_j^2] / s_j^2
 */
function roundingError(product: Product, weights: Float32Array, {maxima, squares}: ActivationRange, factors: Float32Array): number {
  const {columns, inner, outer} = product;
  const step = maxima.reduce((most, each, channel) => Math.max(most, each / factors[channel]!), 0) / 127;
  const rows = new Float32Array(outer);
  let scaled = 0;
  eachWeight(product, (element, channel) => {
    const weight = Math.abs(weights[element]! * factors[channel]!);
    scaled += weight * weight;
    const row = columns ? element % outer : Math.floor(element / inner);
    rows[row] = Math.max(rows[row]!, weight);
  });
  const activations = squares.reduce((sum, square, channel) => sum + square / factors[channel]! ** 2, 0);
  return step ** 2 * scaled + rows.reduce((sum, most) => sum + (most / 127) ** 2, 0) * activations;
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
