/** An ONNX model in memory: its protobuf messages, and for each tensor where its bytes come from. */

import {FormatError} from '../errors.js';
import {inlineBytes} from './inline_data.js';
import type {AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto, TensorProto} from './onnx_pb.js';
import {BytesSource, readSource, type TensorSource} from './tensor_source.js';

export class Model {
  readonly #sources = new WeakMap<TensorProto, TensorSource>();

  constructor(
    /** May be changed freely; a tensor keeps its bytes as long as it stays the same object. */
    readonly proto: ModelProto,
    /** The file it was read from; undefined for a model made in memory. */
    readonly path?: string,
    /** What that file held; bytes of tensors inside it are views on these. */
    readonly fileBytes?: Uint8Array,
  ) {}

  /** What messages call this model. */
  get label(): string {
    return this.path ?? (this.graph.name || 'model');
  }

  get graph(): GraphProto {
    const {graph} = this.proto;
    if (!graph) throw new FormatError('ERR_ONNX', this.path ?? 'model', 'has no graph');
    return graph;
  }

  /** Gives `tensor` bytes that are not in the message itself. */
  setSource(tensor: TensorProto, source: TensorSource): void {
    this.#sources.set(tensor, source);
  }

  /** The bytes set with `setSource`, or else those inside the message. STRING tensors have none: their elements are in `stringData`. */
  source(tensor: TensorProto): TensorSource {
    return this.#sources.get(tensor) ?? new BytesSource(inlineBytes(tensor, this.label));
  }

  /** Little-endian, row-major bytes of a tensor; a view on the message where they are there as they are. */
  readTensorData(tensor: TensorProto): Promise<Uint8Array> {
    return readSource(this.source(tensor));
  }
}

/** Each graph of the model: the main one, then those in attributes of nodes, depth first. Bodies of functions are not graphs. */
export function* graphsOf(model: ModelProto): Generator<GraphProto> {
  if (model.graph) yield* nestedGraphs(model.graph);
  for (const body of model.functions) for (const node of body.node) yield* graphsOfNode(node);
}

function* nestedGraphs(graph: GraphProto): Generator<GraphProto> {
  yield graph;
  for (const node of graph.node) yield* graphsOfNode(node);
}

function* graphsOfNode(node: NodeProto): Generator<GraphProto> {
  for (const attribute of node.attribute) for (const graph of subgraphs(attribute)) yield* nestedGraphs(graph);
}

/** The graphs an attribute holds itself. */
export function subgraphs(attribute: AttributeProto): readonly GraphProto[] {
  return attribute.g ? [attribute.g, ...attribute.graphs] : attribute.graphs;
}

/** Each tensor of the model: initializers and the values of attributes, in graphs and functions. */
export function* tensorsOf(model: ModelProto): Generator<TensorProto> {
  for (const graph of graphsOf(model)) {
    yield* graph.initializer;
    for (const {values, indices} of graph.sparseInitializer) {
      if (values) yield values;
      if (indices) yield indices;
    }
    yield* tensorsOfNodes(graph);
  }
  for (const body of model.functions) yield* tensorsOfNodes(body);
}

function* tensorsOfNodes({node: nodes}: GraphProto | FunctionProto): Generator<TensorProto> {
  for (const node of nodes) {
    for (const attribute of node.attribute) {
      if (attribute.t) yield attribute.t;
      yield* attribute.tensors;
      for (const {values, indices} of attribute.sparseTensor
        ? [attribute.sparseTensor, ...attribute.sparseTensors]
        : attribute.sparseTensors) {
        if (values) yield values;
        if (indices) yield indices;
      }
    }
  }
}
