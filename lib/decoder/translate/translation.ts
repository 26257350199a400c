/** What the translation of one node sees: the graph it is in, and what became of the values that it takes. */

import {UnsupportedError} from '../../errors.js';
import {describe} from '../../onnx/check.js';
import type {GraphIndex} from '../../onnx/graph.js';
import {Matcher} from '../../onnx/lower/matcher.js';
import type {Model} from '../../onnx/model.js';
import type {NodeProto} from '../../onnx/onnx_pb.js';
import {type RotaryTables, RowsGraph, type Value, type Weight} from '../rows_graph.js';
import type {QuantizedRows} from '../weight_ref.js';
import {type ConstantRowsOf, Constants} from './constants.js';

/** A value of the ONNX graph that is made of rows. */
export interface Traced {
  value: Value;
  /** Where its last dimension is split in two: [.., heads, width / heads]. */
  heads?: number;
  /** Whether the heads come before the positions: [batch, heads, positions, size]. */
  headsFirst?: boolean;
  /** What its heads are still to be rotated by: attention does it. */
  rotary?: RotaryTables;
}

/** What a node makes of the rows it takes; undefined where it has said so itself. `inputs`: those of its inputs that are rows. */
export type Translator = (t: Translation, node: NodeProto, inputs: readonly (Traced | undefined)[]) => Traced | undefined;

export class Translation {
  readonly graph = new RowsGraph();
  readonly matcher: Matcher;
  readonly constants: Constants;
  readonly #traced = new Map<string, Traced>();
  #attentions = 0;

  constructor(readonly model: Model) {
    this.matcher = new Matcher(model);
    this.constants = new Constants(model, this.index);
  }

  get index(): GraphIndex {
    return this.matcher.index;
  }

  traced(name: string | undefined): Traced | undefined {
    return name ? this.#traced.get(name) : undefined;
  }

  set(name: string, traced: Traced): void {
    this.#traced.set(name, traced);
  }

  width(value: Value): number {
    return this.graph.get(value).width;
  }

  /** The layer of the attention met now: they come in order. */
  nextLayer(): number {
    return this.#attentions++;
  }

  refuse(node: NodeProto, why: string): never {
    throw new UnsupportedError(`${this.model.label}: ${describe(node)}: ${why}`);
  }

  /** A constant as a weight [outer, inner], or a vector. */
  weight(node: NodeProto, name: string): Weight {
    const found = this.constants.matrix(name, describe(node));
    return found ? this.weightOf(node, found) : this.refuse(node, `'${name}' is not a constant`);
  }

  weightOf(node: NodeProto, {rank, rows, columns, parts, across}: ConstantRowsOf): Weight {
    if (across) this.refuse(node, 'its weight has scales along the outputs of a channel, not along what is summed');
    return {outer: rows, inner: rank === 1 ? 0 : columns, rows: parts};
  }
}

export function weightOfRows(rows: QuantizedRows): Weight {
  return {outer: rows.rows, inner: rows.columns, rows: [rows]};
}

/** Plain rows: neither split into heads nor to be rotated. */
export function flat(t: Translation, node: NodeProto, traced: Traced | undefined, name: string | undefined): Value {
  if (traced === undefined) return t.refuse(node, `'${name}' does not come from the embeddings`);
  if (traced.heads !== undefined) t.refuse(node, `'${name}' is split into heads`);
  if (traced.rotary !== undefined) t.refuse(node, `'${name}' is rotated, and not for attention`);
  return traced.value;
}
