/** Looking things up in a graph: attributes of nodes, who makes and who takes a value, its type and shape. */

import type {AttributeProto, GraphProto, NodeProto, TensorProto, TensorShapeProto_Dimension, ValueInfoProto} from './onnx_pb.js';

export function attribute(node: NodeProto, name: string): AttributeProto | undefined {
  return node.attribute.find((each) => each.name === name);
}

/** The getters below give the attribute's value, or `missing` when the node does not have it. */
export function intAttribute<T = undefined>(node: NodeProto, name: string, missing?: T): number | T {
  const found = attribute(node, name);
  return found ? Number(found.i) : (missing as T);
}

export function floatAttribute<T = undefined>(node: NodeProto, name: string, missing?: T): number | T {
  return attribute(node, name)?.f ?? (missing as T);
}

export function stringAttribute<T = undefined>(node: NodeProto, name: string, missing?: T): string | T {
  const found = attribute(node, name);
  return found ? Buffer.from(found.s).toString('utf8') : (missing as T);
}

export function intsAttribute<T = undefined>(node: NodeProto, name: string, missing?: T): number[] | T {
  return attribute(node, name)?.ints.map(Number) ?? (missing as T);
}

export function floatsAttribute<T = undefined>(node: NodeProto, name: string, missing?: T): number[] | T {
  return attribute(node, name)?.floats ?? (missing as T);
}

export function tensorAttribute(node: NodeProto, name: string): TensorProto | undefined {
  return attribute(node, name)?.t;
}

export function graphAttribute(node: NodeProto, name: string): GraphProto | undefined {
  return attribute(node, name)?.g;
}

export interface TensorInfo {
  /** A DataType; UNDEFINED where the model does not say. */
  type: number;
  /** Each a number, a symbol's name, or '' where nothing is known; undefined for an unknown rank. */
  dims: (number | string)[] | undefined;
}

/** Undefined for values that are no tensors. */
export function tensorInfo({type}: ValueInfoProto): TensorInfo | undefined {
  if (type?.value.case !== 'tensorType') return undefined;
  const {elemType, shape} = type.value.value;
  return {
    type: elemType,
    dims: shape?.dim.map(dimOf),
  };
}

function dimOf({value}: TensorShapeProto_Dimension): number | string {
  // Some exporters write -1 for what they do not know.
  if (value.case === 'dimValue') return value.value < 0n ? '' : Number(value.value);
  return value.case === 'dimParam' ? value.value : '';
}

/** An index of one graph as it was when the index was made. Values that nested graphs take count as taken by the node that holds them. */
export class GraphIndex {
  readonly initializers: ReadonlyMap<string, TensorProto>;
  /** The node that makes a value. */
  readonly producers: ReadonlyMap<string, NodeProto>;
  /** The nodes that take a value, each once, in stored order. */
  readonly consumers: ReadonlyMap<string, readonly NodeProto[]>;
  /** What the graph says of its inputs, outputs and inner values. */
  readonly valueInfos: ReadonlyMap<string, ValueInfoProto>;

  constructor(readonly graph: GraphProto) {
    this.initializers = new Map(graph.initializer.map((tensor) => [tensor.name, tensor]));
    this.valueInfos = new Map([...graph.valueInfo, ...graph.output, ...graph.input].map((info) => [info.name, info]));
    const producers = new Map<string, NodeProto>();
    const consumers = new Map<string, NodeProto[]>();
    for (const node of graph.node) {
      for (const name of node.output) if (name !== '') producers.set(name, node);
      for (const name of new Set(namesIn(node))) {
        const takers = consumers.get(name);
        if (takers) takers.push(node);
        else consumers.set(name, [node]);
      }
    }
    this.producers = producers;
    this.consumers = consumers;
  }

  /** Type and shape of a value: of an initializer, or as the graph declares it. */
  tensorInfo(name: string): TensorInfo | undefined {
    const tensor = this.initializers.get(name);
    if (tensor) return {type: tensor.dataType, dims: tensor.dims.map(Number)};
    const info = this.valueInfos.get(name);
    return info && tensorInfo(info);
  }

  /** Whether the value leaves the graph. */
  isOutput(name: string): boolean {
    return this.graph.output.some((output) => output.name === name);
  }
}

/** The values a node takes, also by the graphs in its attributes; may name some twice, and values those graphs make themselves. */
export function* namesIn(node: NodeProto): Generator<string> {
  for (const name of node.input) if (name !== '') yield name;
  for (const {g, graphs} of node.attribute) {
    for (const graph of g ? [g, ...graphs] : graphs) {
      // Names the nested graph defines itself may be among them; a value is defined once, so they match nothing here.
      for (const inner of graph.node) yield* namesIn(inner);
      for (const {name} of graph.output) yield name;
    }
  }
}
