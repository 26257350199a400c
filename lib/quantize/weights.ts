/** The matrices of a model that can be quantised, and the nodes that take them. */

import {DataType} from '../onnx/data_type.js';
import {floatAttribute, GraphIndex, intAttribute, intsAttribute} from '../onnx/graph.js';
import {isPlumbing, isTokens} from '../onnx/lower/runtime_values.js';
import type {Model} from '../onnx/model.js';
import type {NodeProto, TensorProto} from '../onnx/onnx_pb.js';
import type {NativeFloats} from './native.js';
import {blockReader, denseReader, type WeightReader} from './weight_reader.js';

/** A node that takes a weight: a product with it, or rows of it by the tokens' numbers. */
export interface Use {
  kind: 'product' | 'rows';
  node: NodeProto;
  /** What is multiplied, or the tokens. */
  input: string;
  output: string;
  /** Added to the product. */
  bias?: string;
}

export interface Weight {
  /** 'model.layers.0.mlp.down_proj': the node's name without its operator, or else the tensor's. */
  name: string;
  reader: WeightReader;
  uses: Use[];
  /** What its values are in the graph: of the products. */
  type: DataType;
  /** Whether a product with it makes the logits. */
  head: boolean;
}

const FLOATS: ReadonlyMap<number, NativeFloats> = new Map([
  [DataType.FLOAT, 'float32'],
  [DataType.FLOAT16, 'float16'],
  [DataType.BFLOAT16, 'bfloat16'],
]);

/** In the order of the graph; a matrix that several nodes take is one. */
export function findWeights(model: Model): Weight[] {
  return new Finder(model).find();
}

class Finder {
  readonly #index: GraphIndex;
  readonly #found = new Map<string, Weight>();
  readonly #plumbing = new Map<string, boolean>();

  constructor(readonly model: Model) {
    this.#index = new GraphIndex(model.graph);
  }

  find(): Weight[] {
    for (const node of this.model.graph.node) this.#visit(node);
    // Rows alone make an embedding; a table that is only looked up in for something else is none.
    return [...this.#found.values()];
  }

  #visit(node: NodeProto): void {
    if (node.opType === 'MatMul' && node.domain === '') this.#matMul(node);
    else if (node.opType === 'Gemm' && node.domain === '') this.#gemm(node);
    else if (node.opType === 'Gather' && node.domain === '') this.#gather(node);
    else if (node.opType === 'MatMulNBits') this.#matMulNBits(node);
    else if (node.opType === 'GatherBlockQuantized') this.#gatherBlockQuantized(node);
  }

  #matMul(node: NodeProto): void {
    const [input, weight] = node.input as [string, string];
    const transpose = this.#index.producers.get(weight);
    if (transpose?.opType === 'Transpose') {
      const tensor = this.#matrix(transpose.input[0]!);
      const perm = intsAttribute(transpose, 'perm', [1, 0]);
      if (tensor && perm[0] === 1 && perm[1] === 0) this.#dense(tensor, false, {kind: 'product', node, input, output: node.output[0]!});
      return;
    }
    const tensor = this.#matrix(weight);
    if (tensor) this.#dense(tensor, true, {kind: 'product', node, input, output: node.output[0]!});
  }

  #gemm(node: NodeProto): void {
    const [input, weight, bias] = node.input as [string, string, string | undefined];
    const plain = intAttribute(node, 'transA', 0) === 0 && floatAttribute(node, 'alpha', 1) === 1 && floatAttribute(node, 'beta', 1) === 1;
    const tensor = this.#matrix(weight);
    if (!tensor || !plain) return;
    this.#dense(tensor, intAttribute(node, 'transB', 0) === 0, {
      kind: 'product',
      node,
      input,
      output: node.output[0]!,
      ...(bias ? {bias} : {}),
    });
  }

  #gather(node: NodeProto): void {
    const [table, input] = node.input as [string, string];
    const tensor = this.#matrix(table);
    if (tensor && intAttribute(node, 'axis', 0) === 0) this.#dense(tensor, false, {kind: 'rows', node, input, output: node.output[0]!});
  }

  #matMulNBits(node: NodeProto): void {
    const [input, codes, scales, zeroPoints, groups, bias] = node.input as (string | undefined)[];
    const [inner, outer, block] = (['K', 'N', 'block_size'] as const).map((name) => intAttribute(node, name, 0)) as [
      number,
      number,
      number,
    ];
    if (groups || !outer || !inner || !block) return;
    const use: Use = {kind: 'product', node, input: input!, output: node.output[0]!, ...(bias ? {bias} : {})};
    this.#blocks({codes: codes!, scales: scales!, zeroPoints}, {outer, inner, block, bits: intAttribute(node, 'bits', 4)}, use);
  }

  #gatherBlockQuantized(node: NodeProto): void {
    const [codes, input, scales, zeroPoints] = node.input as [string, string, string, string | undefined];
    const bits = intAttribute(node, 'bits', 4);
    const block = intAttribute(node, 'block_size', 128);
    const axis = intAttribute(node, 'quantize_axis', 1);
    const dims = this.#index.initializers.get(codes)?.dims.map(Number);
    if (dims?.length !== 2 || intAttribute(node, 'gather_axis', 0) !== 0 || (axis !== 1 && axis !== -1)) return;
    const [outer, packed] = dims as [number, number];
    const inner = (packed * 8) / bits;
    // Its codes are stored without what fills up a row's last block.
    if (inner % block !== 0) return;
    this.#blocks({codes, scales, zeroPoints}, {outer, inner, block, bits}, {kind: 'rows', node, input, output: node.output[0]!});
  }

  #dense(tensor: TensorProto, transposed: boolean, use: Use): void {
    const type = FLOATS.get(tensor.dataType)!;
    const dims = tensor.dims.map(Number) as [number, number];
    const [outer, inner] = transposed ? [dims[1], dims[0]] : dims;
    this.#add(tensor.name, use, tensor.dataType, outer, inner, () =>
      denseReader({source: this.model.source(tensor), type, outer, inner, transposed}),
    );
  }

  #blocks(
    names: {codes: string; scales: string; zeroPoints: string | undefined},
    layout: {outer: number; inner: number; bits: number; block: number},
    use: Use,
  ): void {
    const [codes, scales, zeroPoints] = [names.codes, names.scales, names.zeroPoints].map((name) => this.#constant(name));
    const scaleType = FLOATS.get(scales?.dataType ?? -1);
    const zeroType = zeroPoints === undefined ? 'none' : zeroPoints.dataType === DataType.UINT8 ? 'codes' : FLOATS.get(zeroPoints.dataType);
    if (!codes || !scales || !scaleType || zeroType === undefined || (names.zeroPoints && !zeroPoints)) return;
    if (layout.bits !== 4 && layout.bits !== 8) return;
    const {model} = this;
    // By the scales: the two ends of a tied table want the same codes in different shapes.
    this.#add(scales.name, use, scales.dataType, layout.outer, layout.inner, () =>
      blockReader({
        codes: model.source(codes),
        scales: model.source(scales),
        zeroPoints: zeroPoints && model.source(zeroPoints),
        scaleType,
        zeroPointType: zeroType,
        ...layout,
      }),
    );
  }

  #add(key: string, use: Use, type: DataType, outer: number, inner: number, read: () => WeightReader): void {
    if (!this.#served(use)) return;
    const known = this.#found.get(key);
    const name = moduleOf(use.node, key);
    const head = use.kind === 'product' && this.#makesLogits(use.output);
    if (known === undefined) {
      this.#found.set(key, {name, reader: read(), uses: [use], type, head});
    } else if (known.reader.outer === outer && known.reader.inner === inner) {
      known.uses.push(use);
      known.head ||= head;
    }
  }

  /** What tokens and hidden rows go through; not what computes masks and positions. */
  #served({kind, input}: Use): boolean {
    return kind === 'rows' ? isTokens(this.#index, input) : !isPlumbing(this.#index, input, this.#plumbing);
  }

  /** Whether the product goes to the logits through nothing but operators on single elements. */
  #makesLogits(output: string): boolean {
    for (let name = output, steps = 0; steps < 8; steps++) {
      if (name === 'logits') return this.#index.isOutput(name);
      const [taker, ...others] = this.#index.consumers.get(name) ?? [];
      if (!taker || others.length > 0 || !ELEMENTWISE.has(taker.opType)) return false;
      name = taker.output[0]!;
    }
    return false;
  }

  #matrix(name: string): TensorProto | undefined {
    const tensor = this.#constant(name);
    return tensor?.dims.length === 2 && FLOATS.has(tensor.dataType) ? tensor : undefined;
  }

  /** An initializer that callers cannot replace. */
  #constant(name: string | undefined): TensorProto | undefined {
    if (!name || this.model.graph.input.some((input) => input.name === name)) return undefined;
    return this.#index.initializers.get(name);
  }
}

const ELEMENTWISE = new Set(['Add', 'Mul', 'Div', 'Cast', 'Tanh', 'Identity']);

/** `/model/layers.0/mlp/down_proj/MatMul` to `model.layers.0.mlp.down_proj`. */
function moduleOf(node: NodeProto, tensor: string): string {
  const path = node.name.split('/').filter((part) => part !== '');
  if (path.length >= 2) return path.slice(0, -1).join('.');
  return tensor.replace(/\.(weight|scales)$/, '');
}
