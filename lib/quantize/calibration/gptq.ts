/** GPTQ of the matrices that share an input: one factorisation for all of them. */

import {UnsupportedError} from '../../errors.js';
import {crunched, quantizeAddon, roomFor} from '../native.js';
import type {Gathered, Layer, LayerSolver, SolverContext} from './layer_solver.js';

export interface GptqOptions {
  damping: number;
  actOrder: boolean;
}

/** Damping is made ten times as large so often, where a Hessian is not positive definite with it. */
const ATTEMPTS = 4;

export function gptqSolver(options: GptqOptions): LayerSolver {
  return {
    async solve(layers, gathered, context) {
      const order = options.actOrder ? largestFirst(gathered) : undefined;
      const factor = await factorOf(order ? permuted(gathered, order) : gathered, options.damping, layers, context);
      const {running, path} = context;
      const results = [];
      for (const {weight, format, values} of layers) {
        const {outer, inner} = weight.reader;
        const rows = roomFor(format, outer, inner);
        await crunched(quantizeAddon().gptq({...running, ...rows, values, outer, inner, factor, order, format}), path, weight.name);
        results.push(rows);
      }
      return results;
    },
  };
}

async function factorOf(
  {hessian, size}: Gathered,
  damping: number,
  layers: readonly Layer[],
  {running}: SolverContext,
): Promise<Float32Array> {
  let mean = 0;
  for (let each = 0; each < size; each++) mean += hessian[each * (size + 1)]! / size;
  for (let attempt = 0, part = damping; attempt < ATTEMPTS; attempt++, part *= 10) {
    const factor = hessian.slice();
    try {
      await quantizeAddon().factorize({...running, hessian: factor, size, damping: mean > 0 ? part * mean : 1});
      return factor;
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'ERR_NUMBERS')) throw error;
    }
  }
  throw new UnsupportedError(`${layers[0]!.weight.name}: what it is given is too alike for gptq`, 'a larger damping or another text');
}

function largestFirst({hessian, size}: Gathered): Int32Array {
  const columns = Array.from({length: size}, (_, at) => at);
  return Int32Array.from(columns.sort((a, b) => hessian[b * (size + 1)]! - hessian[a * (size + 1)]! || a - b));
}

function permuted({hessian, size, count}: Gathered, order: Int32Array): Gathered {
  const result = new Float32Array(size * size);
  for (let row = 0; row < size; row++) {
    const from = order[row]! * size;
    for (let column = 0; column < size; column++) result[row * size + column] = hessian[from + order[column]!]!;
  }
  return {hessian: result, size, count};
}
