/** Activations written in plain operators as one: SiLU, and GELU by erf or by tanh (Hendrycks and Gimpel 2016). */

import {float} from '../graph_builder.js';
import type {Model} from '../model.js';
import type {NodeProto} from '../onnx_pb.js';
import {Matcher} from './matcher.js';
import {type Replacement, replaceNodes} from './replace_nodes.js';

/**
 * SiLU becomes com.microsoft QuickGelu with alpha 1, GELU com.microsoft Gelu, or FastGelu for the one by tanh. Changes
 * `model`; returns how many there were.
 */
export function fuseActivation(model: Model): number {
  const matcher = new Matcher(model);
  return replaceNodes(
    model,
    model.graph.node.flatMap((node) => match(matcher, node) ?? []),
  );
}

const MICROSOFT = 'com.microsoft';

function match(matcher: Matcher, last: NodeProto): Replacement | undefined {
  if (last.domain !== '') return undefined;
  const output = last.output[0]!;
  const replaceBy = (opType: string, x: string, attributes = {}): Replacement => ({
    last: [last],
    build(builder) {
      builder.importOpset(MICROSOFT, 1);
      builder.op(opType, [x], {domain: MICROSOFT, name: last.name || opType, output, attributes});
    },
  });
  if (last.opType === 'Swish') return replaceBy('QuickGelu', last.input[0]!, {alpha: float(1)});
  if (last.opType !== 'Mul') return undefined;
  const sigmoid = silu(matcher, last);
  if (sigmoid !== undefined) return replaceBy('QuickGelu', sigmoid, {alpha: float(1)});
  const found = gelu(matcher, last);
  return found && replaceBy(found.tanh ? 'FastGelu' : 'Gelu', found.x);
}

/** x * sigmoid(x) */
function silu(matcher: Matcher, last: NodeProto): string | undefined {
  return matcher.orders(last).find(([x, sigmoid]) => matcher.producer(sigmoid, 'Sigmoid')?.input[0] === x)?.[0];
}

/** The factors of a product of products, and the product of those that are numbers. */
function factors(matcher: Matcher, node: NodeProto): {number: number; names: string[]} {
  const all = {number: 1, names: [] as string[]};
  for (const name of node.input) {
    const number = matcher.scalar(name);
    const inner = matcher.producer(name, 'Mul');
    if (number !== undefined) all.number *= number;
    else if (inner) {
      const nested = factors(matcher, inner);
      all.number *= nested.number;
      all.names.push(...nested.names);
    } else all.names.push(name);
  }
  return all;
}

/** 0.5 x (1 + erf(x / sqrt(2))), or 0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) */
function gelu(matcher: Matcher, last: NodeProto): {x: string; tanh: boolean} | undefined {
  const {number, names} = factors(matcher, last);
  if (Math.abs(number - 0.5) > 1e-3 || names.length !== 2) return undefined;
  for (const [x, shifted] of [names, [...names].reverse()] as [string, string][]) {
    const sum = matcher.producer(shifted, 'Add');
    const curve = sum && matcher.orders(sum).find(([one]) => matcher.scalar(one) === 1)?.[1];
    const erf = matcher.producer(curve, 'Erf');
    if (erf && isTimes(matcher, erf.input[0]!, x, Math.SQRT1_2)) return {x, tanh: false};
    const tanh = matcher.producer(curve, 'Tanh');
    if (tanh && isCubic(matcher, tanh.input[0]!, x)) return {x, tanh: true};
  }
  return undefined;
}

function isTimes(matcher: Matcher, name: string, x: string, factor: number): boolean {
  const quotient = matcher.producer(name, 'Div');
  if (quotient) return quotient.input[0] === x && near(1 / (matcher.scalar(quotient.input[1]) ?? 0), factor);
  const product = matcher.producer(name, 'Mul');
  return product !== undefined && matcher.orders(product).some(([a, b]) => a === x && near(matcher.scalar(b), factor));
}

function isCubic(matcher: Matcher, name: string, x: string): boolean {
  const outer = matcher.producer(name, 'Mul');
  const inner = outer && matcher.orders(outer).find(([, b]) => near(matcher.scalar(b), Math.sqrt(2 / Math.PI)))?.[0];
  const sum = matcher.producer(inner, 'Add');
  const cubic = sum && matcher.orders(sum).find(([a]) => a === x)?.[1];
  const scaled = matcher.producer(cubic, 'Mul');
  if (scaled === undefined) return false;
  const {number, names} = factors(matcher, scaled);
  if (!near(number, 0.044715)) return false;
  const power = names.length === 1 ? matcher.producer(names[0], 'Pow') : undefined;
  if (power) return power.input[0] === x && matcher.scalar(power.input[1]) === 3;
  return names.length === 3 && names.every((each) => each === x);
}

/** As near as a half can be. */
function near(value: number | undefined, expected: number): boolean {
  return value !== undefined && Math.abs(value - expected) <= 1e-3 * expected;
}
