/** Puts one node in the place of several: what they made that nobody takes any more goes too. */

import {topologicalOrder} from '../check.js';
import {GraphBuilder} from '../graph_builder.js';
import type {Model} from '../model.js';
import type {NodeProto} from '../onnx_pb.js';
import {removeUnused} from './remove_unused.js';

export interface Replacement {
  /** The nodes whose outputs are made anew. */
  last: readonly NodeProto[];
  /** Adds what makes them, under the names they had when this was made. */
  build(builder: GraphBuilder): void;
}

/** Changes `model`; returns how many there were. */
export function replaceNodes(model: Model, replacements: readonly Replacement[]): number {
  if (replacements.length === 0) return 0;
  const {graph} = model;
  const replaced = new Set(replacements.flatMap(({last}) => last));
  // While they are there, so that no new node gets the name of one of them and calls its output as theirs.
  const builder = GraphBuilder.extend(model);
  for (const node of replaced)
    for (const output of node.output) if (output !== '') builder.renameOutput(node, output, `${output}/replaced`);
  graph.node = graph.node.filter((node) => !replaced.has(node));
  for (const {build} of replacements) build(builder);
  graph.node = topologicalOrder(graph, model.label);
  removeUnused(graph);
  return replacements.length;
}
