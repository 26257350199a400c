/** How the matrices that share an input are rounded, when it is known what they are given. */

import type {Format, QuantizedRows, Running} from '../native.js';
import type {Weight} from '../weights.js';
import type {Hessian} from './hessian.js';

/** A matrix and what it shall be. */
export interface Layer {
  weight: Weight;
  format: Format;
  /** [outer, inner]; becomes what the codes stand for. */
  values: Float32Array<ArrayBuffer>;
}

export interface SolverContext {
  running: Running;
  /** For errors. */
  path: string;
}

/** Rounds all of `layers`, which share one input. */
export interface LayerSolver {
  solve(layers: readonly Layer[], hessian: Hessian, context: SolverContext): Promise<QuantizedRows[]>;
}
