/** Values side by side in one: without an operator where they are, or come from products that can be merged. */

import type {OperatorOf, RowsGraph, Value, Weight} from '../rows_graph.js';
import {inlineRows} from '../weight_ref.js';

/** One value that holds `values` one after another. */
export function joinValues(graph: RowsGraph, values: readonly Value[]): Value {
  return (
    whole(graph, values) ??
    mergedProducts(graph, values) ??
    aroundHeadNorms(graph, values) ??
    graph.add({op: 'Concat', width: widthOf(graph, values), values})
  );
}

function widthOf(graph: RowsGraph, values: readonly Value[]): number {
  return values.reduce((sum, value) => sum + graph.get(value).width, 0);
}

/** The value that these are all the slices of, in order. */
function whole(graph: RowsGraph, values: readonly Value[]): Value | undefined {
  const of = graph.as(values[0]!, 'Slice')?.x;
  let end = 0;
  for (const value of values) {
    const slice = graph.as(value, 'Slice');
    if (slice === undefined || slice.x !== of || slice.from !== end) return undefined;
    end += slice.width;
  }
  return of !== undefined && end === graph.get(of).width ? of : undefined;
}

/** One product for several of the same rows: one pass over them, one kernel. */
function mergedProducts(graph: RowsGraph, values: readonly Value[]): Value | undefined {
  const products = values.map((value) => graph.as(value, 'Linear'));
  if (!products.every((product) => product !== undefined && product.x === products[0]!.x)) return undefined;
  const linears = products as OperatorOf<'Linear'>[];
  const {x} = linears[0]!;
  const weight = stacked(linears.map((product) => product.weight));
  const bias = linears.some((product) => product.bias) ? stacked(linears.map(biasOf)) : undefined;
  return graph.add({op: 'Linear', width: weight.outer, x, weight, ...(bias ? {bias} : {})});
}

function biasOf({bias, width}: OperatorOf<'Linear'>): Weight {
  return bias ?? {outer: width, inner: 0, rows: [inlineRows(width, 1, 'float16', new Uint8Array(2 * width))]};
}

function stacked(weights: readonly Weight[]): Weight {
  return {
    outer: weights.reduce((sum, {outer}) => sum + outer, 0),
    inner: weights[0]!.inner,
    rows: weights.flatMap(({rows}) => rows),
  };
}

/** Norms of heads between products and attention: the products are merged before them. */
function aroundHeadNorms(graph: RowsGraph, values: readonly Value[]): Value | undefined {
  const norms = values.map((value) => graph.as(value, 'HeadNorm'));
  if (norms.every((norm) => norm === undefined)) return undefined;
  const inner = values.map((value, at) => norms[at]?.x ?? value);
  const joined = whole(graph, inner) ?? mergedProducts(graph, inner);
  if (joined === undefined) return undefined;
  let from = 0;
  const parts = inner.map((value, at) => {
    const {width} = graph.get(value);
    const slice = graph.add({op: 'Slice', width, x: joined, from});
    from += width;
    const norm = norms[at];
    return norm ? graph.add({...norm, x: slice}) : slice;
  });
  return graph.add({op: 'Concat', width: from, values: parts});
}
