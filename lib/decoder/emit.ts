/** A section of a decoder as an ONNX model for TensorRT: our plugins' operators, and ONNX's where TensorRT's are as good. */

import {UnsupportedError} from '../errors.js';
import {DataType} from '../onnx/data_type.js';
import {float, GraphBuilder, int, type NodeOptions, string, uniqueName} from '../onnx/graph_builder.js';
import type {Model} from '../onnx/model.js';
import type {Section} from './blocks.js';
import type {DecoderShape, RowRange} from './lowered_decoder.js';
import {type PackedFormat, packedBytes, packedFormatOf} from './packed_format.js';
import {inputsOf, type OperatorOf, type RowsGraph, type Value, type Weight} from './rows_graph.js';
import {inlineRows, type WeightType} from './weight_ref.js';

/** Domain of our operators, and namespace of the plugins that TensorRT has for them. */
export const PLUGINS = 'tensorrt_node';

/** Opset of ONNX's operators: TensorRT 10.6 reads it. */
const OPSET = 17;

const ONNX_TYPES: Readonly<Record<WeightType, DataType>> = {
  float16: DataType.FLOAT16,
  bfloat16: DataType.BFLOAT16,
  float32: DataType.FLOAT,
};

export interface NamedWeight {
  name: string;
  type: WeightType;
  shape: readonly number[];
  weight: Weight;
  /** Where it stays quantized. */
  packed?: PackedFormat;
}

export interface EmitOptions {
  shape: DecoderShape;
  range: RowRange;
  /** Whether weights that are quantized are floats for the kernels all the same. */
  dequantize: boolean;
}

export interface EmittedSection {
  model: Model;
  /** The section's own; equal sections have equal names. */
  weights: readonly NamedWeight[];
}

export function emitSection(graph: RowsGraph, section: Section, options: EmitOptions): EmittedSection {
  return new Emitter(graph, section, options).run();
}

class Emitter {
  readonly #builder: GraphBuilder;
  readonly #type: DataType;
  readonly #weights: NamedWeight[] = [];
  readonly #taken = new Set<string>();
  /** Names of the values made so far. */
  readonly #names = new Map<Value, string>();
  readonly #takers = new Map<Value, Value[]>();
  readonly shape: DecoderShape;
  readonly range: RowRange;
  readonly #dequantize: boolean;
  /** By product that is a kernel of ours: a residual is added by the product whose result it is added to. */
  readonly #residuals = new Map<Value, {sum: Value; other: Value}>();
  /** By norm: a sum that is normalized is added up by the norm. */
  readonly #sums = new Map<Value, Value>();
  /** By such a product: the norm of what it takes, and the activation that gates its halves. */
  readonly #norms = new Map<Value, Value>();
  readonly #gates = new Map<Value, Value>();
  /** Made together with another operator. */
  readonly #fused = new Set<Value>();
  /** The product that makes logits: it and what follows are float32. */
  readonly #head: Value | undefined;

  constructor(
    readonly graph: RowsGraph,
    readonly section: Section,
    {shape, range, dequantize}: EmitOptions,
  ) {
    this.shape = shape;
    this.range = range;
    this.#dequantize = dequantize;
    this.#builder = GraphBuilder.create({name: section.kind, opsets: {'': OPSET, [PLUGINS]: 1}, irVersion: 8});
    this.#type = ONNX_TYPES[shape.type];
    for (const value of section.values) {
      for (const input of inputsOf(graph.get(value))) this.#takers.set(input, [...(this.#takers.get(input) ?? []), value]);
    }
    this.#head = section.kind === 'epilogue' ? section.values.filter((value) => graph.as(value, 'Linear')).at(-1) : undefined;
  }

  run(): EmittedSection {
    const {graph, section} = this;
    if (section.input !== undefined) {
      this.#names.set(section.input, this.#input('hidden', this.#type, ['rows', graph.get(section.input).width]));
    }
    for (const value of section.values) this.#planFusion(value);
    for (const value of section.values) if (!this.#fused.has(value)) this.#emit(value);
    const result = section.values.at(-1)!;
    const type = this.#isFloat32(result) ? DataType.FLOAT : this.#type;
    this.#builder.output(this.#name(result), type, ['rows', graph.get(result).width]);
    return {model: this.#builder.build(), weights: this.#weights};
  }

  #planFusion(value: Value): void {
    const operator = this.graph.get(value);
    if (operator.op === 'Add') this.#planSum(value, operator);
    else if (operator.op === 'RmsNorm') this.#planNorm(value);
    else if (operator.op === 'GatedActivation') this.#planGate(value, operator);
  }

  /** A norm that one product alone takes is part of it: each other would have to normalize again. */
  #planNorm(norm: Value): void {
    const [product, ...others] = this.#takersOf(norm);
    if (product === undefined || others.length > 0 || this.#sums.has(norm) || !this.#isOurs(product)) return;
    this.#norms.set(product, norm);
    this.#fused.add(norm);
  }

  #planGate(gated: Value, {gateUp}: OperatorOf<'GatedActivation'>): void {
    if (!this.#isGated(gateUp) || !this.#isOurs(gateUp)) return;
    this.#gates.set(gateUp, gated);
    this.#fused.add(gated);
  }

  #planSum(value: Value, sum: OperatorOf<'Add'>): void {
    const product = this.#ownProduct(sum);
    if (product !== undefined) {
      this.#residuals.set(product, {sum: value, other: product === sum.a ? sum.b : sum.a});
      this.#fused.add(value);
      return;
    }
    const norm = this.#takersOf(value).find((taker) => this.graph.as(taker, 'RmsNorm'));
    if (norm === undefined) return;
    this.#sums.set(norm, value);
    this.#fused.add(value);
  }

  /** The later operand, if it is a product that nobody else takes. */
  #ownProduct({a, b}: OperatorOf<'Add'>): Value | undefined {
    const product = Math.max(a, b);
    const own = a !== b && this.section.values.includes(product) && this.#isOurs(product);
    return own && this.#takersOf(product).length === 1 ? product : undefined;
  }

  /**
   * Whether a product is a kernel of ours, which does with it what comes right before and after: of few rows, and with a
   * weight that stays quantized of all but the rows of prompts. Others are TensorRT's.
   */
  #isOurs(value: Value): boolean {
    const linear = this.graph.as(value, 'Linear');
    if (linear === undefined || this.range === 'prefill') return false;
    return this.range === 'decode' || this.#packedOf(value) !== undefined;
  }

  /** Whether what a product makes is halves for one activation alone. */
  #isGated(value: Value): boolean {
    const [taker, ...others] = this.#takersOf(value);
    if (taker === undefined || others.length > 0 || !this.section.values.includes(value)) return false;
    return this.graph.as(value, 'Linear') !== undefined && this.graph.as(taker, 'GatedActivation') !== undefined;
  }

  /** How the weight of a product stays quantized: in all ranges alike. */
  #packedOf(value: Value): PackedFormat | undefined {
    return this.#packed(this.graph.as(value, 'Linear')!.weight, this.#isGated(value));
  }

  #packed({rows}: Weight, gated: boolean): PackedFormat | undefined {
    return this.#dequantize ? undefined : packedFormatOf(rows, gated);
  }

  #takersOf(value: Value): readonly Value[] {
    return this.#takers.get(value) ?? [];
  }

  #isFloat32(value: Value): boolean {
    return this.#head !== undefined && value >= this.#head;
  }

  /** The name of a value, which is made now if it waits for a norm that comes later. */
  #name(value: Value): string {
    if (!this.#names.has(value)) this.#emit(value);
    return this.#names.get(value)!;
  }

  #free(prefix: string): string {
    return uniqueName(prefix, this.#taken);
  }

  /** A name for what `value` is to be called. */
  #output(value: Value, prefix: string): string {
    const isResult = value === this.section.values.at(-1);
    const name = isResult ? (this.section.kind === 'epilogue' ? 'logits' : 'hidden_out') : this.#free(prefix);
    this.#names.set(value, name);
    return name;
  }

  /** Declares an input once. */
  #input(name: string, type: DataType, dims: readonly (number | string)[]): string {
    if (this.#taken.has(name)) return name;
    this.#taken.add(name);
    return this.#builder.input(name, type, dims);
  }

  #weight(prefix: string, weight: Weight, type: WeightType = this.shape.type): string {
    const name = this.#free(prefix);
    const shape = weight.inner === 0 ? [weight.outer] : [weight.outer, weight.inner];
    this.#weights.push({name, type, shape, weight});
    return this.#builder.input(name, ONNX_TYPES[type], shape);
  }

  /** A matrix for the kernels that take it quantized. */
  #packedWeight(prefix: string, weight: Weight, packed: PackedFormat): string {
    const name = this.#free(prefix);
    const {outer, inner} = weight;
    this.#weights.push({name, type: this.shape.type, shape: [outer, inner], weight, packed});
    return this.#builder.input(name, DataType.INT32, [packedBytes(packed, outer, inner) / 4]);
  }

  /** Attributes of operators on a packed matrix. */
  #formatOf({outer, inner}: Weight, {codes, offsets, block, gated}: PackedFormat): NonNullable<NodeOptions['attributes']> {
    return {
      outer: int(outer),
      inner: int(inner),
      codes: string(codes),
      offsets: string(offsets),
      block: int(block),
      gated: int(gated ? 1 : 0),
    };
  }

  #plugin(opType: string, inputs: readonly string[], outputs: readonly string[], attributes: NonNullable<NodeOptions['attributes']>): void {
    this.#builder.node(opType, inputs, {
      domain: PLUGINS,
      outputs,
      // TensorRT's parser finds a plugin by these.
      attributes: {...attributes, plugin_namespace: string(PLUGINS), plugin_version: string('1')},
    });
  }

  #emit(value: Value): void {
    const operator = this.graph.get(value);
    switch (operator.op) {
      case 'Embed':
        this.#embed(value, operator);
        break;
      case 'RmsNorm':
        this.#norm(value, operator);
        break;
      case 'HeadNorm':
        this.#headNorm(value, operator);
        break;
      case 'Linear':
        this.#linear(value, operator);
        break;
      case 'GatedActivation': {
        const attributes = {activation: string(operator.activation)};
        this.#plugin('GatedActivation', [this.#name(operator.gateUp)], [this.#output(value, 'gated')], attributes);
        break;
      }
      case 'Attention':
        this.#attention(value, operator);
        break;
      case 'Add':
        this.#onnx('Add', [this.#name(operator.a), this.#name(operator.b)], value, 'sum');
        break;
      case 'Scale':
        this.#onnx('Mul', [this.#name(operator.x), this.#scalar(value, operator.factor)], value, 'scaled');
        break;
      case 'Softcap':
        this.#softcap(value, operator);
        break;
      case 'Slice':
        this.#slice(value, operator);
        break;
      case 'Concat': {
        const values = operator.values.map((each) => this.#name(each));
        this.#onnx('Concat', values, value, 'joined', {axis: int(1)});
        break;
      }
      case 'Activation':
        throw new UnsupportedError(`an activation (${operator.activation}) that is not multiplied with another projection`);
    }
  }

  #onnx(opType: string, inputs: readonly string[], value: Value, prefix: string, attributes?: NodeOptions['attributes']): void {
    this.#builder.node(opType, inputs, {outputs: [this.#output(value, prefix)], ...(attributes ? {attributes} : {})});
  }

  #embed(value: Value, {table}: OperatorOf<'Embed'>): void {
    const tokens = this.#input('tokens', DataType.INT32, ['rows']);
    const packed = this.#packed(table, false);
    if (packed !== undefined) {
      const attributes = {...this.#formatOf(table, packed), type: string(this.shape.type)};
      this.#plugin('QuantizedEmbed', [tokens, this.#packedWeight('table', table, packed)], [this.#output(value, 'embedded')], attributes);
      return;
    }
    this.#plugin('Embed', [tokens, this.#weight('table', table)], [this.#output(value, 'embedded')], {});
  }

  #norm(value: Value, {x, weight, epsilon}: OperatorOf<'RmsNorm'>): void {
    const attributes = {epsilon: float(epsilon)};
    const name = this.#normName(value);
    const sum = this.#sums.get(value);
    if (sum === undefined || this.#names.has(sum)) {
      const inputs = [this.#name(x), this.#weight(name, weight)];
      this.#plugin('RmsNorm', inputs, [this.#output(value, 'normed')], attributes);
      return;
    }
    const {a, b} = this.graph.as(sum, 'Add')!;
    const inputs = [this.#name(a), this.#weight(name, weight), this.#name(b)];
    const needed = sum === this.section.values.at(-1) || this.#takersOf(sum).length > 1;
    const outputs = [this.#output(value, 'normed'), ...(needed ? [this.#output(sum, 'sum')] : [])];
    // A plugin must know how many outputs it has before it sees the node's.
    this.#plugin('RmsNorm', inputs, outputs, {...attributes, has_sum: int(outputs.length - 1)});
  }

  /** Each head as a row of its own. */
  #headNorm(value: Value, {x, weight, epsilon, width}: OperatorOf<'HeadNorm'>): void {
    const shape = (size: number) => this.#builder.int64('shape', [-1, size]);
    const heads = this.#builder.op('Reshape', [this.#name(x), shape(weight.outer)]);
    const normed = this.#free('heads_normed');
    this.#plugin('RmsNorm', [heads, this.#weight('head_norm', weight)], [normed], {epsilon: float(epsilon)});
    this.#onnx('Reshape', [normed, shape(width)], value, 'heads_joined');
  }

  #linear(value: Value, {x, bias}: OperatorOf<'Linear'>): void {
    const name = this.#linearName(value);
    const rows = `${name}_rows`;
    if (this.#isOurs(value)) {
      this.#fusedLinear(value, name);
      return;
    }
    const inputs = [this.#name(x), this.#denseWeight(value, name), ...(bias ? [this.#weight(`${name}_bias`, bias)] : [])];
    // As many rows as these make it a product of matrices, at which TensorRT is good. It would add up in the type of the
    // factors; between casts it takes the same kernels, but adds up in float32.
    const wide = inputs.map((input) => this.#builder.op('Cast', [input], {attributes: {to: int(DataType.FLOAT)}}));
    const product = this.#builder.op('Gemm', wide, {attributes: {transB: int(1)}});
    this.#onnx('Cast', [product], value, rows, {to: int(this.#type)});
  }

  /** The weight of a product of TensorRT's: made anew in each step where it is kept quantized. */
  #denseWeight(value: Value, name: string): string {
    const {weight} = this.graph.as(value, 'Linear')!;
    const packed = this.#packedOf(value);
    if (packed === undefined) return this.#weight(name, weight);
    const unpacked = this.#free(`${name}_unpacked`);
    const attributes = {...this.#formatOf(weight, packed), type: string(this.shape.type)};
    this.#plugin('Unpack', [this.#packedWeight(name, weight, packed)], [unpacked], attributes);
    return unpacked;
  }

  /** A product with what comes right before and after it. */
  #fusedLinear(value: Value, name: string): void {
    const {x, weight, bias} = this.graph.as(value, 'Linear')!;
    const norm = this.#norms.get(value);
    const normed = norm === undefined ? undefined : this.graph.as(norm, 'RmsNorm')!;
    const gated = this.#gates.get(value);
    const residual = this.#residuals.get(value);
    const from = this.#name(normed?.x ?? x);
    // Weights are declared in the order of the operators, as in the other ranges.
    const normWeight = normed ? [this.#weight(this.#normName(norm!), normed.weight)] : [];
    const packed = this.#packedOf(value);
    const inputs = [from, packed === undefined ? this.#weight(name, weight) : this.#packedWeight(name, weight, packed), ...normWeight];
    if (bias !== undefined) inputs.push(this.#weight(`${name}_bias`, bias));
    if (residual !== undefined) inputs.push(this.#name(residual.other));
    const output = gated === undefined ? this.#output(residual?.sum ?? value, `${name}_rows`) : this.#output(gated, 'gated');
    this.#plugin(packed === undefined ? 'Linear' : 'QuantizedLinear', inputs, [output], {
      ...(packed === undefined ? {} : this.#formatOf(weight, packed)),
      has_norm: int(normed ? 1 : 0),
      epsilon: float(normed?.epsilon ?? 0),
      activation: string(gated === undefined ? 'none' : this.graph.as(gated, 'GatedActivation')!.activation),
      has_bias: int(bias ? 1 : 0),
      has_residual: int(residual ? 1 : 0),
      output_float32: int(value === this.#head ? 1 : 0),
    });
  }

  #attention(value: Value, {qkv, shape, rotary}: OperatorOf<'Attention'>): void {
    const {int32, int64} = {int32: DataType.INT32, int64: DataType.INT64};
    const tables = rotary ?? unrotated(this.shape.maxPositions);
    const inputs = [
      this.#name(qkv),
      this.#weight('cos', tables.cos, 'float32'),
      this.#weight('sin', tables.sin, 'float32'),
      this.#input('cache', int64, [2]),
      this.#input('pages', int32, ['slots', 'pages_per_slot']),
      this.#input('run_starts', int32, ['run_bounds']),
      this.#input('run_slots', int32, ['runs']),
      this.#input('positions', int32, ['rows']),
    ];
    this.#plugin('Attention', inputs, [this.#output(value, 'attended')], {
      heads: int(shape.heads),
      kv_heads: int(shape.kvHeads),
      head_size: int(shape.headSize),
      rotary_size: int(2 * tables.cos.inner),
      interleaved: int(shape.interleaved ? 1 : 0),
      page_size: int(this.shape.pageSize),
      window: int(shape.window),
      scale: float(shape.scale),
      softcap: float(shape.softcap),
      decode: int(this.range === 'prefill' ? 0 : 1),
      ...(this.shape.kvCacheType === 'auto' ? {} : {cache_type: string(this.shape.kvCacheType)}),
    });
  }

  #softcap(value: Value, {x, cap}: OperatorOf<'Softcap'>): void {
    const divided = this.#builder.op('Div', [this.#name(x), this.#scalar(value, cap)]);
    const bounded = this.#builder.op('Tanh', [divided]);
    this.#onnx('Mul', [bounded, this.#scalar(value, cap)], value, 'capped');
  }

  #slice(value: Value, {x, from, width}: OperatorOf<'Slice'>): void {
    const bounds = [from, from + width, 1].map((bound) => this.#builder.int64('bound', [bound]));
    this.#onnx('Slice', [this.#name(x), ...bounds], value, 'slice');
  }

  /** A number [1, 1] of the type that `value` has. */
  #scalar(value: Value, number: number): string {
    const constant = this.#builder.float32('number', [number], [1, 1]);
    if (this.#isFloat32(value)) return constant;
    return this.#builder.op('Cast', [constant], {attributes: {to: int(this.#type)}});
  }

  #linearName(value: Value): string {
    if (value === this.#head) return 'head';
    const takers = this.#takersOf(value).map((taker) => this.graph.get(taker).op);
    if (takers.some((op) => op === 'Attention' || op === 'Slice' || op === 'Concat')) return 'qkv';
    if (takers.includes('GatedActivation')) return 'gate_up';
    const {x} = this.graph.as(value, 'Linear')!;
    return {Attention: 'attention_output', GatedActivation: 'down'}[this.graph.get(x).op as string] ?? 'projection';
  }

  #normName(value: Value): string {
    if (this.section.kind !== 'block') return 'norm';
    const names = this.#takersOf(value).flatMap((taker) => (this.graph.as(taker, 'Linear') ? [this.#linearName(taker)] : []));
    if (names.includes('qkv')) return 'attention_norm';
    return names.includes('gate_up') ? 'mlp_norm' : 'norm';
  }
}

/** Tables that leave heads as they are, for layers without positions. */
function unrotated(positions: number): {cos: Weight; sin: Weight} {
  const table = (value: number): Weight => {
    const bytes = new Uint8Array(new Float32Array(positions).fill(value).buffer);
    return {outer: positions, inner: 1, rows: [inlineRows(positions, 1, 'float32', bytes)]};
  };
  return {cos: table(1), sin: table(0)};
}
