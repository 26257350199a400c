/** Takes com.microsoft SkipSimplifiedLayerNormalization apart into the sum and the norm of it. */

import {topologicalOrder} from '../check.js';
import {floatAttribute} from '../graph.js';
import {float, GraphBuilder, int} from '../graph_builder.js';
import type {Model} from '../model.js';

/** One form for all residual sums, whoever wrote them. Changes `model`. */
export function splitSkipNorm(model: Model): void {
  const {graph} = model;
  const nodes = graph.node.filter(({opType, domain}) => opType === 'SkipSimplifiedLayerNormalization' && domain === 'com.microsoft');
  if (nodes.length === 0) return;
  graph.node = graph.node.filter((node) => !nodes.includes(node));
  const builder = GraphBuilder.extend(model);
  for (const node of nodes) {
    const [x, skip, weight, bias] = node.input as [string, string, string, string | undefined];
    const [normed, , , sum] = node.output as [string, string, string, string | undefined];
    // The bias belongs to the product before.
    const input = bias ? builder.op('Add', [x, bias], {name: `${node.name}/bias`}) : x;
    const added = builder.op('Add', [skip, input], {name: `${node.name}/sum`, ...(sum ? {output: sum} : {})});
    builder.op('SimplifiedLayerNormalization', [added, weight], {
      name: `${node.name}/norm`,
      output: normed,
      attributes: {epsilon: float(floatAttribute(node, 'epsilon', 1e-5)), axis: int(-1), stash_type: int(1)},
    });
  }
  graph.node = topologicalOrder(graph, model.label);
}
