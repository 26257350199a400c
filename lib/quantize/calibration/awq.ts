/** AWQ: columns that large activations multiply are scaled up before they are rounded, and the norm before them is scaled down. */

import type {Model} from '../../onnx/model.js';
import {type QuantizedRows, quantizeAddon, type Running} from '../native.js';
import {Norms} from '../norms.js';
import {roundSlice} from '../quantized_matrix.js';
import {bytesOf} from '../weight_reader.js';
import {type Hessian, HostHessian} from './hessian.js';
import type {Layer, LayerSolver} from './layer_solver.js';

/** Powers of the activations' size that are tried, as many steps from none to all of it. */
const STEPS = 20;
/** Rows of a matrix that candidates are tried on, about as many of each. */
const ROWS_TRIED = 512;

/** `model` is the one that is written: norms of it are changed. `rounding` rounds what was scaled. */
export function awqSolver(model: Model, rounding: LayerSolver = importanceSolver): LayerSolver {
  const norms = new Norms(model);
  return {
    async solve(layers, hessian, context) {
      const norm = norms.before(layers.map(({weight}) => weight.name));
      const factors = norm && (await bestFactors(layers, hessian, context.running));
      if (!norm || !factors) return rounding.solve(layers, hessian, context);
      await norms.divide(norm, factors);
      const scale = async (by: Float32Array) => {
        for (const {values} of layers) await quantizeAddon().scaleColumns({...context.running, values, factors: by});
      };
      const inverse = factors.map((each) => 1 / each);
      await scale(factors);
      using scaled = await HostHessian.scaled(hessian, inverse, context.running);
      const results = await rounding.solve(layers, scaled, context);
      // What the norm makes of them: so other layers and the next see the same.
      await scale(inverse);
      return results;
    },
  };
}

/** Rounds each block on its own, with errors weighed by the activations that they are multiplied by. */
const importanceSolver: LayerSolver = {
  async solve(layers, sums, {running, path}) {
    const {size} = sums;
    const hessian = await sums.read();
    const importance = Float32Array.from({length: size}, (_, at) => hessian[at * (size + 1)]!);
    const results: QuantizedRows[] = [];
    for (const {weight, format, values} of layers) {
      const {outer, inner} = weight.reader;
      const dense = {data: bytesOf(values), type: 'float32' as const, outer, inner, transposed: false};
      const rows = await roundSlice(dense, {format, running, path, tensor: weight.name}, importance);
      await quantizeAddon().readQuantizedRows({...running, ...rows, format, outer, inner, values});
      results.push(rows);
    }
    return results;
  },
};

/** Undefined where none is better than to leave columns as they are. */
async function bestFactors(layers: readonly Layer[], sums: Hessian, running: Running): Promise<Float32Array | undefined> {
  const {size, count} = sums;
  const hessian = await sums.read();
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
