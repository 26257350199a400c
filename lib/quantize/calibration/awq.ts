/** AWQ: columns that large activations multiply are scaled up before they are rounded, and the norm before them is scaled down. */

import {float16ToFloat32, float32ToFloat16} from '../../import/numeric/float16.js';
import {DataType} from '../../onnx/data_type.js';
import {GraphIndex} from '../../onnx/graph.js';
import type {Model} from '../../onnx/model.js';
import type {TensorProto} from '../../onnx/onnx_pb.js';
import {BytesSource, readSource} from '../../onnx/tensor_source.js';
import {type QuantizedRows, quantizeAddon, type Running} from '../native.js';
import {roundSlice} from '../quantized_matrix.js';
import {bytesOf} from '../weight_reader.js';
import {findWeights, type Weight} from '../weights.js';
import type {Gathered, Layer, LayerSolver, SolverContext} from './layer_solver.js';

/** Powers of the activations' size that are tried, as many steps from none to all of it. */
const STEPS = 20;
/** Rows of a matrix that candidates are tried on, about as many of each. */
const ROWS_TRIED = 512;

/** `model` is the one that is written: norms of it are changed. */
export function awqSolver(model: Model): LayerSolver {
  const norms = new Norms(model);
  return {
    async solve(layers, gathered, context) {
      const norm = norms.before(layers.map(({weight}) => weight.name));
      const factors = norm ? await bestFactors(layers, gathered, context.running) : undefined;
      if (norm && factors) await norms.divide(norm, factors);
      const results: QuantizedRows[] = [];
      for (const layer of layers) results.push(await round(layer, gathered, factors, context));
      return results;
    },
  };
}

/** Undefined where none is better than to leave columns as they are. */
async function bestFactors(layers: readonly Layer[], gathered: Gathered, running: Running): Promise<Float32Array | undefined> {
  const {hessian, size, count} = gathered;
  const magnitude = Float64Array.from({length: size}, (_, at) => Math.sqrt(hessian[at * (size + 1)]! / count));
  let best: {error: number; factors: Float32Array | undefined} = {error: Number.POSITIVE_INFINITY, factors: undefined};
  for (let step = 0; step < STEPS; step++) {
    const factors = factorsOf(magnitude, step / STEPS);
    let error = 0;
    for (const {weight, format, values} of layers) {
      const found = new Float64Array(1);
      const stride = Math.ceil(weight.reader.outer / ROWS_TRIED);
      await quantizeAddon().scaledError({...running, values, hessian, factors, stride, format, error: found});
      error += found[0]! * stride;
    }
    if (error < best.error) best = {error, factors: step === 0 ? undefined : factors};
  }
  return best.factors;
}

/** magnitude^power, about 1 in the middle of their range. */
function factorsOf(magnitude: Float64Array, power: number): Float32Array {
  const raised = magnitude.map((each) => Math.max(each ** power, 1e-4));
  const middle = Math.sqrt(raised.reduce((a, b) => Math.max(a, b)) * raised.reduce((a, b) => Math.min(a, b)));
  return Float32Array.from(raised, (each) => each / middle);
}

/** Leaves in `values` what the matrix is once the norm before it is scaled down. */
async function round(
  {weight, format, values}: Layer,
  {hessian, size}: Gathered,
  factors: Float32Array | undefined,
  {running, path}: SolverContext,
): Promise<QuantizedRows> {
  const addon = quantizeAddon();
  const {outer, inner} = weight.reader;
  if (factors) await addon.scaleColumns({...running, values, factors});
  const importance = Float32Array.from({length: size}, (_, at) => hessian[at * (size + 1)]! / (factors?.[at] ?? 1) ** 2);
  const dense = {data: bytesOf(values), type: 'float32' as const, outer, inner, transposed: false};
  const rows = await roundSlice(dense, {format, running, path, tensor: weight.name}, importance);
  await addon.readQuantizedRows({...running, ...rows, format, outer, inner, values});
  if (factors) await addon.scaleColumns({...running, values, factors: factors.map((each) => 1 / each)});
  return rows;
}

/** Vectors that a norm multiplies by before some matrices and nothing else. */
class Norms {
  readonly #index: GraphIndex;
  readonly #weights: ReadonlyMap<string, Weight>;

  constructor(readonly model: Model) {
    this.#index = new GraphIndex(model.graph);
    this.#weights = new Map(findWeights(model).map((weight) => [weight.name, weight]));
  }

  /** The vectors (of a layer norm two), or none where others would see that they were changed. */
  before(names: readonly string[]): TensorProto[] | undefined {
    const uses = names.flatMap((name) => this.#weights.get(name)!.uses);
    const value = uses[0]!.input;
    const takers = this.#index.consumers.get(value) ?? [];
    const others = takers.some((node) => !uses.some((use) => use.node === node && use.input === value));
    const norm = this.#index.producers.get(value);
    if (others || this.#index.isOutput(value) || !norm || uses.some(({kind, input}) => kind !== 'product' || input !== value))
      return undefined;
    const at = NORMS.get(norm.opType);
    if (at === undefined || norm.output[0] !== value) return undefined;
    const vectors = at.flatMap((place) => (norm.input[place] ? [norm.input[place]] : []));
    const found = vectors.flatMap((name) => this.#vector(name) ?? []);
    return norm.opType === 'Mul' ? (found.length === 1 ? found : undefined) : found.length === vectors.length ? found : undefined;
  }

  #vector(name: string): TensorProto | undefined {
    const tensor = this.#index.initializers.get(name);
    const alone = this.#index.consumers.get(name)?.length === 1;
    return tensor?.dims.length === 1 && alone && (tensor.dataType === DataType.FLOAT || tensor.dataType === DataType.FLOAT16)
      ? tensor
      : undefined;
  }

  async divide(vectors: readonly TensorProto[], factors: Float32Array): Promise<void> {
    for (const tensor of vectors) {
      const bytes = (await readSource(this.model.source(tensor))).slice();
      const half = tensor.dataType === DataType.FLOAT16;
      const values = half ? float16ToFloat32(new Uint16Array(bytes.buffer)) : new Float32Array(bytes.buffer);
      const divided = values.map((value, at) => value / factors[at]!);
      this.model.setSource(tensor, new BytesSource(bytesOf(half ? float32ToFloat16(divided) : divided)));
    }
  }
}

/** Which inputs of an operator are its vectors; a multiplication has one on either side. */
const NORMS: ReadonlyMap<string, readonly number[]> = new Map([
  ['SimplifiedLayerNormalization', [1]],
  ['RMSNormalization', [1]],
  ['LayerNormalization', [1, 2]],
  ['SkipSimplifiedLayerNormalization', [2]],
  ['Mul', [0, 1]],
]);
