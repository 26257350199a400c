/** GPTQ of the matrices that share an input: one factorisation for all of them. */

import {UnsupportedError} from '../../errors.js';
import {crunched, type QuantizedRows, roomFor} from '../native.js';
import type {Hessian} from './hessian.js';
import type {Layer, LayerSolver} from './layer_solver.js';

export interface GptqOptions {
  damping: number;
  actOrder: boolean;
}

/** Damping is made ten times as large so often, where a Hessian is not positive definite with it. */
const ATTEMPTS = 4;

export function gptqSolver({damping, actOrder}: GptqOptions): LayerSolver {
  return {
    async solve(layers, hessian, {path}) {
      await factorize(hessian, damping, actOrder ? largestFirst(await hessian.read(), hessian.size) : undefined, layers);
      const results: QuantizedRows[] = [];
      for (const {weight, format, values} of layers) {
        const {outer, inner} = weight.reader;
        const rows = roomFor(format, outer, inner);
        await crunched(hessian.gptq({values, outer, inner, format, rows}), path, weight.name);
        results.push(rows);
      }
      return results;
    },
  };
}

async function factorize(hessian: Hessian, damping: number, order: Int32Array | undefined, layers: readonly Layer[]): Promise<void> {
  const mean = hessian.trace / hessian.size;
  for (let attempt = 0, part = damping; attempt < ATTEMPTS; attempt++, part *= 10) {
    try {
      await hessian.factorize(mean > 0 ? part * mean : 1, order);
      return;
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'ERR_NUMBERS')) throw error;
    }
  }
  throw new UnsupportedError(`${layers[0]!.weight.name}: what it is given is too alike for gptq`, 'a larger damping or another text');
}

function largestFirst(hessian: Float32Array, size: number): Int32Array {
  const columns = Array.from({length: size}, (_, at) => at);
  return Int32Array.from(columns.sort((a, b) => hessian[b * (size + 1)]! - hessian[a * (size + 1)]! || a - b));
}
