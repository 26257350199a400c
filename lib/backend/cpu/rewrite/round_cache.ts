/**
 * Rounds keys and values as a cache of 8 bits keeps them, those of the tokens being run too: on the GPU they are written
 * before they are read. What is rounded once stays as it is, so that the cache itself need not change.
 *
 * GroupQueryAttention that rotates is taken apart first, as keys are kept after their rotation.
 */

import {UnsupportedError} from '../../../errors.js';
import {topologicalOrder} from '../../../onnx/check.js';
import {DataType} from '../../../onnx/data_type.js';
import {GraphIndex, intAttribute} from '../../../onnx/graph.js';
import {GraphBuilder, int} from '../../../onnx/graph_builder.js';
import type {Model} from '../../../onnx/model.js';
import type {NodeProto} from '../../../onnx/onnx_pb.js';
import {KvRounding} from './kv_rounding.js';

/** Adds to `builder`'s graph what makes of a value [..., headSize] another of the same type and shape. Returns its name. */
export type RoundVectors = (value: string) => string;

/** Throws UnsupportedError for a cache that is neither GroupQueryAttention's nor concatenated. */
export function roundCache(model: Model, type: 'fp8' | 'int8'): void {
  const builder = GraphBuilder.extend(model);
  const rounding = new KvRounding(builder, type, cacheType(model));
  changeCache(model, builder, (value) => rounding.round(value));
}

/** Applies `round` to all that goes into the cache of `builder`'s model. */
export function changeCache(model: Model, builder: GraphBuilder, round: RoundVectors): void {
  const {graph} = model;
  const index = new GraphIndex(graph);
  const attentions = new Set<NodeProto>();
  for (const {name} of graph.input.filter((each) => each.name.startsWith('past_key_values.'))) {
    for (const node of index.consumers.get(name) ?? []) {
      if (node.opType === 'GroupQueryAttention') attentions.add(node);
      else if (isAppended(node)) node.input = node.input.map((each) => (each === name ? each : round(each)));
      else if (node.opType !== 'Shape')
        throw new UnsupportedError(`${model.label}: a cache that goes into ${node.opType} cannot be rounded`);
    }
  }
  const apart = new AttentionParts(builder, index);
  for (const node of attentions) apart.change(node, round);
  graph.node = topologicalOrder(graph, model.label);
}

function isAppended(node: NodeProto): boolean {
  return node.opType === 'Concat' && [2, -2].includes(intAttribute(node, 'axis', 0));
}

function cacheType({graph}: Model): DataType {
  const index = new GraphIndex(graph);
  return index.tensorInfo('past_key_values.0.key')?.type ?? DataType.FLOAT;
}

/** Places of GroupQueryAttention's inputs. */
const Input = {
  query: 0,
  key: 1,
  value: 2,
  pastKey: 3,
  pastValue: 4,
  lastPosition: 5,
  totalLength: 6,
  cos: 7,
  sin: 8,
  positions: 9,
} as const;

interface AttentionShape {
  heads: number;
  kvHeads: number;
  headSize: number;
}

class AttentionParts {
  constructor(
    readonly builder: GraphBuilder,
    readonly index: GraphIndex,
  ) {}

  /** `round` gets keys and values as [batch, tokens, kvHeads, headSize]. */
  change(node: NodeProto, round: RoundVectors): void {
    const shape = this.#shape(node);
    const parts = this.#split(node, shape);
    if (intAttribute(node, 'do_rotary', 0) === 1) {
      const positions = this.#positions(node, parts.query);
      parts.query = this.#rotated(node, parts.query, shape.heads, positions, shape);
      parts.key = this.#rotated(node, parts.key, shape.kvHeads, positions, shape);
      node.attribute = node.attribute.filter(({name}) => name !== 'do_rotary' && name !== 'rotary_interleaved');
      for (const at of [Input.cos, Input.sin, Input.positions]) if (at < node.input.length) node.input[at] = '';
    }
    node.input[Input.query] = parts.query;
    node.input[Input.key] = this.#byHead(parts.key, shape, round);
    node.input[Input.value] = this.#byHead(parts.value, shape, round);
    while (node.input.at(-1) === '') node.input.pop();
  }

  #shape(node: NodeProto): AttentionShape {
    const headSize = this.index.tensorInfo(node.input[Input.pastKey] ?? '')?.dims?.[3];
    const heads = intAttribute(node, 'num_heads', 0);
    const kvHeads = intAttribute(node, 'kv_num_heads', 0);
    if (typeof headSize === 'number' && heads > 0 && kvHeads > 0) return {heads, kvHeads, headSize};
    throw new UnsupportedError(`'${node.name}' does not say how many heads it has, and of what size, so that its cache cannot be rounded`);
  }

  #split(node: NodeProto, {heads, kvHeads, headSize}: AttentionShape): {query: string; key: string; value: string} {
    const [query, key, value] = node.input as [string, string, string];
    if (key !== '') return {query, key, value};
    const {builder} = this;
    const made = ['query', 'key', 'value'].map((each) => `${node.output[0]}/${each}`) as [string, string, string];
    const counts = [heads, kvHeads, kvHeads].map((each) => each * headSize);
    builder.node('Split', [query, builder.int64('counts', counts)], {outputs: made, attributes: {axis: int(-1)}});
    return {query: made[0], key: made[1], value: made[2]};
  }

  /** The position of the first token, which RotaryEmbedding counts on from; or all positions, where the model gives them. */
  #positions(node: NodeProto, query: string): string {
    const given = node.input[Input.positions];
    if (given) return given;
    const {builder} = this;
    const total = builder.op('Cast', [node.input[Input.totalLength]!], {attributes: {to: int(DataType.INT64)}});
    const tokens = builder.op('Gather', [builder.op('Shape', [query]), builder.int64('axis', [1])]);
    return builder.op('Sub', [builder.op('Reshape', [total, builder.int64('one', [1])]), tokens]);
  }

  #rotated(node: NodeProto, value: string, heads: number, positions: string, {headSize}: AttentionShape): string {
    const [cos, sin] = [node.input[Input.cos]!, node.input[Input.sin]!];
    const half = this.index.tensorInfo(cos)?.dims?.[1];
    const partial = typeof half === 'number' && 2 * half < headSize;
    return this.builder.op('RotaryEmbedding', [value, positions, cos, sin], {
      domain: 'com.microsoft',
      attributes: {
        interleaved: int(intAttribute(node, 'rotary_interleaved', 0)),
        num_heads: int(heads),
        ...(partial ? {rotary_embedding_dim: int(2 * half)} : {}),
      },
    });
  }

  #byHead(value: string, {kvHeads, headSize}: AttentionShape, round: RoundVectors): string {
    const {builder} = this;
    const split = builder.op('Reshape', [value, builder.int64('split', [0, 0, kvHeads, headSize])]);
    return builder.op('Reshape', [round(split), builder.int64('joined', [0, 0, kvHeads * headSize])]);
  }
}
