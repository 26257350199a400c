/** Attention written in plain operators, its cache concatenated, as com.microsoft GroupQueryAttention. */

import type * as ort from 'onnxruntime-node';

import {UnsupportedError} from '../../errors.js';
import {halfTable} from '../../import/numeric/float16.js';
import {describe} from '../check.js';
import {DataType} from '../data_type.js';
import {intAttribute, intsAttribute} from '../graph.js';
import {float, GraphBuilder, int, ints} from '../graph_builder.js';
import type {Model} from '../model.js';
import type {NodeProto} from '../onnx_pb.js';
import {evaluate} from './evaluate.js';
import {Matcher} from './matcher.js';
import {type Replacement, replaceNodes} from './replace_nodes.js';
import {isPlumbing} from './runtime_values.js';
import {shapeValues} from './shape_values.js';

interface PlainAttention {
  softmax: NodeProto;
  /** Transposes [batch, heads, positions, size] back, into `joined`. */
  last: NodeProto;
  /** [batch, heads, positions, size] each. */
  query: string;
  key: CachedValue;
  value: CachedValue;
  heads: number;
  scale: number;
  softcap: number;
  masks: readonly Mask[];
}

interface CachedValue {
  /** Concatenates past and new. */
  concat: NodeProto;
  past: string;
  added: string;
  /** Heads once those of queries that share one have copies. */
  heads: number;
}

interface Mask {
  name: string;
  /** Added to scores, or chooses between them and the lowest number: true where they stay, or where they go. */
  kind: 'added' | 'keeps' | 'drops';
}

/**
 * What a mask hides is found by running the part of the graph that makes it, up to `positions` positions. Changes
 * `model`; returns how many there were. Throws UnsupportedError for masks that are neither causal nor sliding windows.
 */
export async function fuseAttention(model: Model, positions: number): Promise<number> {
  const matcher = new Matcher(model);
  const found = model.graph.node.flatMap((node) => (node.opType === 'Softmax' ? (match(matcher, node) ?? []) : []));
  if (found.length === 0) return 0;
  const windows = await windowsOf(model, found, positions);
  const builder = GraphBuilder.extend(model);
  builder.importOpset('com.microsoft', 1);
  const lengths = addLengths(builder, found[0]!.key.past);
  return replaceNodes(
    model,
    found.map((attention) => replacement(matcher, attention, windows.get(attention)!, lengths)),
  );
}

function match(matcher: Matcher, softmax: NodeProto): PlainAttention | undefined {
  const product = productOf(matcher, softmax.output[0]!);
  if (product === undefined) return undefined;
  const last = onlyTaker(matcher, product.output[0]!);
  if (last?.opType !== 'Transpose' || String(intsAttribute(last, 'perm')) !== '0,2,1,3') return undefined;
  const value = cached(matcher, product.input[1]!);
  const scores = scoresOf(matcher, softmax.input[0]!);
  if (value === undefined || scores === undefined) return undefined;
  const [query, key] = [scaled(matcher, scores.product.input[0]!), scaled(matcher, scores.product.input[1]!)];
  const cachedKey = key.transposed ? cached(matcher, key.name) : undefined;
  if (cachedKey === undefined || query.transposed || cachedKey.heads !== value.heads) return undefined;
  const {softcap, masks} = scores;
  const scale = scores.scale * query.scale * key.scale;
  return {softmax, last, query: query.name, key: cachedKey, value, heads: value.heads, scale, softcap, masks};
}

/** The product with values, behind what keeps weights as they are. */
function productOf(matcher: Matcher, name: string): NodeProto | undefined {
  for (const taker of matcher.index.consumers.get(name) ?? []) {
    if (taker.opType === 'MatMul' && taker.input[0] === name) return taker;
    // A row without any key, which no causal mask has, is made zeros: where(isnan(w), 0, w).
    const isGuard = taker.opType === 'Where' && matcher.producer(taker.input[0], 'IsNaN') !== undefined;
    if (taker.opType === 'Cast' || taker.opType === 'Dropout' || isGuard) {
      const found = productOf(matcher, taker.output[0]!);
      if (found) return found;
    }
  }
  return undefined;
}

function onlyTaker(matcher: Matcher, name: string): NodeProto | undefined {
  const takers = matcher.index.consumers.get(name) ?? [];
  return takers.length === 1 ? takers[0] : undefined;
}

interface Scores {
  product: NodeProto;
  scale: number;
  softcap: number;
  masks: Mask[];
}

/** From what the softmax takes to the product of queries and keys. */
function scoresOf(matcher: Matcher, name: string): Scores | undefined {
  const node = matcher.index.producers.get(matcher.behindCasts(name));
  if (node === undefined || node.domain !== '') return undefined;
  const [a, b] = node.input as [string, string];
  switch (node.opType) {
    case 'MatMul':
      return {product: node, scale: 1, softcap: 0, masks: []};
    case 'Add':
      for (const [inner, mask] of matcher.orders(node)) {
        const scores = isPlumbing(matcher.index, mask) ? scoresOf(matcher, inner) : undefined;
        if (scores) return {...scores, masks: [...scores.masks, {name: mask, kind: 'added'}]};
      }
      return undefined;
    case 'Where': {
      if (!isPlumbing(matcher.index, a)) return undefined;
      const [kept, dropped] = [node.input[1]!, node.input[2]!];
      const isLowest = (each: string) => (matcher.scalar(each) ?? 0) <= -1e4;
      const inner = isLowest(dropped) ? kept : isLowest(kept) ? dropped : undefined;
      const scores = inner === undefined ? undefined : scoresOf(matcher, inner);
      return scores && {...scores, masks: [...scores.masks, {name: a, kind: inner === kept ? 'keeps' : 'drops'}]};
    }
    case 'Mul':
    case 'Div': {
      for (const [inner, number] of node.opType === 'Mul' ? matcher.orders(node) : [[a, b] as const]) {
        const factor = matcher.scalar(number);
        if (factor === undefined) continue;
        const bounded = matcher.producer(inner, 'Tanh');
        if (bounded) return capped(matcher, bounded, factor);
        const scores = scoresOf(matcher, inner);
        // Scores that are capped or masked are not those that a scale is meant for.
        if (scores?.softcap !== 0 || scores.masks.length > 0) return undefined;
        return {...scores, scale: scores.scale * (node.opType === 'Mul' ? factor : 1 / factor)};
      }
      return undefined;
    }
    default:
      return undefined;
  }
}

/** cap * tanh(scores / cap) */
function capped(matcher: Matcher, tanh: NodeProto, cap: number): Scores | undefined {
  const scores = scoresOf(matcher, tanh.input[0]!);
  if (scores === undefined || scores.softcap !== 0 || scores.masks.length > 0) return undefined;
  return {...scores, scale: scores.scale * cap, softcap: cap};
}

/** What is behind numbers that a value is multiplied with, and behind its last two dimensions changing places. */
function scaled(matcher: Matcher, name: string): {name: string; scale: number; transposed: boolean} {
  const behind = matcher.behindCasts(name);
  const node = matcher.producer(behind, 'Mul', 'Div', 'Transpose');
  if (node?.opType === 'Transpose' && String(intsAttribute(node, 'perm')) === '0,1,3,2') {
    const inner = scaled(matcher, node.input[0]!);
    return {...inner, transposed: !inner.transposed};
  }
  for (const [inner, number] of node?.opType === 'Mul' ? matcher.orders(node) : []) {
    const factor = matcher.scalar(number);
    if (factor === undefined) continue;
    const found = scaled(matcher, inner);
    return {...found, scale: found.scale * factor};
  }
  const divisor = node?.opType === 'Div' ? matcher.scalar(node.input[1]) : undefined;
  if (divisor === undefined) return {name: behind, scale: 1, transposed: false};
  const found = scaled(matcher, node!.input[0]!);
  return {...found, scale: found.scale / divisor};
}

/** Past and new, behind the copies that each group of heads gets. */
function cached(matcher: Matcher, name: string): CachedValue | undefined {
  const behind = matcher.behindCasts(name);
  const repeated = matcher.producer(behind, 'Reshape');
  const expanded = matcher.producer(repeated?.input[0], 'Expand');
  const widened = matcher.producer(expanded?.input[0], 'Unsqueeze');
  if (repeated && widened) {
    const found = String(matcher.axes(widened)) === '2' ? cached(matcher, widened.input[0]!) : undefined;
    const heads = shapeValues(matcher, repeated.input[1]!)?.at(1);
    return found && heads && heads % found.heads === 0 ? {...found, heads} : undefined;
  }
  const concat = matcher.producer(behind, 'Concat');
  const [past, added] = concat?.input ?? [];
  if (concat === undefined || past === undefined || added === undefined || concat.input.length !== 2) return undefined;
  const heads = matcher.index.tensorInfo(past)?.dims?.[1];
  const isPast = /^past_key_values\./.test(past) && !matcher.index.producers.has(past) && typeof heads === 'number';
  return isPast && [2, -2].includes(intAttribute(concat, 'axis', 0)) ? {concat, past, added, heads} : undefined;
}

/** For each attention how many tokens are seen; 0 is all. */
async function windowsOf(model: Model, attentions: readonly PlainAttention[], positions: number): Promise<Map<PlainAttention, number>> {
  const names = [...new Set(attentions.flatMap(({masks}) => masks.map(({name}) => name)))];
  if (names.length === 0) throw new UnsupportedError(`${describe(attentions[0]!.softmax)}: attends without a mask`);
  // A few tokens after a few others show whether later ones are hidden; one after many how long a token is seen.
  const short = {past: 5, tokens: 3};
  const long = {past: positions - 1, tokens: 1};
  const [few, many] = [await evaluate(model, names, short), await evaluate(model, names, long)];
  return new Map(
    attentions.map((attention) => {
      const seen = (values: ReadonlyMap<string, ort.Tensor>, {past, tokens}: typeof short) =>
        visible(attention, values, tokens, past + tokens);
      const last = seen(many, long)[0]!;
      const first = last.indexOf(true);
      const window = first === 0 ? 0 : positions - first;
      const expected = (row: number, key: number) => key <= short.past + row && (window === 0 || short.past + row - key < window);
      const isCausal = seen(few, short).every((keys, row) => keys.every((sees, key) => sees === expected(row, key)));
      if (first < 0 || last.indexOf(false, first) >= 0 || !isCausal) {
        throw new UnsupportedError(`${describe(attention.softmax)}: its mask is neither causal nor a sliding window`);
      }
      return [attention, window];
    }),
  );
}

/** [query][key], by all the masks together. */
function visible({masks}: PlainAttention, values: ReadonlyMap<string, ort.Tensor>, queries: number, keys: number): boolean[][] {
  return Array.from({length: queries}, (_, query) =>
    Array.from({length: keys}, (_key, key) =>
      masks.every(({name, kind}) => {
        const tensor = values.get(name)!;
        const {dims} = tensor;
        const [rows, columns] = [dims.at(-2) ?? 1, dims.at(-1) ?? 1];
        const at = (rows === 1 ? 0 : query) * columns + (columns === 1 ? 0 : key);
        const value = elementOf(tensor, at);
        return kind === 'added' ? value > -1e3 : (value !== 0) === (kind === 'keeps');
      }),
    ),
  );
}

function elementOf({type, data}: ort.Tensor, at: number): number {
  if (type !== 'float16') return Number((data as Float32Array)[at]);
  const {buffer, byteOffset, length} = data as Uint16Array;
  return halfTable()[new Uint16Array(buffer, byteOffset, length)[at]!]!;
}

/** What GroupQueryAttention wants to know: the last position of each sequence, and all positions; int32. */
function addLengths(builder: GraphBuilder, past: string): {last: string; total: string} {
  const index = (value: number) => builder.int64('index', [value], []);
  const size = (of: string, axis: number) => builder.op('Gather', [builder.op('Shape', [of]), index(axis)]);
  const total = builder.op('Add', [size(past, 2), size('input_ids', 1)]);
  const batch = builder.op('Unsqueeze', [size('input_ids', 0), builder.int64('axes', [0])]);
  const last = builder.op('Expand', [builder.op('Sub', [total, index(1)]), batch]);
  const int32 = (name: string) => builder.op('Cast', [name], {attributes: {to: int(DataType.INT32)}});
  return {last: int32(last), total: int32(total)};
}

function replacement(
  matcher: Matcher,
  {last, query, key, value, heads, scale, softcap}: PlainAttention,
  window: number,
  lengths: {last: string; total: string},
): Replacement {
  const [, kvHeads, , size] = matcher.index.tensorInfo(key.past)?.dims ?? [];
  if (typeof kvHeads !== 'number' || typeof size !== 'number') {
    throw new UnsupportedError(`'${key.past}' does not say how many heads it has, and of what size`);
  }
  const [output, presentKey, presentValue] = [last, key.concat, value.concat].map((node) => node.output[0]!) as [string, string, string];
  return {
    last: [last, key.concat, value.concat],
    build(builder) {
      const joined = (name: string, count: number) => {
        const rows = builder.op('Transpose', [name], {attributes: {perm: ints([0, 2, 1, 3])}});
        return builder.op('Reshape', [rows, builder.int64('joined', [0, 0, count * size])]);
      };
      const inputs = [joined(query, heads), joined(key.added, kvHeads), joined(value.added, kvHeads), key.past, value.past];
      const attended = `${output}/rows`;
      builder.node('GroupQueryAttention', [...inputs, lengths.last, lengths.total], {
        domain: 'com.microsoft',
        name: last.name || 'GroupQueryAttention',
        outputs: [attended, presentKey, presentValue],
        attributes: {
          num_heads: int(heads),
          kv_num_heads: int(kvHeads),
          scale: float(scale),
          ...(window > 0 ? {local_window_size: int(window)} : {}),
          ...(softcap > 0 ? {softcap: float(softcap)} : {}),
        },
      });
      // As it was before: what takes it joins the heads.
      builder.op('Reshape', [attended, builder.int64('split', [0, 0, heads, size])], {output});
    },
  };
}
