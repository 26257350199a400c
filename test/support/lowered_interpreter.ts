/** Runs a lowered decoder in plain loops: the operators of the parts as their kernels must compute them, paged cache and all. */

import type {LoweredDecoder, RowRange} from '../../lib/decoder/lowered_decoder.js';
import {materializeFloats} from '../../lib/decoder/materialize.js';
import {floatAttribute, intAttribute, stringAttribute} from '../../lib/onnx/graph.js';
import type {Model} from '../../lib/onnx/model.js';
import type {NodeProto} from '../../lib/onnx/onnx_pb.js';
import type {BytesSource} from '../../lib/onnx/tensor_source.js';

/** Tokens of one sequence that follow each other. */
export interface Run {
  slot: number;
  /** Position of the first token. */
  start: number;
  tokens: readonly number[];
}

interface Rows {
  width: number;
  values: Float32Array;
}

type Tensor = Rows | Int32Array;

const PAGES_PER_SLOT = 4;

export class LoweredInterpreter {
  readonly #cache = new Map<number, {keys: Float32Array; values: Float32Array}>();
  readonly #pages: Int32Array;

  private constructor(
    readonly lowered: LoweredDecoder,
    readonly weights: readonly Float32Array[],
    readonly slots: number,
  ) {
    // Pages in no order that a mistake would get right by chance.
    const count = slots * PAGES_PER_SLOT;
    this.#pages = Int32Array.from({length: count}, (_, at) => (at * 7 + 3) % count);
  }

  /** `slots`: no multiple of 7. Weights are not rounded to the hidden type, so that the graph alone is what is tested. */
  static async create(lowered: LoweredDecoder, slots = 3): Promise<LoweredInterpreter> {
    const weights: Float32Array[] = [];
    for (const ref of lowered.weights) weights.push(await materializeFloats(ref));
    return new LoweredInterpreter(lowered, weights, slots);
  }

  /** Logits after each token, run after run. */
  step(range: RowRange, runs: readonly Run[]): Float32Array[] {
    const starts = [0];
    for (const {tokens} of runs) starts.push(starts.at(-1)! + tokens.length);
    const given = new Map<string, Tensor>([
      ['tokens', Int32Array.from(runs.flatMap(({tokens}) => tokens))],
      ['pages', this.#pages],
      ['run_starts', Int32Array.from(starts)],
      ['run_slots', Int32Array.from(runs, ({slot}) => slot)],
      ['positions', Int32Array.from(runs.flatMap(({start, tokens}) => tokens.map((_, at) => start + at)))],
    ]);
    for (const {part, layer, weights} of this.lowered.sequence) {
      const models = this.lowered.models.get(part)!;
      const model = models[range] ?? models.decode;
      const values = new Map(given);
      for (const {name, shape} of this.lowered.parts.find((each) => each.name === part)!.weights) {
        values.set(name, {width: shape.at(-1)!, values: this.weights[weights[name]!]!});
      }
      for (const input of model.graph.input) {
        if (input.name !== 'cache' && !values.has(input.name)) throw new Error(`${part} takes '${input.name}'`);
      }
      for (const node of model.graph.node) this.#run(model, node, values, layer);
      const hidden = values.get('hidden_out') as Rows | undefined;
      if (hidden) given.set('hidden', hidden);
      else {
        const {width, values: logits} = values.get('logits') as Rows;
        return Array.from({length: starts.at(-1)!}, (_, row) => logits.slice(row * width, (row + 1) * width));
      }
    }
    throw new Error('the sequence ends without logits');
  }

  #run(model: Model, node: NodeProto, values: Map<string, Tensor>, layer: number | undefined): void {
    const constant = (name: string): Float32Array => {
      const tensor = model.graph.initializer.find((each) => each.name === name);
      if (!tensor) throw new Error(`'${name}' is no constant`);
      const {bytes} = model.source(tensor) as BytesSource;
      const {buffer} = Uint8Array.from(bytes);
      return tensor.dataType === 7 ? Float32Array.from(new BigInt64Array(buffer), Number) : new Float32Array(buffer);
    };
    const rows = (at: number): Rows => {
      const name = node.input[at]!;
      return (values.get(name) as Rows | undefined) ?? {width: 1, values: constant(name)};
    };
    const ints = (name: string): Int32Array => values.get(name) as Int32Array;
    const flag = (name: string): number => intAttribute(node, name, 0);
    const set = (at: number, width: number, made: Float32Array): void => {
      if (node.output[at]) values.set(node.output[at], {width, values: made});
    };
    const combine = (operate: (a: number, b: number) => number): void => {
      const [a, b] = [rows(0), rows(1)];
      set(
        0,
        a.width,
        a.values.map((value, at) => operate(value, b.values[b.values.length === 1 ? 0 : at]!)),
      );
    };
    switch (node.domain === '' ? node.opType : `${node.domain}.${node.opType}`) {
      case 'tensorrt_node.Embed':
      case 'tensorrt_node.QuantizedEmbed': {
        const {width, values: table} = rows(1);
        const tokens = ints(node.input[0]!);
        const made = new Float32Array(tokens.length * width);
        for (const [row, token] of tokens.entries()) made.set(table.subarray(token * width, (token + 1) * width), row * width);
        set(0, width, made);
        return;
      }
      case 'tensorrt_node.RmsNorm': {
        const x = rows(0);
        const skip = node.input[2] ? rows(2).values : undefined;
        const sum = skip ? x.values.map((value, at) => value + skip[at]!) : x.values;
        set(0, x.width, normalized({...x, values: sum}, rows(1).values, floatAttribute(node, 'epsilon', 0)));
        set(1, x.width, sum);
        return;
      }
      case 'tensorrt_node.GatedActivation': {
        const {width, values} = gated(rows(0), stringAttribute(node, 'activation', ''));
        set(0, width, values);
        return;
      }
      case 'tensorrt_node.Unpack':
        set(0, rows(0).width, rows(0).values);
        return;
      case 'tensorrt_node.Linear':
      case 'tensorrt_node.QuantizedLinear': {
        const [norm, bias, residual] = optionalInputs(node, ['has_norm', 'has_bias', 'has_residual']);
        const x = rows(0);
        const epsilon = floatAttribute(node, 'epsilon', 0);
        const from = norm === undefined ? x : {...x, values: normalized(x, rows(norm).values, epsilon)};
        const product = multiply(from, rows(1), bias === undefined ? undefined : rows(bias).values);
        const activation = stringAttribute(node, 'activation', 'none');
        const {width, values: result} = activation === 'none' ? product : gated(product, activation);
        const added = residual === undefined ? undefined : rows(residual).values;
        set(0, width, added ? result.map((value, at) => value + added[at]!) : result);
        return;
      }
      case 'tensorrt_node.Attention':
        set(0, flag('heads') * flag('head_size'), this.#attention(node, rows(0), rows(1), rows(2), values, layer!));
        return;
      case 'Gemm': {
        if (!flag('transB')) throw new Error('Gemm takes [inner, outer]');
        const {width, values: product} = multiply(rows(0), rows(1), node.input[2] ? rows(2).values : undefined);
        set(0, width, product);
        return;
      }
      case 'Add':
        combine((a, b) => a + b);
        return;
      case 'Mul':
        combine((a, b) => a * b);
        return;
      case 'Div':
        combine((a, b) => a / b);
        return;
      case 'Tanh':
        set(0, rows(0).width, rows(0).values.map(Math.tanh));
        return;
      case 'Cast':
        set(0, rows(0).width, rows(0).values);
        return;
      case 'Reshape':
        set(0, constant(node.input[1]!)[1]!, rows(0).values);
        return;
      case 'Slice': {
        const {width, values: x} = rows(0);
        const [from, to] = [constant(node.input[1]!)[0]!, constant(node.input[2]!)[0]!];
        set(
          0,
          to - from,
          x.filter((_, at) => at % width >= from && at % width < to),
        );
        return;
      }
      case 'Concat': {
        const parts = node.input.map((_, at) => rows(at));
        const width = parts.reduce((sum, part) => sum + part.width, 0);
        const made = new Float32Array((parts[0]!.values.length / parts[0]!.width) * width);
        for (let row = 0, at = 0; at < made.length; row++) {
          for (const part of parts) {
            made.set(part.values.subarray(row * part.width, (row + 1) * part.width), at);
            at += part.width;
          }
        }
        set(0, width, made);
        return;
      }
      default:
        throw new Error(`${node.domain}.${node.opType} is not for TensorRT`);
    }
  }

  #attention(node: NodeProto, qkv: Rows, cos: Rows, sin: Rows, given: Map<string, Tensor>, layer: number): Float32Array {
    const [heads, kvHeads, size, rotary, pageSize, window] = (
      ['heads', 'kv_heads', 'head_size', 'rotary_size', 'page_size', 'window'] as const
    ).map((name) => intAttribute(node, name, 0)) as [number, number, number, number, number, number];
    const interleaved = intAttribute(node, 'interleaved', 0);
    const [scale, softcap] = [floatAttribute(node, 'scale', 0), floatAttribute(node, 'softcap', 0)];
    if (qkv.width !== (heads + 2 * kvHeads) * size) throw new Error(`attention has rows of ${qkv.width}`);
    const tensor = (name: string) => given.get(name) as Int32Array;
    const [starts, slots, positions] = [tensor('run_starts'), tensor('run_slots'), tensor('positions')];
    let cache = this.#cache.get(layer);
    if (!cache) {
      const elements = this.slots * PAGES_PER_SLOT * kvHeads * pageSize * size;
      cache = {keys: new Float32Array(elements), values: new Float32Array(elements)};
      this.#cache.set(layer, cache);
    }
    const {keys, values} = cache;
    const place = (slot: number, position: number, head: number): number => {
      const page = this.#pages[slot * PAGES_PER_SLOT + Math.floor(position / pageSize)]!;
      return ((page * kvHeads + head) * pageSize + (position % pageSize)) * size;
    };
    const rotated = (row: number, head: number, position: number): Float32Array => {
      const from = row * qkv.width + head * size;
      const turned = qkv.values.slice(from, from + size);
      const pairs = rotary / 2;
      for (let pair = 0; pair < pairs; pair++) {
        const [i, j] = interleaved ? [2 * pair, 2 * pair + 1] : [pair, pair + pairs];
        const [c, s] = [cos.values[position * pairs + pair]!, sin.values[position * pairs + pair]!];
        const [a, b] = [qkv.values[from + i]!, qkv.values[from + j]!];
        turned[i] = a * c - b * s;
        turned[j] = b * c + a * s;
      }
      return turned;
    };

    const out = new Float32Array(positions.length * heads * size);
    for (const [run, slot] of slots.entries()) {
      for (let row = starts[run]!; row < starts[run + 1]!; row++) {
        for (let head = 0; head < kvHeads; head++) {
          const at = place(slot, positions[row]!, head);
          keys.set(rotated(row, heads + head, positions[row]!), at);
          const from = row * qkv.width + (heads + kvHeads + head) * size;
          values.set(qkv.values.subarray(from, from + size), at);
        }
      }
      for (let row = starts[run]!; row < starts[run + 1]!; row++) {
        const position = positions[row]!;
        const first = window > 0 ? Math.max(0, position - window + 1) : 0;
        for (let head = 0; head < heads; head++) {
          const query = rotated(row, head, position);
          const shared = Math.floor((head * kvHeads) / heads);
          const scores: number[] = [];
          for (let seen = first; seen <= position; seen++) {
            const at = place(slot, seen, shared);
            let score = 0;
            for (let index = 0; index < size; index++) score += query[index]! * keys[at + index]!;
            score *= scale;
            scores.push(softcap ? softcap * Math.tanh(score / softcap) : score);
          }
          const largest = Math.max(...scores);
          const weights = scores.map((score) => Math.exp(score - largest));
          const total = weights.reduce((sum, weight) => sum + weight, 0);
          for (const [offset, weight] of weights.entries()) {
            const at = place(slot, first + offset, shared);
            for (let index = 0; index < size; index++) out[(row * heads + head) * size + index]! += (weight / total) * values[at + index]!;
          }
        }
      }
    }
    return out;
  }
}

const ACTIVATIONS = {
  silu: (x: number) => x / (1 + Math.exp(-x)),
  gelu_tanh: (x: number) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
  gelu_erf: (x: number) => 0.5 * x * (1 + erf(x / Math.SQRT2)),
};

/** Abramowitz and Stegun 7.1.26: off by 1.5e-7 at most. */
function erf(x: number): number {
  const t = 1 / (1 + 0.3275911 * Math.abs(x));
  const polynomial = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
  return Math.sign(x) * (1 - polynomial * Math.exp(-x * x));
}

/** x [rows, inner] * transpose(weight [outer, inner]) + bias. */
/** Rows divided by their root mean squares, times a weight. */
function normalized({width, values}: Rows, weight: Float32Array, epsilon: number): Float32Array {
  if (weight.length !== width) throw new Error(`a norm of ${weight.length} elements for rows of ${width}`);
  const made = new Float32Array(values.length);
  for (let row = 0; row < values.length; row += width) {
    let squares = 0;
    for (let at = row; at < row + width; at++) squares += values[at]! ** 2;
    const root = Math.sqrt(squares / width + epsilon);
    for (let at = 0; at < width; at++) made[row + at] = (values[row + at]! / root) * weight[at]!;
  }
  return made;
}

/** The second halves of rows, each times the activation of the first. */
function gated({width, values}: Rows, activation: string): Rows {
  const half = width / 2;
  const activate = ACTIVATIONS[activation as keyof typeof ACTIVATIONS];
  const made = new Float32Array(values.length / 2);
  for (let at = 0; at < made.length; at++) {
    const from = Math.floor(at / half) * width + (at % half);
    made[at] = activate(values[from]!) * values[from + half]!;
  }
  return {width: half, values: made};
}

/** Where the optional inputs of a Linear are, in the order of the attributes that say whether they are there. */
function optionalInputs(node: NodeProto, attributes: readonly string[]): (number | undefined)[] {
  let next = 2;
  const places = attributes.map((name) => (intAttribute(node, name, 0) ? next++ : undefined));
  if (node.input.length !== next) throw new Error('Linear has inputs that its attributes do not say');
  return places;
}

function multiply(x: Rows, weight: Rows, bias?: Float32Array): Rows {
  const inner = x.width;
  if (weight.width !== inner) throw new Error(`a product of rows of ${inner} with a weight of ${weight.width} columns`);
  const outer = weight.values.length / inner;
  const rows = x.values.length / inner;
  const made = new Float32Array(rows * outer);
  const w = weight.values;
  // Each row of the weight once for all rows of x: the weight is what is large.
  for (let out = 0; out < outer; out++) {
    const from = out * inner;
    for (let row = 0; row < rows; row++) {
      const at = row * inner;
      let sum = bias?.[out] ?? 0;
      for (let index = 0; index < inner; index++) sum += x.values[at + index]! * w[from + index]!;
      made[row * outer + out] = sum;
    }
  }
  return {width: outer, values: made};
}
