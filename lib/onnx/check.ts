/** Whether a graph makes sense: names defined once, every input defined, no cycles. */

import {FormatError} from '../errors.js';
import {subgraphs} from './model.js';
import type {FunctionProto, GraphProto, ModelProto, NodeProto} from './onnx_pb.js';

/** Throws FormatError (ERR_ONNX) that names the node or the value. `label` names the model in it. */
export function checkModel(model: ModelProto, label: string): void {
  const {graph} = model;
  if (!graph) throw new FormatError('ERR_ONNX', label, 'is not an ONNX model: it has no graph');
  if (model.irVersion <= 0n) throw new FormatError('ERR_ONNX', label, 'is not an ONNX model: it has no IR version');
  if (model.opsetImport.length === 0) throw new FormatError('ERR_ONNX', label, 'imports no operator set');
  refuseUndefined(checkScope(scopeOfGraph(graph), label).captured, label);
  for (const body of model.functions) refuseUndefined(checkScope(scopeOfFunction(body), label).captured, label);
}

/** The graph's nodes so that each comes after the nodes it takes values from; the stored order where that already holds. */
export function topologicalOrder(graph: GraphProto, label: string): NodeProto[] {
  return checkScope(scopeOfGraph(graph), label).order;
}

interface Scope {
  name: string;
  /** Names that are defined before any node runs. */
  given: string[];
  nodes: readonly NodeProto[];
  results: readonly string[];
}

function scopeOfGraph(graph: GraphProto): Scope {
  const inputs = graph.input.map(({name}) => name);
  const initializers = [...graph.initializer.map(({name}) => name), ...graph.sparseInitializer.map(({values}) => values?.name ?? '')];
  // An initializer may carry an input's name: it is that input's default.
  const taken = new Set(inputs);
  return {
    name: graph.name,
    given: [...inputs, ...initializers.filter((name) => !taken.has(name)), ...repeated(initializers)],
    nodes: graph.node,
    results: graph.output.map(({name}) => name),
  };
}

function scopeOfFunction(body: FunctionProto): Scope {
  return {name: body.name, given: body.input, nodes: body.node, results: body.output};
}

interface Checked {
  order: NodeProto[];
  /** Names taken from outside the scope, each with what takes it, for messages. */
  captured: Map<string, string>;
}

function checkScope(scope: Scope, label: string): Checked {
  const fail = (problem: string): never => {
    throw new FormatError('ERR_ONNX', label, scope.name ? `graph '${scope.name}': ${problem}` : problem);
  };

  /** Name to the index of the node that makes it; -1 for what is given. */
  const makers = new Map<string, number>();
  for (const name of scope.given) {
    if (makers.has(name)) fail(`'${name}' is defined twice`);
    makers.set(name, -1);
  }
  for (const [index, node] of scope.nodes.entries()) {
    for (const name of node.output) {
      if (name === '') continue;
      if (makers.has(name)) fail(`'${name}' is defined twice, the second time by ${describe(node)}`);
      makers.set(name, index);
    }
  }

  const captured = new Map<string, string>();
  const makersOf = scope.nodes.map((node) => {
    const before = new Set<number>();
    for (const [name, taker] of namesTaken(node, label)) {
      const maker = makers.get(name);
      if (maker === undefined) captured.set(name, taker);
      else if (maker >= 0) before.add(maker);
    }
    return before;
  });
  for (const name of scope.results) if (!makers.has(name)) captured.set(name, `output of graph '${scope.name}'`);

  const order = sort(makersOf);
  if (order.length < scope.nodes.length) {
    const cycle = findCycle(makersOf, order);
    const named = cycle.map((index) => describe(scope.nodes[index]!));
    if (named.length > 10) named.splice(5, named.length - 10, `${named.length - 10} more`);
    fail(`nodes form a cycle: ${named.join(' -> ')}`);
  }
  return {order: order.map((index) => scope.nodes[index]!), captured};
}

/** What a node reads: its inputs, and what the graphs in its attributes take from around them. */
function namesTaken(node: NodeProto, label: string): Map<string, string> {
  const taken = new Map<string, string>();
  for (const attribute of node.attribute) {
    for (const graph of subgraphs(attribute)) {
      for (const [name, taker] of checkScope(scopeOfGraph(graph), label).captured) taken.set(name, taker);
    }
  }
  for (const name of node.input) if (name !== '') taken.set(name, `input of ${describe(node)}`);
  return taken;
}

/** Kahn's algorithm; in stored order if that is a topological one. Shorter than the input if there is a cycle. */
function sort(makersOf: readonly ReadonlySet<number>[]): number[] {
  if (makersOf.every((makers, index) => [...makers].every((maker) => maker < index))) return makersOf.map((_, index) => index);
  const takersOf: number[][] = makersOf.map(() => []);
  for (const [index, makers] of makersOf.entries()) for (const maker of makers) takersOf[maker]!.push(index);
  const waitsFor = makersOf.map((makers) => makers.size);
  const order = waitsFor.flatMap((count, index) => (count === 0 ? [index] : []));
  for (let at = 0; at < order.length; at++) {
    for (const taker of takersOf[order[at]!]!) if (--waitsFor[taker]! === 0) order.push(taker);
  }
  return order;
}

/** One cycle among the nodes that could not be ordered, its first node repeated at the end. */
function findCycle(makersOf: readonly ReadonlySet<number>[], ordered: readonly number[]): number[] {
  const done = new Set(ordered);
  const path: number[] = [];
  const places = new Map<number, number>();
  let index = makersOf.findIndex((_, each) => !done.has(each));
  while (!places.has(index)) {
    places.set(index, path.length);
    path.push(index);
    // Every node left waits for another that is left, so this walk backwards must meet itself.
    index = [...makersOf[index]!].find((maker) => !done.has(maker))!;
  }
  return [...path.slice(places.get(index)), index].reverse();
}

function refuseUndefined(captured: Map<string, string>, label: string): void {
  for (const [name, taker] of captured) throw new FormatError('ERR_ONNX', label, `'${name}', ${taker}, is not defined`);
}

function repeated(names: readonly string[]): string[] {
  const seen = new Set<string>();
  return names.filter((name) => seen.has(name) || !seen.add(name));
}

/** A node as messages name it: `MatMul 'layer0/q_proj'`. */
export function describe(node: NodeProto): string {
  const op = node.domain ? `${node.domain}.${node.opType}` : node.opType;
  return node.name ? `${op} '${node.name}'` : `${op} making '${node.output.find((name) => name !== '') ?? ''}'`;
}
