/** Replaces each If whose condition is a constant by the branch it takes, and drops what no node needs any more. */

import {topologicalOrder} from '../check.js';
import {graphAttribute} from '../graph.js';
import {GraphBuilder, uniqueName} from '../graph_builder.js';
import type {Model} from '../model.js';
import {subgraphs} from '../model.js';
import type {GraphProto, NodeProto} from '../onnx_pb.js';
import {constantValues} from './constant_values.js';
import {removeUnused} from './remove_unused.js';

/**
 * For builders that want one straight graph, after `fixInput` has decided what the conditions ask. Changes `model`, in
 * its main graph. Returns how many Ifs were replaced.
 */
export async function inlineConstantIfs(model: Model): Promise<number> {
  const {graph} = model;
  let replaced = 0;
  for (;;) {
    const known = await constantValues(model, graph);
    const node = graph.node.find((each) => each.opType === 'If' && each.domain === '' && known.get(each.input[0]!)?.length === 1);
    if (node === undefined) break;
    const branch = graphAttribute(node, known.get(node.input[0]!)![0] === 0n ? 'else_branch' : 'then_branch');
    if (branch === undefined) break;
    inline(model, node, branch);
    replaced++;
  }
  if (replaced > 0) {
    graph.node = topologicalOrder(graph, model.label);
    removeUnused(graph);
  }
  return replaced;
}

/** Puts the branch's nodes in the place of the If that holds it. */
function inline(model: Model, node: NodeProto, branch: GraphProto): void {
  const {graph} = model;
  const at = graph.node.indexOf(node);
  // So that the If's own names are free for the values that take them over, and those of its branches for these.
  graph.node.splice(at, 1);
  const builder = GraphBuilder.extend(model);

  const names = new Map<string, string>();
  const made = new Set([...branch.initializer.map(({name}) => name), ...branch.node.flatMap(({output}) => output)]);
  made.delete('');
  for (const name of made) names.set(name, builder.uniqueName(name));
  rename(branch, names);
  const taken = new Set(graph.node.map(({name}) => name));
  for (const inner of branch.node) {
    // Names of nodes may be left out, and are told apart only where they are not.
    if (inner.name !== '') inner.name = uniqueName(inner.name, taken);
  }
  graph.initializer.push(...branch.initializer);
  graph.node.splice(at, 0, ...branch.node);
  // A branch may give on a value from outside it, so each output is a node of its own; builders drop Identity.
  for (const [index, output] of node.output.entries()) {
    if (output !== '') GraphBuilder.extend(model).op('Identity', [branch.output[index]!.name], {output, name: node.name || 'If'});
  }
}

/** In the graph and in those inside it, which may take its values. */
function rename(graph: GraphProto, names: ReadonlyMap<string, string>): void {
  const renamed = (name: string): string => names.get(name) ?? name;
  for (const tensor of graph.initializer) tensor.name = renamed(tensor.name);
  for (const output of graph.output) output.name = renamed(output.name);
  for (const node of graph.node) {
    node.input = node.input.map(renamed);
    node.output = node.output.map(renamed);
    for (const attribute of node.attribute) for (const inner of subgraphs(attribute)) rename(inner, names);
  }
}
