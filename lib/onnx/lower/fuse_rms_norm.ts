/** RMSNorm written in plain operators as one: x / sqrt(mean(x^2) + epsilon) * weight (Zhang and Sennrich 2019). */

import {intAttribute} from '../graph.js';
import {float, int} from '../graph_builder.js';
import type {Model} from '../model.js';
import type {NodeProto} from '../onnx_pb.js';
import {Matcher} from './matcher.js';
import {type Replacement, replaceNodes} from './replace_nodes.js';

/** Each becomes SimplifiedLayerNormalization. Changes `model`; returns how many there were. */
export function fuseRmsNorm(model: Model): number {
  const matcher = new Matcher(model);
  return replaceNodes(
    model,
    model.graph.node.flatMap((node) => match(matcher, node) ?? []),
  );
}

function match(matcher: Matcher, last: NodeProto): Replacement | undefined {
  if (last.opType !== 'Mul' || last.domain !== '') return undefined;
  for (const [weight, normed] of matcher.orders(last)) {
    if (!matcher.isConstant(weight) || matcher.scalar(weight) !== undefined) continue;
    const found = normalized(matcher, matcher.behindCasts(normed));
    if (found === undefined) continue;
    // With a cast on both sides the operator's own float32 inside does for them.
    const x = matcher.behindCasts(normed) === normed ? found.x : matcher.behindCasts(found.x);
    const output = last.output[0]!;
    return {
      last: [last],
      build: (builder) =>
        builder.op('SimplifiedLayerNormalization', [x, weight], {
          name: last.name || 'RmsNorm',
          output,
          attributes: {epsilon: float(found.epsilon), axis: int(-1), stash_type: int(1)},
        }),
    };
  }
  return undefined;
}

/** What is divided by its own root mean square. */
function normalized(matcher: Matcher, name: string): {x: string; epsilon: number} | undefined {
  const quotient = matcher.producer(name, 'Div');
  if (quotient) return rooted(matcher, quotient.input[0]!, quotient.input[1]!);
  const product = matcher.producer(name, 'Mul');
  for (const [x, inverse] of product ? matcher.orders(product) : []) {
    const reciprocal = matcher.producer(inverse, 'Reciprocal');
    const divided = matcher.producer(inverse, 'Div');
    const root = reciprocal?.input[0] ?? (matcher.scalar(divided?.input[0]) === 1 ? divided?.input[1] : undefined);
    const found = root && rooted(matcher, x, root);
    if (found) return found;
    // x * (mean + epsilon) ^ -0.5
    const power = matcher.producer(inverse, 'Pow');
    const shifted = matcher.scalar(power?.input[1]) === -0.5 && meanSquare(matcher, x, power!.input[0]!);
    if (shifted) return shifted;
  }
  return undefined;
}

function rooted(matcher: Matcher, x: string, root: string): {x: string; epsilon: number} | undefined {
  const squareRoot = matcher.producer(root, 'Sqrt');
  return squareRoot && meanSquare(matcher, x, squareRoot.input[0]!);
}

function meanSquare(matcher: Matcher, x: string, name: string): {x: string; epsilon: number} | undefined {
  const shifted = matcher.producer(name, 'Add');
  for (const [mean, number] of shifted ? matcher.orders(shifted) : []) {
    const epsilon = matcher.scalar(number);
    const reduced = matcher.producer(mean, 'ReduceMean');
    if (epsilon === undefined || reduced === undefined || String(matcher.axes(reduced)) !== '-1') continue;
    if (intAttribute(reduced, 'keepdims', 1) !== 1) continue;
    const square = matcher.producer(reduced.input[0], 'Pow', 'Mul');
    if (square === undefined || square.input[0] !== x) continue;
    if (square.opType === 'Pow' ? matcher.scalar(square.input[1]) === 2 : square.input[1] === x) return {x, epsilon};
  }
  return undefined;
}
