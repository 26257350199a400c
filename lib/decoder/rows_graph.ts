/**
 * A decoder as operators on rows: one row a token, whatever sequence it is of. Batch, masks and lengths are gone; what
 * is left are the operators that the runtime has, with their weights as references.
 */

import type {WeightRows} from './weight_ref.js';

/** A value: the index of the operator that makes it. */
export type Value = number;

export interface Weight {
  /** [outer, inner]; inner is 0 for a vector. */
  readonly outer: number;
  readonly inner: number;
  readonly rows: readonly WeightRows[];
}

export interface RotaryTables {
  readonly cos: Weight;
  readonly sin: Weight;
  readonly interleaved: boolean;
}

export type ActivationName = 'silu' | 'gelu_tanh' | 'gelu_erf';

export interface AttentionShape {
  readonly heads: number;
  readonly kvHeads: number;
  readonly headSize: number;
  readonly rotarySize: number;
  readonly interleaved: boolean;
  /** Tokens seen, the row's own included; 0 is all. */
  readonly window: number;
  readonly scale: number;
  /** 0 is off. */
  readonly softcap: number;
}

/** What makes a value of `width` elements a row. Operators take values made before them. */
export type Operator = {readonly width: number} & (
  | {readonly op: 'Embed'; readonly table: Weight}
  | {readonly op: 'RmsNorm'; readonly x: Value; readonly weight: Weight; readonly epsilon: number}
  /** RmsNorm of each `weight.outer` elements on their own. */
  | {readonly op: 'HeadNorm'; readonly x: Value; readonly weight: Weight; readonly epsilon: number}
  | {readonly op: 'Linear'; readonly x: Value; readonly weight: Weight; readonly bias?: Weight}
  | {readonly op: 'Activation'; readonly x: Value; readonly activation: ActivationName}
  | {readonly op: 'GatedActivation'; readonly gateUp: Value; readonly activation: ActivationName}
  | {readonly op: 'Attention'; readonly qkv: Value; readonly layer: number; readonly shape: AttentionShape; readonly rotary?: RotaryTables}
  | {readonly op: 'Add'; readonly a: Value; readonly b: Value}
  | {readonly op: 'Scale'; readonly x: Value; readonly factor: number}
  | {readonly op: 'Softcap'; readonly x: Value; readonly cap: number}
  | {readonly op: 'Slice'; readonly x: Value; readonly from: number}
  | {readonly op: 'Concat'; readonly values: readonly Value[]}
);

export type OperatorName = Operator['op'];
export type OperatorOf<Name extends OperatorName> = Extract<Operator, {op: Name}>;

export class RowsGraph {
  readonly operators: Operator[] = [];

  add(operator: Operator): Value {
    return this.operators.push(operator) - 1;
  }

  get(value: Value): Operator {
    return this.operators[value]!;
  }

  /** The operator, if it is the one named. */
  as<Name extends OperatorName>(value: Value, name: Name): OperatorOf<Name> | undefined {
    const operator = this.get(value);
    return operator.op === name ? (operator as OperatorOf<Name>) : undefined;
  }
}

export function inputsOf(operator: Operator): readonly Value[] {
  switch (operator.op) {
    case 'Embed':
      return [];
    case 'GatedActivation':
      return [operator.gateUp];
    case 'Attention':
      return [operator.qkv];
    case 'Add':
      return [operator.a, operator.b];
    case 'Concat':
      return operator.values;
    default:
      return [operator.x];
  }
}

/** The values that `result` depends on, itself included, in order. */
export function needed(graph: RowsGraph, result: Value): Value[] {
  const found = new Set([result]);
  // Takers come after what they take.
  for (let value = result; value >= 0; value--) if (found.has(value)) for (const input of inputsOf(graph.get(value))) found.add(input);
  return [...found].sort((a, b) => a - b);
}
