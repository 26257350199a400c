/**
 * A product with a DequantizeLinear weight of integers becomes MatMulNBits: the same weights at the same size, and then the
 * rewrites of that apply. Left to itself, ONNX Runtime would do so at accuracy level 4, whatever is asked for.
 */

import {topologicalOrder} from '../../../onnx/check.js';
import {DataType} from '../../../onnx/data_type.js';
import {GraphIndex, intAttribute, intsAttribute} from '../../../onnx/graph.js';
import {GraphBuilder, int} from '../../../onnx/graph_builder.js';
import type {Model} from '../../../onnx/model.js';
import type {NodeProto, TensorProto} from '../../../onnx/onnx_pb.js';

/** The new codes travel inside the protocol buffer, which ends at 2 GiB: beyond this, matrices stay as they are. */
const MAX_BYTES = 1.5 * 2 ** 30;
/** Of a row with one scale: the largest that divides it. */
const BLOCK_SIZES = [128, 64, 32, 16];
const SMALLEST_BLOCK = 16;

interface IntegerType {
  bits: 4 | 8;
  signed: boolean;
}

const INTEGERS: Readonly<Partial<Record<number, IntegerType>>> = {
  [DataType.INT8]: {bits: 8, signed: true},
  [DataType.UINT8]: {bits: 8, signed: false},
  [DataType.INT4]: {bits: 4, signed: true},
  [DataType.UINT4]: {bits: 4, signed: false},
};

/** What is in no such form stays as it is. Rejects with what reading the model's files does. */
export async function blockDequantizedProducts(model: Model): Promise<void> {
  const {graph} = model;
  const index = new GraphIndex(graph);
  const builder = GraphBuilder.extend(model);
  /** By the weight's value: several products may take one. */
  const made = new Map<string, {inputs: string[]; weight: Weight}>();
  let bytes = 0;
  for (const node of [...graph.node]) {
    const weight = weightOf(node, index);
    if (weight === undefined) continue;
    const name = node.input[1]!;
    let blocks = made.get(name);
    if (blocks === undefined) {
      const size = (weight.outer * weight.inner * weight.bits) / 8;
      if (bytes + size > MAX_BYTES) continue;
      bytes += size;
      blocks = {inputs: await initializersOf(model, builder, name, weight), weight};
      made.set(name, blocks);
    }
    const {outer, inner, bits, block} = weight;
    node.opType = 'MatMulNBits';
    node.domain = 'com.microsoft';
    node.input = [node.input[0]!, ...blocks.inputs];
    node.attribute = Object.entries({K: inner, N: outer, bits, block_size: block}).map(([key, value]) => int(value)(key));
  }
  if (made.size === 0) return;
  builder.importOpset('com.microsoft', 1);
  graph.node = topologicalOrder(graph, model.label);
}

/** Whether integers are left that ONNX Runtime should keep as they are: in float32 they would take four or eight times the memory. */
export function hasDequantizedIntegers({graph}: Model): boolean {
  const {initializers} = new GraphIndex(graph);
  return graph.node.some(({opType, input}) => opType === 'DequantizeLinear' && (initializers.get(input[0]!)?.dataType ?? 0) in INTEGERS);
}

interface Weight extends IntegerType {
  codes: TensorProto;
  scales: TensorProto;
  zeroPoints: TensorProto | undefined;
  /** Whether the file holds [outer, inner], a row for each result; else it holds [inner, outer]. */
  rows: boolean;
  /** Results, N. */
  outer: number;
  /** Terms of a sum, K. */
  inner: number;
  /** Of MatMulNBits. */
  block: number;
  /** Consecutive terms with one scale in the file; `inner` where a row has one. */
  scaled: number;
  /** Whether all have one scale. */
  single: boolean;
}

/** Of a product with (the transpose of) a matrix of integers, in a form that blocks can say. */
function weightOf(node: NodeProto, {producers, initializers}: GraphIndex): Weight | undefined {
  if (node.opType !== 'MatMul' || node.domain !== '') return undefined;
  let maker = producers.get(node.input[1]!);
  const rows = maker?.opType === 'Transpose' && maker.domain === '' && intsAttribute(maker, 'perm', [1, 0]).join() === '1,0';
  if (rows) maker = producers.get(maker!.input[0]!);
  if (maker?.opType !== 'DequantizeLinear' || maker.domain !== '') return undefined;
  const [codes, scales, zeroPoints] = maker.input.map((name) => initializers.get(name));
  const type = codes && INTEGERS[codes.dataType];
  if (type === undefined || scales === undefined || codes!.dims.length !== 2) return undefined;
  if (maker.input[2] && zeroPoints === undefined) return undefined;
  if (scales.dataType !== DataType.FLOAT && scales.dataType !== DataType.FLOAT16) return undefined;
  const [first, second] = codes!.dims.map(Number) as [number, number];
  const [outer, inner] = rows ? [first, second] : [second, first];
  const [outerAxis, innerAxis] = rows ? [0, 1] : [1, 0];
  const axis = (intAttribute(maker, 'axis', 1) + 2) % 2;
  const blockSize = intAttribute(maker, 'block_size', 0);
  const common = {...type, codes: codes!, scales, zeroPoints, rows, outer, inner};
  if (blockSize > 0) {
    const isPower = (blockSize & (blockSize - 1)) === 0;
    if (axis !== innerAxis || blockSize < SMALLEST_BLOCK || !isPower) return undefined;
    return {...common, block: blockSize, scaled: blockSize, single: false};
  }
  const single = scales.dims.every((dim) => dim === 1n);
  if (!single && axis !== outerAxis) return undefined;
  const block = BLOCK_SIZES.find((size) => inner % size === 0) ?? 32;
  return {...common, block, scaled: inner, single};
}

/** Names of codes, scales and, unless they are the middle, zero points. */
async function initializersOf(model: Model, builder: GraphBuilder, name: string, weight: Weight): Promise<string[]> {
  const {bits, signed, rows, outer, inner, block, scaled, single, scales} = weight;
  const blocks = Math.ceil(inner / block);
  const middle = 2 ** (bits - 1);
  // A signed code c is the unsigned c + middle, two's complement with its highest bit turned round.
  const flip = signed ? middle : 0;
  const codes = await model.readTensorData(weight.codes);
  const codeAt = (data: Uint8Array, at: number) => (bits === 8 ? data[at]! : (data[at >> 1]! >> (4 * (at & 1))) & 15) ^ flip;

  const scaledBlocks = Math.ceil(inner / scaled);
  /** Where the file has the scale and zero point of a block. */
  const placeOf = (row: number, column: number) => {
    if (single) return 0;
    const at = Math.floor((column * block) / scaled);
    return rows ? row * scaledBlocks + at : at * outer + row;
  };
  const zeroData = weight.zeroPoints && (await model.readTensorData(weight.zeroPoints));
  const zeros = new Uint8Array(outer * blocks).fill(flip);
  const scaleBytes = await model.readTensorData(scales);
  const width = scaleBytes.length / Number(scales.dims.reduce((product, dim) => product * dim, 1n));
  const blockScales = new Uint8Array(outer * blocks * width);
  for (let row = 0; row < outer; row++) {
    for (let column = 0; column < blocks; column++) {
      const place = placeOf(row, column);
      const to = row * blocks + column;
      if (zeroData !== undefined) zeros[to] = codeAt(zeroData, place);
      for (let byte = 0; byte < width; byte++) blockScales[to * width + byte] = scaleBytes[place * width + byte]!;
    }
  }

  const perBlock = (block * bits) / 8;
  const packed = rows && inner % block === 0 ? flipped(codes, bits, flip) : repacked();
  function repacked(): Uint8Array {
    const data = new Uint8Array(outer * blocks * perBlock);
    for (let row = 0; row < outer; row++) {
      for (let column = 0; column < inner; column++) {
        const code = codeAt(codes, rows ? row * inner + column : column * outer + row);
        const at = row * blocks * block + column;
        if (bits === 8) data[at] = code;
        else data[at >> 1]! |= code << (4 * (at & 1));
      }
    }
    return data;
  }
  const initializer = (suffix: string, type: DataType, dims: number[], data: Uint8Array) =>
    builder.initializer(`${name}/${suffix}`, type, dims, data);
  const inputs = [
    initializer('codes', DataType.UINT8, [outer, blocks, perBlock], packed),
    initializer('scales', scales.dataType, [outer, blocks], blockScales),
  ];
  if (zeros.every((zero) => zero === middle)) return inputs;
  return [...inputs, initializer('zeros', DataType.UINT8, [outer, Math.ceil((blocks * bits) / 8)], packedZeros(zeros, blocks, bits))];
}

function flipped(codes: Uint8Array, bits: 4 | 8, flip: number): Uint8Array {
  const mask = bits === 8 ? flip : flip | (flip << 4);
  return mask === 0 ? codes : codes.map((byte) => byte ^ mask);
}

/** A row's zero points are packed as codes are; each row begins with a byte. */
function packedZeros(zeros: Uint8Array, blocks: number, bits: 4 | 8): Uint8Array {
  if (bits === 8) return zeros;
  const width = Math.ceil(blocks / 2);
  const packed = new Uint8Array((zeros.length / blocks) * width);
  for (const [at, zero] of zeros.entries()) {
    const column = at % blocks;
    packed[Math.floor(at / blocks) * width + (column >> 1)]! |= zero << (4 * (column & 1));
  }
  return packed;
}
