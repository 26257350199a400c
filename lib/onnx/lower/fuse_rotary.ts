/** Rotary position embedding written in plain operators, by halves of a head, as one (Su et al. 2021, RoFormer). */

import type * as ort from 'onnxruntime-node';

import {UnsupportedError} from '../../errors.js';
import {DataType} from '../data_type.js';
import {intAttribute} from '../graph.js';
import {GraphBuilder, int} from '../graph_builder.js';
import type {Model} from '../model.js';
import type {NodeProto} from '../onnx_pb.js';
import {evaluate} from './evaluate.js';
import {Matcher} from './matcher.js';
import {type Replacement, replaceNodes} from './replace_nodes.js';
import {isPlumbing} from './runtime_values.js';
import {shapeValues} from './shape_values.js';

/** x * cos + rotate_half(x) * sin, of heads [batch, heads, positions, size] or of their first elements. */
interface Rotation {
  last: NodeProto;
  x: string;
  cos: string;
  sin: string;
  /** Elements that are rotated, where not all are. */
  size?: number;
}

/**
 * Each becomes com.microsoft RotaryEmbedding, with tables of the first `positions` positions: however the graph computes
 * cosines and sines from positions, it is run for them. Changes `model`; returns how many there were.
 */
export async function fuseRotary(model: Model, positions: number): Promise<number> {
  const matcher = new Matcher(model);
  const rotations = findRotations(matcher);
  if (rotations.length === 0) return 0;
  const names = [...new Set(rotations.flatMap(({cos, sin}) => [cos, sin]))];
  const values = await evaluate(model, names, {past: 0, tokens: positions});
  const builder = GraphBuilder.extend(model);
  builder.importOpset('com.microsoft', 1);
  const tables = addTables(builder, values, positions);
  const where = model.graph.input.some(({name}) => name === 'position_ids') ? 'position_ids' : addPositions(builder);
  return replaceNodes(
    model,
    rotations.map((rotation) => replacement(matcher, rotation, where, tables)),
  );
}

function findRotations(matcher: Matcher): Rotation[] {
  const {node: nodes} = matcher.model.graph;
  const partial = nodes.flatMap((node) => matchPartial(matcher, node) ?? []);
  // Each of those holds a whole one of its first elements.
  const inside = new Set(partial.map(({whole}) => whole));
  const whole = nodes.flatMap((node) => (inside.has(node) ? [] : (matchWhole(matcher, node) ?? [])));
  return [...partial.map(({rotation}) => rotation), ...whole];
}

function matchWhole(matcher: Matcher, last: NodeProto): Rotation | undefined {
  if (last.opType !== 'Add' || last.domain !== '') return undefined;
  for (const [straight, turned] of matcher.orders(last)) {
    const [a, b] = [matcher.producer(straight, 'Mul'), matcher.producer(turned, 'Mul')];
    if (a === undefined || b === undefined) continue;
    for (const [x, cos] of matcher.orders(a)) {
      for (const [rotated, sin] of matcher.orders(b)) {
        if (!isHalfTurn(matcher, rotated, x) || !isPlumbing(matcher.index, cos) || !isPlumbing(matcher.index, sin)) continue;
        return {last, x, cos, sin};
      }
    }
  }
  return undefined;
}

/** concat(-x[half:], x[:half]) */
function isHalfTurn(matcher: Matcher, name: string, x: string): boolean {
  const joined = matcher.producer(name, 'Concat');
  const negated = joined?.input.length === 2 ? matcher.producer(joined.input[0], 'Neg') : undefined;
  if (joined === undefined || negated === undefined || !isLast(intAttribute(joined, 'axis', 0))) return false;
  const [second, first] = [negated.input[0]!, joined.input[1]!];
  const split = matcher.producer(first, 'Split');
  if (split) return split.input[0] === x && split.output.length === 2 && split.output[0] === first && split.output[1] === second;
  const [lower, upper] = [cutOf(matcher, first), cutOf(matcher, second)];
  return lower?.x === x && upper?.x === x && lower.from === 0 && lower.to === upper.from && upper.to === undefined;
}

function matchPartial(matcher: Matcher, last: NodeProto): {rotation: Rotation; whole: NodeProto} | undefined {
  if (last.opType !== 'Concat' || last.input.length !== 2 || !isLast(intAttribute(last, 'axis', 0))) return undefined;
  const whole = matcher.producer(last.input[0], 'Add');
  const found = whole && matchWhole(matcher, whole);
  const first = found && cutOf(matcher, found.x);
  const rest = cutOf(matcher, last.input[1]!);
  if (first?.to === undefined || rest === undefined || first.x !== rest.x || first.from !== 0 || rest.from !== first.to) return undefined;
  return {rotation: {...found!, last, x: first.x, size: first.to}, whole: whole!};
}

function isLast(axis: number): boolean {
  return axis === -1 || axis === 3;
}

/** Part of the last dimension; `to` is undefined for all that is left. */
function cutOf(matcher: Matcher, name: string): {x: string; from: number; to: number | undefined} | undefined {
  const node = matcher.producer(name, 'Slice');
  if (node === undefined) return undefined;
  const [from, to, axis] = [1, 2, 3].map((at) => shapeValues(matcher, node.input[at] ?? '')?.[0]);
  if (from === undefined || to === undefined || axis === undefined || !isLast(axis)) return undefined;
  return {x: node.input[0]!, from, to: to > 2 ** 31 - 2 ? undefined : to};
}

/** Each different table once: exports compute the same one for every layer. */
function addTables(builder: GraphBuilder, values: ReadonlyMap<string, ort.Tensor>, positions: number): ReadonlyMap<string, string> {
  const tables = new Map<string, string>();
  const known = new Map<string, string>();
  for (const [value, tensor] of values) {
    const rows = halfRows(value, tensor, positions);
    const key = Buffer.from(rows.bytes).toString('latin1');
    let table = known.get(key);
    if (table === undefined) {
      const type = tensor.type === 'float16' ? DataType.FLOAT16 : DataType.FLOAT;
      const name = `${value}/table`;
      table = builder.initializer(name, type, [positions, rows.size / 2], rows.bytes);
      known.set(key, table);
    }
    tables.set(value, table);
  }
  return tables;
}

/** [.., positions, size] with two equal halves: one of them. */
function halfRows(value: string, {dims, type, data}: ort.Tensor, positions: number): {bytes: Uint8Array; size: number} {
  const size = dims.at(-1) ?? 0;
  const elementBytes = type === 'float16' ? 2 : 4;
  const whole = data as Float32Array;
  const refuse = (why: string): never => {
    throw new UnsupportedError(`the rotary table '${value}' ${why}`);
  };
  if (type !== 'float16' && type !== 'float32') refuse(`is of type ${type}`);
  if (dims.at(-2) !== positions || whole.byteLength !== positions * size * elementBytes || size % 2 !== 0) {
    refuse(`has shape [${dims.join(', ')}] for ${positions} positions`);
  }
  const all = new Uint8Array(whole.buffer, whole.byteOffset, whole.byteLength);
  const half = (size / 2) * elementBytes;
  const bytes = new Uint8Array(positions * half);
  for (let row = 0; row < positions; row++) {
    const first = all.subarray(2 * row * half, (2 * row + 1) * half);
    if (Buffer.compare(first, all.subarray((2 * row + 1) * half, (2 * row + 2) * half)) !== 0) refuse('has halves that differ');
    bytes.set(first, row * half);
  }
  return {bytes, size};
}

/** Positions of the tokens, [1, tokens], from how many there are and were. */
function addPositions(builder: GraphBuilder): string {
  const index = (value: number) => builder.int64('index', [value], []);
  const size = (of: string, axis: number) => builder.op('Gather', [builder.op('Shape', [of]), index(axis)]);
  const past = builder.model.graph.input.find(({name}) => /^past_key_values\..*key$/.test(name));
  const from = past ? size(past.name, 2) : index(0);
  const to = builder.op('Add', [from, size('input_ids', 1)]);
  return builder.op('Unsqueeze', [builder.op('Range', [from, to, index(1)]), builder.int64('axes', [0])]);
}

function replacement(
  matcher: Matcher,
  {last, x, cos, sin, size}: Rotation,
  positions: string,
  tables: ReadonlyMap<string, string>,
): Replacement {
  const output = last.output[0]!;
  return {
    last: [last],
    build(builder) {
      // ONNX Runtime wants the number of heads where it cannot tell how much of a head is rotated.
      const heads = size === undefined ? undefined : headsOf(matcher, x);
      builder.op('RotaryEmbedding', [x, positions, tables.get(cos)!, tables.get(sin)!], {
        domain: 'com.microsoft',
        name: last.name || 'RotaryEmbedding',
        output,
        attributes: size === undefined ? {} : {rotary_embedding_dim: int(size), num_heads: int(heads ?? 1)},
      });
    },
  };
}

/** Of a value that is split into heads and transposed. */
function headsOf(matcher: Matcher, name: string): number | undefined {
  const split = matcher.producer(matcher.producer(name, 'Transpose')?.input[0], 'Reshape');
  return split && shapeValues(matcher, split.input[1]!)?.at(-2);
}
