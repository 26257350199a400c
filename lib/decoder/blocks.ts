/** Cuts a decoder into prologue, blocks and epilogue, where the hidden rows are all that goes on. */

import {UnsupportedError} from '../errors.js';
import {inputsOf, needed, type Operator, type RowsGraph, type Value} from './rows_graph.js';

export interface Section {
  readonly kind: 'prologue' | 'block' | 'epilogue';
  /** The hidden rows it takes; undefined for the prologue, which takes tokens. */
  readonly input: Value | undefined;
  /** The values it makes, in order; the last is its result. */
  readonly values: readonly Value[];
}

/** Throws UnsupportedError for a decoder whose blocks hand on more than one value. `label` names the model. */
export function cutIntoBlocks(graph: RowsGraph, logits: Value, label: string): Section[] {
  const order = needed(graph, logits);
  const cuts = cutPositions(graph, order);
  const attentions = order.flatMap((value, at) => (graph.get(value).op === 'Attention' ? [at] : []));
  if (attentions.length === 0) throw new UnsupportedError(`${label}: has no attention`);

  const starts = attentions.map((attention) => cuts.filter((cut) => cut < attention).at(-1));
  // The last block ends with its residual sum; what follows are the last norm and the head.
  const end = cuts.filter((cut) => cut > attentions.at(-1)! && graph.get(order[cut]!).op === 'Add').at(-1);
  const bounds = [...starts, end];
  for (const [layer, bound] of bounds.entries()) {
    const before = attentions[layer - 1] ?? -1;
    if (bound === undefined || bound <= before) {
      throw new UnsupportedError(`${label}: around layer ${Math.min(layer, attentions.length - 1)} more than the hidden rows goes on`);
    }
  }
  const section = (kind: Section['kind'], from: number, to: number): Section => ({
    kind,
    input: from < 0 ? undefined : order[from]!,
    values: order.slice(from + 1, to + 1),
  });
  const at = bounds as number[];
  return [
    section('prologue', -1, at[0]!),
    ...attentions.map((_, layer) => section('block', at[layer]!, at[layer + 1]!)),
    section('epilogue', at.at(-1)!, order.length - 1),
  ];
}

/** Positions in `order` after which only the value made there is still taken. */
function cutPositions(graph: RowsGraph, order: readonly Value[]): number[] {
  const lastUse = new Map<Value, number>();
  for (const [at, value] of order.entries()) for (const input of inputsOf(graph.get(value))) lastUse.set(input, at);
  const cuts: number[] = [];
  let open = 0;
  // The position at which the values met so far are all used.
  for (const [at, value] of order.entries()) {
    if (open <= at) cuts.push(at);
    open = Math.max(open, lastUse.get(value) ?? at);
  }
  return cuts;
}

/** Equal for sections that differ in the contents of their weights alone. */
export function signature(graph: RowsGraph, {kind, input, values}: Section): string {
  const places = new Map<Value | undefined, number>(values.map((value, at) => [value, at]));
  places.set(input, -1);
  const describe = (operator: Operator): unknown => {
    const inputs = inputsOf(operator).map((value) => places.get(value));
    const shared = {op: operator.op, width: operator.width, inputs};
    switch (operator.op) {
      case 'Embed':
        return {...shared, rows: operator.table.outer};
      case 'Linear':
        return {...shared, bias: operator.bias !== undefined};
      case 'RmsNorm':
      case 'HeadNorm':
        return {...shared, size: operator.weight.outer, epsilon: operator.epsilon};
      case 'Activation':
      case 'GatedActivation':
        return {...shared, activation: operator.activation};
      case 'Attention':
        return {...shared, shape: operator.shape, positions: operator.rotary?.cos.outer};
      case 'Scale':
        return {...shared, factor: operator.factor};
      case 'Softcap':
        return {...shared, cap: operator.cap};
      case 'Slice':
        return {...shared, from: operator.from};
      default:
        return shared;
    }
  };
  return JSON.stringify([kind, input === undefined ? 0 : graph.get(input).width, values.map((value) => describe(graph.get(value)))]);
}
