/** A language model's graph in sections that are run one after another: what comes before the first layer, each layer, the end. */

import {UnsupportedError} from '../../errors.js';
import {topologicalOrder} from '../../onnx/check.js';
import {namesIn} from '../../onnx/graph.js';
import type {Model} from '../../onnx/model.js';
import type {NodeProto} from '../../onnx/onnx_pb.js';

export interface Section {
  /** 'prologue', 'layer 0', …, 'epilogue'. */
  name: string;
  /** The hidden rows it takes; undefined for the first, which takes tokens. */
  input: string | undefined;
  /** The hidden rows it makes; undefined for the last. */
  output: string | undefined;
  nodes: ReadonlySet<NodeProto>;
}

export interface SectionedGraph {
  sections: readonly Section[];
  /** Whether a value depends on what the tokens are, not on how many alone. */
  depends(value: string): boolean;
}

/**
 * Cuts where a single value that depends on the tokens goes on, the last such place before each layer's attention, which is
 * where a layer's past comes in. Throws UnsupportedError where there is no such place.
 */
export function cutIntoSections(model: Model): SectionedGraph {
  const {graph, label} = model;
  const order = topologicalOrder(graph, label);
  const dependent = dependentValues(order);
  const attentions = attentionsOf(order, dependent);
  if (attentions.length === 0) throw new UnsupportedError(`${label}: has no attention with a past`);

  const cuts = singleValues(order, dependent);
  const bounds = attentions.map((attention, layer) => {
    const cut = cuts.filter(({at}) => at < attention && at > (attentions[layer - 1] ?? -1)).at(-1);
    if (cut === undefined) throw new UnsupportedError(`${label}: before layer ${layer} more than the hidden rows goes on`);
    return cut;
  });
  const end = cuts.filter(({at}) => at > attentions.at(-1)! && order[at]!.opType === 'Add').at(-1);
  if (end) bounds.push(end);

  const names = ['prologue', ...attentions.map((_, layer) => `layer ${layer}`), ...(end ? ['epilogue'] : [])];
  const sections = names.map((name, at): Section => {
    const [from, to] = [bounds[at - 1], bounds[at]];
    const nodes = order.slice(from ? from.at + 1 : 0, to ? to.at + 1 : undefined);
    return {name, input: from?.value, output: to?.value, nodes: new Set(nodes)};
  });
  return {sections, depends: (value) => dependent.has(value)};
}

function dependentValues(order: readonly NodeProto[]): Set<string> {
  const dependent = new Set(['input_ids']);
  for (const node of order) {
    if (node.opType === 'Shape' || node.opType === 'Size' || ![...namesIn(node)].some((name) => dependent.has(name))) continue;
    for (const output of node.output) if (output !== '') dependent.add(output);
  }
  return dependent;
}

/** Where each layer's past is taken together with what the tokens made. */
function attentionsOf(order: readonly NodeProto[], dependent: ReadonlySet<string>): number[] {
  const found: number[] = [];
  for (const [at, node] of order.entries()) {
    if (!node.output.some((output) => dependent.has(output))) continue;
    for (const name of node.input) {
      const layer = /^past_key_values\.(\d+)\.(key|value)$/.exec(name)?.[1];
      if (layer !== undefined) found[Number(layer)] ??= at;
    }
  }
  return found;
}

interface Cut {
  at: number;
  value: string;
}

/** Places in the order after which exactly one of the values that depend on the tokens is still taken. */
function singleValues(order: readonly NodeProto[], dependent: ReadonlySet<string>): Cut[] {
  const lastUse = new Map<string, number>();
  for (const [at, node] of order.entries()) for (const name of namesIn(node)) if (dependent.has(name)) lastUse.set(name, at);
  const live = new Set<string>();
  const cuts: Cut[] = [];
  for (const [at, node] of order.entries()) {
    for (const output of node.output) if ((lastUse.get(output) ?? -1) > at) live.add(output);
    for (const name of live) if (lastUse.get(name)! <= at) live.delete(name);
    const tokens = (lastUse.get('input_ids') ?? -1) > at;
    if (live.size === 1 && !tokens) cuts.push({at, value: [...live][0]!});
  }
  return cuts;
}
