/** Small Llamas as other exporters write them, with random weights: what lowering must know besides our own import. */

import {uniform} from '../../lib/backend/cpu/random.js';
import {float32ToFloat16} from '../../lib/import/numeric/float16.js';
import {DataType} from '../../lib/onnx/data_type.js';
import {float, GraphBuilder, int, ints} from '../../lib/onnx/graph_builder.js';
import type {Model} from '../../lib/onnx/model.js';

export interface ExportOptions {
  /**
   * genai: onnxruntime-genai's builder, contrib operators, rotation in nodes of its own. plain: torch.onnx, ONNX's own
   * operators alone, caches concatenated.
   */
  style: 'genai' | 'plain';
  /** Products of the blocks in MatMulNBits, 4 bits with zero points. genai alone. */
  quantized?: boolean;
  /** Block size of `quantized`. Default 16; then also without zero points. */
  blockSize?: number;
  /** Products of the blocks and the embedding of codes that DequantizeLinear takes. */
  dequantized?: DequantizedOptions;
  /** The embedding in GatherBlockQuantized, in blocks of 32: as bytes with two codes or one, or of a 4-bit type. */
  gathered?: 'bytes4' | 'bytes8' | 'int4' | 'uint4';
  /** Elements of hidden rows, and between the products of an MLP. Default 32 and 48. */
  hidden?: number;
  inner?: number;
  /** Attention rotates by itself (do_rotary), so that positions are no input. genai alone. */
  rotatingAttention?: boolean;
  /** One product makes q, k and v. genai alone. */
  packed?: boolean;
  /** Biases of q, k and v, or of some. */
  biases?: boolean | readonly ('q' | 'k' | 'v')[];
  /** Tokens a query sees, itself included; a list gives each layer its own, 0 for all. */
  window?: number | readonly number[];
  heads?: number;
  kvHeads?: number;
  headSize?: number;
  layers?: number;
  /** plain: weights, cache and logits in half precision; norms, rotation and softmax in single. */
  half?: boolean;
  /** 'gelu_tanh' and 'gelu_erf' as plain operators. */
  activation?: 'silu' | 'gelu_tanh' | 'gelu_erf';
  /** cap * tanh(x / cap) of the logits, as Gemma has it. */
  logitsCap?: number;
  /** Embeddings are multiplied by it, as Gemma's are. */
  embeddingScale?: number;
  /** Pairs that are rotated are neighbours (genai alone), or a part of the head (both). */
  interleaved?: boolean;
  rotarySize?: number;
  /** Layers without positions. genai alone. */
  unrotated?: readonly number[];
  /** plain: scores are computed from queries and keys that are both scaled by a root, as torch's own attention does. */
  rootScale?: boolean;
  /** Norms multiply by 1 + weight, as Gemma's do. plain alone. */
  shiftedNorms?: boolean;
  /** plain: queries and keys are normalized by head, as Qwen3's are. */
  headNorms?: boolean;
  /** What attention and MLP make is normalized before it is added, as Gemma 2 has it. */
  postNorms?: boolean;
  /** plain: as transformers has it since SDPA; hidden scores are chosen, not added. */
  whereMask?: boolean;
  /** plain: cap * tanh(scores / cap). */
  softcap?: number;
}

/** How DequantizeLinear has a product's weight. */
export interface DequantizedOptions {
  codes: 'int8' | 'uint8' | 'int4' | 'uint4' | 'float8';
  /** Inputs that share a scale. Left out: an output has one. */
  block?: number;
  /** Stored as [outputs, inputs], with a Transpose behind; else as the product takes it. Default true. */
  byOutputs?: boolean;
  /** 'none' is left out: zero. Default 'none'. */
  zeroPoints?: 'none' | 'middle' | 'random';
}

const CODES = {
  int8: {type: DataType.INT8, bits: 8, middle: 0, reach: 127},
  uint8: {type: DataType.UINT8, bits: 8, middle: 128, reach: 127},
  int4: {type: DataType.INT4, bits: 4, middle: 0, reach: 7},
  uint4: {type: DataType.UINT4, bits: 4, middle: 8, reach: 7},
  float8: {type: DataType.FLOAT8E4M3FN, bits: 8, middle: 0, reach: 448},
} as const;

export const EXPORTED_VOCABULARY = 40;
const POSITIONS = 64;
const MICROSOFT = 'com.microsoft';

export function exportedDecoder(options: ExportOptions): Model {
  return new Export(options).build();
}

class Export {
  readonly b: GraphBuilder = GraphBuilder.create({name: 'exported', opsets: {'': 17, [MICROSOFT]: 1}, irVersion: 8});
  readonly heads: number;
  readonly kvHeads: number;
  readonly size: number;
  readonly rotary: number;
  draws = 0;
  readonly type: DataType;
  readonly hidden: number;
  readonly inner: number;

  constructor(readonly options: ExportOptions) {
    this.heads = options.heads ?? 4;
    this.kvHeads = options.kvHeads ?? 2;
    this.size = options.headSize ?? 16;
    this.rotary = options.rotarySize ?? this.size;
    this.hidden = options.hidden ?? 32;
    this.inner = options.inner ?? 48;
    if (options.dequantized || options.gathered)
      this.b = GraphBuilder.create({name: 'exported', opsets: {'': 21, [MICROSOFT]: 1}, irVersion: 10});
    this.type = options.half ? DataType.FLOAT16 : DataType.FLOAT;
  }

  build(): Model {
    const {b, options} = this;
    const {layers = 2, style} = options;
    b.input('input_ids', DataType.INT64, ['batch_size', 'sequence_length']);
    b.input('attention_mask', DataType.INT64, ['batch_size', 'total_sequence_length']);
    if (!options.rotatingAttention) b.input('position_ids', DataType.INT64, ['batch_size', 'sequence_length']);
    for (let layer = 0; layer < layers; layer++) {
      for (const part of ['key', 'value']) {
        b.input(`past_key_values.${layer}.${part}`, this.type, ['batch_size', this.kvHeads, 'past_sequence_length', this.size]);
      }
    }
    const context = style === 'plain' ? this.#plainContext() : this.#genaiContext();

    let hidden = this.#embedding();
    if (options.embeddingScale) hidden = b.op('Mul', [hidden, this.numbers('embed_scale', [options.embeddingScale], [])]);
    for (let layer = 0; layer < layers; layer++) {
      const normed = this.norm(`${layer}.input_norm`, hidden);
      const attended = context(layer, normed);
      const post = (name: string, x: string) => (options.postNorms ? this.norm(`${layer}.${name}`, x) : x);
      hidden = b.op('Add', [hidden, post('attention_post_norm', this.linear(`${layer}.o`, attended, this.heads * this.size, this.hidden))]);
      const middle = this.norm(`${layer}.post_norm`, hidden);
      const gate = this.activation(this.linear(`${layer}.gate`, middle, this.hidden, this.inner));
      const gated = b.op('Mul', [gate, this.linear(`${layer}.up`, middle, this.hidden, this.inner)]);
      hidden = b.op('Add', [hidden, post('mlp_post_norm', this.linear(`${layer}.down`, gated, this.inner, this.hidden))]);
    }
    const logits = b.op('MatMul', [this.norm('norm', hidden), this.weight('head', [this.hidden, EXPORTED_VOCABULARY])]);
    const cap = options.logitsCap;
    if (cap === undefined) b.op('Identity', [logits], {output: 'logits'});
    else {
      const number = this.numbers('cap', [cap], []);
      b.op('Mul', [b.op('Tanh', [b.op('Div', [logits, number])]), number], {output: 'logits'});
    }
    b.output('logits', this.type, ['batch_size', 'sequence_length', EXPORTED_VOCABULARY]);
    for (let layer = 0; layer < layers; layer++) {
      for (const part of ['key', 'value']) {
        b.output(`present.${layer}.${part}`, this.type, ['batch_size', this.kvHeads, 'total_sequence_length', this.size]);
      }
    }
    return b.build();
  }

  window(layer: number): number {
    const {window = 0} = this.options;
    return typeof window === 'number' ? window : window[layer]!;
  }

  random(count: number, reach: number, mean = 0): number[] {
    return Array.from({length: count}, () => mean + (uniform(9, this.draws++) * 2 - 1) * reach);
  }

  weight(name: string, dims: readonly number[]): string {
    const count = dims.reduce((a, c) => a * c, 1);
    return this.numbers(name, dims.length === 1 ? this.random(count, 0.3, 1) : this.random(count, 1.7 / Math.sqrt(dims[0]!)), dims);
  }

  /** A constant of the model's type; its name is made unique. */
  numbers(name: string, values: readonly number[], dims: readonly number[] = [values.length]): string {
    if (!this.options.half) return this.b.float32(name, values, dims);
    const bytes = new Uint8Array(float32ToFloat16(Float32Array.from(values)).buffer);
    let free = name;
    for (let count = 1; this.b.has(free); count++) free = `${name}_${count}`;
    return this.b.initializer(free, this.type, dims, bytes);
  }

  cast(x: string, type: DataType): string {
    return this.options.half ? this.b.op('Cast', [x], {attributes: {to: int(type)}}) : x;
  }

  linear(name: string, x: string, inner: number, outer: number, bias = false): string {
    const {b} = this;
    const product = this.options.quantized ? this.quantized(name, x, inner, outer) : b.op('MatMul', [x, this.#factor(name, inner, outer)]);
    return bias ? b.op('Add', [this.numbers(`${name}.bias`, this.random(outer, 0.5)), product]) : product;
  }

  #embedding(): string {
    const {gathered} = this.options;
    if (gathered === undefined) return this.b.op('Gather', [this.#table(), 'input_ids']);
    const {b, hidden} = this;
    const bits = gathered === 'bytes8' ? 8 : 4;
    const type = {bytes4: DataType.UINT8, bytes8: DataType.UINT8, int4: DataType.INT4, uint4: DataType.UINT4}[gathered];
    const bytes = Uint8Array.from({length: (EXPORTED_VOCABULARY * hidden * bits) / 8}, () => uniform(9, this.draws++) * 256);
    const columns = gathered === 'bytes4' ? hidden / 2 : hidden;
    const codes = b.initializer('embed.codes', type, [EXPORTED_VOCABULARY, columns], bytes);
    const scales = b.float32('embed.scales', this.random((EXPORTED_VOCABULARY * hidden) / 32, 0.05, 0.1), [
      EXPORTED_VOCABULARY,
      hidden / 32,
    ]);
    const isTyped = gathered === 'int4' || gathered === 'uint4';
    return b.op('GatherBlockQuantized', [codes, 'input_ids', scales], {
      domain: MICROSOFT,
      attributes: {block_size: int(32), gather_axis: int(0), quantize_axis: int(1), ...(isTyped ? {} : {bits: int(bits)})},
    });
  }

  #table(): string {
    const {dequantized} = this.options;
    // Zero points of an embedding's would be a form of their own.
    return dequantized
      ? this.dequantized('embed', EXPORTED_VOCABULARY, this.hidden, {...dequantized, byOutputs: true})
      : this.weight('embed', [EXPORTED_VOCABULARY, this.hidden]);
  }

  #factor(name: string, inner: number, outer: number): string {
    const {dequantized} = this.options;
    if (dequantized === undefined) return this.weight(name, [inner, outer]);
    const made = this.dequantized(name, outer, inner, dequantized);
    return dequantized.byOutputs === false ? made : this.b.op('Transpose', [made], {attributes: {perm: ints([1, 0])}});
  }

  /** [outer, inner], or stored the other way. */
  dequantized(
    name: string,
    outer: number,
    inner: number,
    {codes, block, byOutputs = true, zeroPoints = 'none'}: DequantizedOptions,
  ): string {
    const {b} = this;
    const {type, bits, middle, reach} = CODES[codes];
    const blocks = block === undefined ? 1 : inner / block;
    const dims = byOutputs ? [outer, inner] : [inner, outer];
    const scaleDims = block === undefined ? [outer] : byOutputs ? [outer, blocks] : [blocks, outer];
    const random = (count: number) => Uint8Array.from({length: count}, () => uniform(9, this.draws++) * 256);
    const codeBytes = random((outer * inner * bits) / 8);
    // 0x7f and 0xff are not numbers.
    const stored = codes === 'float8' ? codeBytes.map((byte) => ((byte & 0x7f) > 0x70 ? byte & 0x8f : byte)) : codeBytes;
    const scales = this.numbers(
      `${name}.scales`,
      this.random(outer * blocks, 0.4 / reach / Math.sqrt(inner), 2 / reach / Math.sqrt(inner)),
      scaleDims,
    );
    const inputs = [b.initializer(`${name}.codes`, type, dims, stored), scales];
    if (zeroPoints !== 'none') {
      const zeroBytes = Math.ceil((outer * blocks * bits) / 8);
      const whole = bits === 4 ? middle * 17 : middle;
      const zeros = zeroPoints === 'middle' ? new Uint8Array(zeroBytes).fill(whole) : random(zeroBytes);
      inputs.push(b.initializer(`${name}.zeros`, type, scaleDims, zeros));
    }
    const axis = block === undefined ? (byOutputs ? 0 : 1) : byOutputs ? 1 : 0;
    const attributes = {axis: int(axis), ...(block === undefined ? {} : {block_size: int(block)})};
    return b.op('DequantizeLinear', inputs, {attributes});
  }

  quantized(name: string, x: string, inner: number, outer: number): string {
    const {b} = this;
    const {blockSize = 16} = this.options;
    const blocks = Math.ceil(inner / blockSize);
    const bytes = (count: number) => Uint8Array.from({length: count}, () => uniform(9, this.draws++) * 256);
    const codes = b.initializer(`${name}.qweight`, DataType.UINT8, [outer, blocks, blockSize / 2], bytes((outer * blocks * blockSize) / 2));
    const scales = b.float32(`${name}.scales`, this.random(outer * blocks, 0.05, 0.05), [outer * blocks]);
    const zeroBytes = outer * Math.ceil(blocks / 2);
    const zeros = b.initializer(`${name}.qzeros`, DataType.UINT8, [zeroBytes], bytes(zeroBytes));
    return b.op('MatMulNBits', [x, codes, scales, zeros], {
      domain: MICROSOFT,
      attributes: {K: int(inner), N: int(outer), bits: int(4), block_size: int(blockSize), accuracy_level: int(0)},
    });
  }

  norm(name: string, x: string, size = this.hidden): string {
    const {b} = this;
    let weight = this.weight(name, [size]);
    if (this.options.style === 'genai') {
      return b.op('SimplifiedLayerNormalization', [x, weight], {attributes: {epsilon: float(1e-5), axis: int(-1), stash_type: int(1)}});
    }
    if (this.options.shiftedNorms) weight = b.op('Add', [weight, this.numbers('one', [1], [])]);
    const single = this.cast(x, DataType.FLOAT);
    const square = b.op('Pow', [single, b.float32('two', [2], [])]);
    const mean = b.op('ReduceMean', [square], {attributes: {axes: ints([-1]), keepdims: int(1)}});
    const root = b.op('Sqrt', [b.op('Add', [mean, b.float32('epsilon', [1e-5], [])])]);
    const normed = b.op('Mul', [single, b.op('Div', [b.float32('one', [1], []), root])]);
    return b.op('Mul', [weight, this.cast(normed, this.type)]);
  }

  activation(x: string): string {
    const {b} = this;
    const number = (value: number) => this.numbers('number', [value], []);
    switch (this.options.activation ?? 'silu') {
      case 'silu':
        return b.op('Mul', [x, b.op('Sigmoid', [x])]);
      case 'gelu_erf': {
        const curve = b.op('Add', [b.op('Erf', [b.op('Div', [x, number(Math.SQRT2)])]), number(1)]);
        return b.op('Mul', [b.op('Mul', [x, curve]), number(0.5)]);
      }
      case 'gelu_tanh': {
        const cubic = b.op('Mul', [number(0.044715), b.op('Pow', [x, number(3)])]);
        const inner = b.op('Mul', [number(Math.sqrt(2 / Math.PI)), b.op('Add', [x, cubic])]);
        return b.op('Mul', [b.op('Mul', [number(0.5), x]), b.op('Add', [number(1), b.op('Tanh', [inner])])]);
      }
    }
  }

  inverseFrequencies(): number[] {
    return Array.from({length: this.rotary / 2}, (_, pair) => 10_000 ** ((-2 * pair) / this.rotary));
  }

  project(layer: number, normed: string): [query: string, key: string, value: string] {
    const {heads, kvHeads, size} = this;
    const {biases = false} = this.options;
    const product = (part: 'q' | 'k' | 'v', count: number) =>
      this.linear(`${layer}.${part}`, normed, this.hidden, count * size, typeof biases === 'boolean' ? biases : biases.includes(part));
    return [product('q', heads), product('k', kvHeads), product('v', kvHeads)];
  }

  #genaiContext(): (layer: number, normed: string) => string {
    const {b, options} = this;
    const toInt32 = {attributes: {to: int(DataType.INT32)}};
    const sum = b.op('ReduceSum', ['attention_mask', b.int64('axis', [1])], {attributes: {keepdims: int(0)}});
    const last = b.op('Cast', [b.op('Sub', [sum, b.int64('one', [1])])], toInt32);
    const total = b.op('Cast', [b.op('Gather', [b.op('Shape', ['attention_mask']), b.int64('index', [1], [])])], toInt32);
    const frequencies = this.inverseFrequencies();
    const table = (name: string, wave: (angle: number) => number) =>
      b.float32(
        name,
        Array.from({length: POSITIONS * frequencies.length}, (_, at) =>
          wave(Math.floor(at / frequencies.length) * frequencies[at % frequencies.length]!),
        ),
        [POSITIONS, frequencies.length],
      );
    const [cos, sin] = [table('cos_cache', Math.cos), table('sin_cache', Math.sin)];
    const rotate = (x: string, heads: number, layer: number) =>
      options.unrotated?.includes(layer)
        ? x
        : b.op('RotaryEmbedding', [x, 'position_ids', cos, sin], {
            domain: MICROSOFT,
            attributes: {
              interleaved: int(options.interleaved ? 1 : 0),
              ...(this.rotary === this.size ? {} : {num_heads: int(heads), rotary_embedding_dim: int(this.rotary)}),
            },
          });
    return (layer, normed) => {
      const attended = `${layer}.attended`;
      const past = ['key', 'value'].map((part) => `past_key_values.${layer}.${part}`);
      let made: string[];
      if (options.packed) {
        made = [this.linear(`${layer}.qkv`, normed, this.hidden, (this.heads + 2 * this.kvHeads) * this.size), '', ''];
      } else {
        const [query, key, value] = this.project(layer, normed);
        made = options.rotatingAttention
          ? [query, key, value]
          : [rotate(query, this.heads, layer), rotate(key, this.kvHeads, layer), value];
      }
      const tables = options.rotatingAttention ? [cos, sin] : [];
      b.node('GroupQueryAttention', [...made, ...past, last, total, ...tables], {
        domain: MICROSOFT,
        outputs: [attended, `present.${layer}.key`, `present.${layer}.value`],
        attributes: {
          num_heads: int(this.heads),
          kv_num_heads: int(this.kvHeads),
          ...(this.window(layer) ? {local_window_size: int(this.window(layer))} : {}),
          ...(options.rotatingAttention ? {do_rotary: int(1), rotary_interleaved: int(0)} : {}),
        },
      });
      return attended;
    };
  }

  #plainContext(): (layer: number, normed: string) => string {
    const {b, heads, kvHeads, size, options} = this;
    const {rotary} = this;
    const scalar = (value: number) => b.int64('index', [value], []);
    const at = (shape: string, index: number) => b.op('Gather', [shape, scalar(index)]);
    const axes = (...values: number[]) => b.int64('axes', values);
    const wide = (x: string, ...values: number[]) => b.op('Unsqueeze', [x, axes(...values)]);

    // cos and sin [batch, 1, sequence, rotary], of positions times frequencies.
    const frequencies = this.inverseFrequencies();
    const batch = at(b.op('Shape', ['position_ids']), 0);
    const expandTo = b.op('Concat', [wide(batch, 0), b.int64('pairs', [frequencies.length]), b.int64('one', [1])], {
      attributes: {axis: int(0)},
    });
    const inverse = b.op('Expand', [b.float32('inv_freq', frequencies, [1, frequencies.length, 1]), expandTo]);
    const positions = b.op('Cast', [wide('position_ids', 1)], {attributes: {to: int(DataType.FLOAT)}});
    const angles = b.op('Transpose', [b.op('MatMul', [inverse, positions])], {attributes: {perm: ints([0, 2, 1])}});
    const both = b.op('Concat', [angles, angles], {attributes: {axis: int(-1)}});
    const [cos, sin] = ['Cos', 'Sin'].map((wave) =>
      wide(this.cast(b.op('Mul', [b.op(wave, [both]), b.float32('attention_scaling', [1], [])]), this.type), 1),
    ) as [string, string];

    // 0 where a key is seen, and the lowest float where not: [batch, 1, sequence, total].
    const total = at(b.op('Shape', ['attention_mask']), 1);
    const past = at(b.op('Shape', ['past_key_values.0.key']), 2);
    const keys = b.op('Range', [scalar(0), total, scalar(1)]);
    const queries = wide(b.op('Range', [past, total, scalar(1)]), 1);
    const later = b.op('Greater', [keys, queries]);
    const hiddenBy = (window: number) =>
      window ? b.op('Or', [later, b.op('LessOrEqual', [keys, b.op('Sub', [queries, scalar(window)])])]) : later;
    const padded = b.op('Equal', [wide('attention_mask', 1, 2), b.int64('zero', [0])]);
    const lowest = () => this.numbers('lowest', [options.half ? -65504 : -3.4028234663852886e38], []);
    const maskOf = (layer: number) =>
      b.op('Where', [b.op('Or', [wide(hiddenBy(this.window(layer)), 0, 1), padded]), lowest(), this.numbers('nothing', [0], [])]);

    const split = (x: string, count: number, norm?: string) => {
      const parts = b.op('Reshape', [x, this.#shape(x, [count, size])]);
      const normed = norm !== undefined && options.headNorms ? this.norm(norm, parts, size) : parts;
      return b.op('Transpose', [normed], {attributes: {perm: ints([0, 2, 1, 3])}});
    };
    const cut = (x: string, from: number, to: number) =>
      b.op('Slice', [x, b.int64('from', [from]), b.int64('to', [to]), axes(3), b.int64('step', [1])]);
    const rotate = (x: string) => {
      const turned = rotary === size ? x : cut(x, 0, rotary);
      const halves = [b.op('Neg', [cut(turned, rotary / 2, Number.MAX_SAFE_INTEGER)]), cut(turned, 0, rotary / 2)];
      const quarter = b.op('Concat', halves, {attributes: {axis: int(-1)}});
      const made = b.op('Add', [b.op('Mul', [turned, cos]), b.op('Mul', [quarter, sin])]);
      return rotary === size ? made : b.op('Concat', [made, cut(x, rotary, Number.MAX_SAFE_INTEGER)], {attributes: {axis: int(-1)}});
    };
    const repeat = (x: string) => {
      if (heads === kvHeads) return x;
      const shape = b.op('Shape', [x]);
      const sizes = (...middle: string[]) =>
        b.op('Concat', [wide(at(shape, 0), 0), ...middle, wide(at(shape, 2), 0), b.int64('size', [size])], {attributes: {axis: int(0)}});
      const copies = b.op('Expand', [wide(x, 2), sizes(b.int64('kv_heads', [kvHeads]), b.int64('copies', [heads / kvHeads]))]);
      return b.op('Reshape', [copies, sizes(b.int64('heads', [heads]))]);
    };

    return (layer, normed) => {
      const [query, key, value] = this.project(layer, normed);
      b.op('Concat', [`past_key_values.${layer}.key`, rotate(split(key, kvHeads, `${layer}.k_norm`))], {
        output: `present.${layer}.key`,
        attributes: {axis: int(-2)},
      });
      b.op('Concat', [`past_key_values.${layer}.value`, split(value, kvHeads)], {
        output: `present.${layer}.value`,
        attributes: {axis: int(-2)},
      });
      let [q, k] = [
        rotate(split(query, heads, `${layer}.q_norm`)),
        b.op('Transpose', [repeat(`present.${layer}.key`)], {attributes: {perm: ints([0, 1, 3, 2])}}),
      ];
      let scores: string;
      if (options.rootScale) {
        const root = this.numbers('root', [size ** -0.25], []);
        [q, k] = [b.op('Mul', [q, root]), b.op('Mul', [k, root])];
        scores = b.op('MatMul', [q, k]);
      } else {
        scores = b.op('Div', [b.op('MatMul', [q, k]), this.numbers('root_of_size', [Math.sqrt(size)], [])]);
      }
      if (options.softcap) {
        const number = this.numbers('softcap', [options.softcap], []);
        scores = b.op('Mul', [b.op('Tanh', [b.op('Div', [scores, number])]), number]);
      }
      const mask = maskOf(layer);
      const masked = options.whereMask
        ? b.op('Where', [b.op('Equal', [mask, this.numbers('nothing', [0], [])]), scores, lowest()])
        : b.op('Add', [scores, mask]);
      const softmax = b.op('Softmax', [this.cast(masked, DataType.FLOAT)], {attributes: {axis: int(-1)}});
      const weights = this.cast(softmax, this.type);
      const attended = b.op('MatMul', [weights, repeat(`present.${layer}.value`)]);
      const joined = b.op('Transpose', [attended], {attributes: {perm: ints([0, 2, 1, 3])}});
      return b.op('Reshape', [joined, this.#shape(normed, [heads * size])]);
    };
  }

  /** [batch, sequence, ...last], of what has batch and sequence first. */
  #shape(x: string, last: readonly number[]): string {
    const {b} = this;
    const shape = b.op('Shape', [x]);
    const first = [0, 1].map((index) => b.op('Unsqueeze', [b.op('Gather', [shape, b.int64('index', [index], [])]), b.int64('axes', [0])]));
    return b.op('Concat', [...first, b.int64('last', last)], {attributes: {axis: int(0)}});
  }
}
