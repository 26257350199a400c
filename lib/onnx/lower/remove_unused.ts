/** Drops nodes and initializers that no output of the graph depends on. */

import {namesIn} from '../graph.js';
import type {GraphProto} from '../onnx_pb.js';

/** Inputs stay: they are the model's contract. */
export function removeUnused(graph: GraphProto): void {
  const needed = new Set(graph.output.map(({name}) => name));
  // In topological order the takers of a value come after it.
  const kept = [...graph.node].reverse().filter((node) => {
    if (!node.output.some((name) => needed.has(name))) return false;
    for (const name of namesIn(node)) needed.add(name);
    return true;
  });
  graph.node = kept.reverse();
  graph.initializer = graph.initializer.filter(({name}) => needed.has(name));
}
