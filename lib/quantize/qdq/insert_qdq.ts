/** `insertQuantization`: products of a whole model in int8 or fp8, activations and weights. */

import {availableParallelism} from 'node:os';

import {OptionError, UnsupportedError} from '../../errors.js';
import {topologicalOrder} from '../../onnx/check.js';
import {DataType} from '../../onnx/data_type.js';
import {GraphBuilder, int} from '../../onnx/graph_builder.js';
import type {Model} from '../../onnx/model.js';
import {abortSignal, callback, integer, noOthers, number, object, oneOf} from '../../options.js';
import type {OnProgress} from '../../progress.js';
import type {Batch} from './activation_ranges.js';
import {floatBytes, readFloats} from './float_tensor.js';
import {LARGEST_E4M3, toE4m3} from './float8.js';
import {type Product, productsByInput} from './products.js';
import {smooth} from './smoothing.js';

export interface InsertQuantizationOptions {
  /** Representative inputs of the model: what is larger than all of them is cut off. A few dozen are enough. */
  batches: Iterable<Batch> | AsyncIterable<Batch>;
  /** 'int8', the default, with a scale for each row of a weight; 'fp8' (E4M3) with one for a weight. Both with one for an activation. */
  type?: 'int8' | 'fp8';
  /**
   * How much of what makes some channels larger than others goes over from activations to weights (SmoothQuant's alpha): with 1
   * all channels of an activation are as large, with 0 all of the weights. 'auto': what loses least, product by product. false:
   * none goes over. Default 'auto' for 'int8', and false for 'fp8', whose steps are relative.
   */
  smoothing?: number | 'auto' | false;
  /** Names of nodes whose products stay as they are. */
  keep?: readonly string[];
  /** Of ONNX Runtime, which runs the batches on the CPU. Default: as many as the process may use at once. */
  threads?: number;
  signal?: AbortSignal;
  /** Phase 'calibrate', in batches. */
  onProgress?: OnProgress;
}

export interface InsertedQuantization {
  /** Products that are quantised now. */
  products: number;
  /** Activations that were smoothed by a multiplication of their own, as no norm could be changed for it. */
  multiplied: number;
}

const NAMES = ['batches', 'type', 'smoothing', 'keep', 'threads', 'signal', 'onProgress'];

/**
 * Puts QuantizeLinear and DequantizeLinear around what each product with a matrix of floats multiplies, for `buildEngine` with
 * precision 'int8' or 'fp8', and ONNX Runtime. Changes `model`, once all batches have run. Rejects with OptionError;
 * UnsupportedError for a model without such products, or of an operator set before 13 (19 for 'fp8' or float16); AbortError; what
 * ONNX Runtime says of a batch.
 */
export async function insertQuantization(model: Model, options: InsertQuantizationOptions): Promise<InsertedQuantization> {
  const {type, smoothing, keep, threads, batches, signal, onProgress} = checkOptions(options);
  const groups = productsByInput(model);
  for (const name of keep) {
    if (!model.graph.node.some((node) => node.name === name)) throw new OptionError('keep', 'names of nodes that there are', name);
  }
  for (const [input, products] of groups) {
    const left = products.filter(({node}) => !keep.includes(node.name));
    if (left.length > 0) groups.set(input, left);
    else groups.delete(input);
  }
  if (groups.size === 0) throw new UnsupportedError('the model has no products with matrices of floats to quantise');
  checkOperatorSet(model, type, [...groups.values()].flat());

  const sizes = new Map([...groups].map(([input, [first]]) => [input, first!.inner]));
  // ONNX Runtime's library is loaded only where it is used.
  const {activationRanges} = await import('./activation_ranges.js');
  const ranges = await activationRanges(model, sizes, {batches, threads, signal, onProgress});
  const result: InsertedQuantization = {products: 0, multiplied: 0};
  const builder = GraphBuilder.extend(model);
  for (const [input, products] of groups) {
    const range = ranges.get(input)!;
    const smoothed = smoothing === false ? input : await smooth(model, builder, input, products, range, smoothing);
    if (smoothed !== input) result.multiplied++;
    const largest = range.maxima.reduce((a, b) => Math.max(a, b), 0);
    // Always 0: any scale will do.
    const rounded = roundedActivation(builder, smoothed, largest === 0 ? 1 : largest, type, products[0]!.weight.dataType);
    for (const product of products) {
      await roundWeight(model, builder, product, type);
      product.node.input[0] = rounded;
      result.products++;
    }
  }
  model.graph.node = topologicalOrder(model.graph, model.label);
  return result;
}

function checkOptions(options: InsertQuantizationOptions) {
  noOthers('options', object('options', options), NAMES);
  const {batches, keep = [], threads = availableParallelism(), signal, onProgress} = options;
  const type = oneOf('type', options.type ?? 'int8', ['int8', 'fp8']);
  const smoothing = options.smoothing ?? (type === 'int8' && 'auto');
  if (typeof batches !== 'object' || batches === null || !(Symbol.iterator in batches || Symbol.asyncIterator in batches))
    throw new OptionError('batches', 'an AsyncIterable or Iterable', batches);
  if (smoothing !== false && smoothing !== 'auto') number('smoothing', smoothing, {min: 0, max: 1});
  if (!Array.isArray(keep)) throw new OptionError('keep', 'a list of names', keep);
  integer('threads', threads, {min: 1, max: 1024});
  abortSignal(signal);
  if (onProgress !== undefined) callback('onProgress', onProgress);
  return {type, smoothing, keep, threads, batches, signal, onProgress};
}

function checkOperatorSet(model: Model, type: 'int8' | 'fp8', products: readonly Product[]): void {
  const version = Number(model.proto.opsetImport.find(({domain}) => domain === '' || domain === 'ai.onnx')?.version ?? 0);
  const needed = type === 'fp8' || products.some(({weight}) => weight.dataType === DataType.FLOAT16) ? 19 : 13;
  if (version >= needed) return;
  throw new UnsupportedError(`${model.label} is of ONNX's operator set ${version}, and its quantisation needs ${needed}`, 'export it anew');
}

/** Returns the value that products take instead. */
function roundedActivation(builder: GraphBuilder, input: string, largest: number, type: 'int8' | 'fp8', floats: DataType): string {
  const step = type === 'int8' ? largest / 127 : largest / LARGEST_E4M3;
  const scale = builder.initializer(`${input}/scale`, floats, [], floatBytes(floats, Float32Array.of(step)));
  const codes = type === 'int8' ? DataType.INT8 : DataType.FLOAT8E4M3FN;
  const zero = builder.initializer(`${input}/zero_point`, codes, [], Uint8Array.of(0));
  return builder.op('DequantizeLinear', [builder.op('QuantizeLinear', [input, scale, zero]), scale, zero]);
}

async function roundWeight(
  model: Model,
  builder: GraphBuilder,
  {node, weight, columns, inner, outer}: Product,
  type: 'int8' | 'fp8',
): Promise<void> {
  const values = await readFloats(model, weight);
  const rowOf = (element: number) => (columns ? element % outer : Math.floor(element / inner));
  const scales = new Float32Array(type === 'int8' ? outer : 1);
  for (const [element, value] of values.entries()) {
    const at = type === 'int8' ? rowOf(element) : 0;
    scales[at] = Math.max(scales[at]!, Math.abs(value));
  }
  const limit = type === 'int8' ? 127 : LARGEST_E4M3;
  for (const [at, largest] of scales.entries()) scales[at] = largest === 0 ? 1 : largest / limit;
  const codes = new Uint8Array(values.length);
  for (const [element, value] of values.entries()) {
    const scaled = value / scales[type === 'int8' ? rowOf(element) : 0]!;
    codes[element] = type === 'int8' ? Math.max(-127, Math.min(127, Math.round(scaled))) : toE4m3(scaled);
  }
  const dims = weight.dims.map(Number);
  const codesType = type === 'int8' ? DataType.INT8 : DataType.FLOAT8E4M3FN;
  const name = weight.name;
  const inputs = [
    builder.initializer(`${name}/codes`, codesType, dims, codes),
    builder.initializer(`${name}/scales`, weight.dataType, type === 'int8' ? [outer] : [], floatBytes(weight.dataType, scales)),
  ];
  const options = type === 'int8' ? {attributes: {axis: int(columns ? 1 : 0)}} : {};
  const dequantized = builder.op('DequantizeLinear', inputs, options);
  // It may go through a transpose first.
  for (const taker of [node, ...model.graph.node.filter(({opType}) => opType === 'Transpose')]) {
    taker.input = taker.input.map((each) => (each === name ? dequantized : each));
  }
  model.graph.initializer = model.graph.initializer.filter((each) => each !== weight);
}
