/** Puts quantised weights in the place of those that nodes of a model take. */

import {UnsupportedError} from '../errors.js';
import {DataType} from '../onnx/data_type.js';
import {type GraphBuilder, int, ints} from '../onnx/graph_builder.js';
import {type Replacement, replaceNodes} from '../onnx/lower/replace_nodes.js';
import type {Model} from '../onnx/model.js';
import type {QuantizedMatrix} from './quantized_matrix.js';
import type {Use, Weight} from './weights.js';

const MICROSOFT = 'com.microsoft';
/** From which on DequantizeLinear takes E4M3, and scales in half precision. */
const FLOAT8_OPSET = 19;
/** From which on it takes a scale for each row. */
const ROWS_OPSET = 13;

/** Changes `model`. Throws UnsupportedError where its operators are too old for a format. */
export function replaceWeights(model: Model, replaced: ReadonlyMap<Weight, QuantizedMatrix>): void {
  const opset = Number(model.proto.opsetImport.find(({domain}) => domain === '' || domain === 'ai.onnx')?.version ?? 0n);
  const replacements = [...replaced].flatMap(([weight, matrix]) => {
    const names = new Parts(weight, matrix);
    return weight.uses.map((use): Replacement => ({last: [use.node], build: (builder) => build(builder, use, names, opset)}));
  });
  replaceNodes(model, replacements);
}

function build(builder: GraphBuilder, use: Use, parts: Parts, opset: number): void {
  if (use.kind === 'rows') gather(builder, use, parts);
  else if (use.bias === undefined) multiply(builder, use, parts, opset, use.output);
  else builder.op('Add', [multiply(builder, use, parts, opset), use.bias], {name: `${parts.node}/Add`, output: use.output});
}

function multiply(builder: GraphBuilder, use: Use, parts: Parts, opset: number, output?: string): string {
  const {format} = parts.matrix;
  if (format.kind === 'int8Rows' || format.kind === 'float8Rows') return multiplyRows(builder, use, parts, opset, output);
  builder.importOpset(MICROSOFT, 1);
  const {inner, outer} = parts.matrix;
  return builder.op('MatMulNBits', [use.input, parts.codes(builder), parts.scales(builder), ...parts.zeroPoints(builder)], {
    domain: MICROSOFT,
    name: `${parts.node}/MatMulNBits`,
    output,
    attributes: {K: int(inner), N: int(outer), bits: int(format.bits), block_size: int(format.block)},
  });
}

function multiplyRows(builder: GraphBuilder, use: Use, parts: Parts, opset: number, output?: string): string {
  const {weight, node} = parts;
  const float8 = parts.matrix.format.kind === 'float8Rows';
  const needed = float8 || weight.type !== DataType.FLOAT ? FLOAT8_OPSET : ROWS_OPSET;
  if (opset < needed) throw new UnsupportedError(`the model has operators of ONNX ${opset}; this format needs ${needed}`);
  const rows = builder.op('DequantizeLinear', [parts.rowCodes(builder), parts.scales(builder)], {
    name: `${node}/DequantizeLinear`,
    attributes: {axis: int(0)},
  });
  const columns = builder.op('Transpose', [rows], {name: `${node}/Transpose`, attributes: {perm: ints([1, 0])}});
  return builder.op('MatMul', [use.input, columns], {name: `${node}/MatMul`, output});
}

function gather(builder: GraphBuilder, use: Use, parts: Parts): void {
  builder.importOpset(MICROSOFT, 1);
  const {format} = parts.matrix;
  builder.op('GatherBlockQuantized', [parts.tableCodes(builder), use.input, parts.scales(builder), ...parts.zeroPoints(builder)], {
    domain: MICROSOFT,
    name: `${parts.node}/GatherBlockQuantized`,
    output: use.output,
    attributes: {bits: int(format.bits), block_size: int(format.block), gather_axis: int(0), quantize_axis: int(1)},
  });
}

/** The initializers of a weight, made when the first node asks for them. */
class Parts {
  readonly #made = new Map<string, string>();

  constructor(
    readonly weight: Weight,
    readonly matrix: QuantizedMatrix,
  ) {}

  /** Prefix of nodes' names. */
  get node(): string {
    return `/${this.weight.name.replace(/\.(?!\d)/g, '/')}`;
  }

  get #blocks(): number {
    return Math.ceil(this.matrix.inner / this.matrix.format.block);
  }

  codes(builder: GraphBuilder): string {
    const {outer, codes} = this.matrix;
    return this.#initializer(builder, 'codes', DataType.UINT8, [outer, this.#blocks, codes.byteLength / outer / this.#blocks], codes);
  }

  /** The same codes as GatherBlockQuantized wants them; one place in the file. */
  tableCodes(builder: GraphBuilder): string {
    const {outer, codes} = this.matrix;
    return this.#initializer(builder, 'codes_2d', DataType.UINT8, [outer, codes.byteLength / outer], codes);
  }

  rowCodes(builder: GraphBuilder): string {
    const {format, outer, inner, codes} = this.matrix;
    const type = format.kind === 'float8Rows' ? DataType.FLOAT8E4M3FN : DataType.INT8;
    return this.#initializer(builder, 'codes', type, [outer, inner], codes);
  }

  scales(builder: GraphBuilder): string {
    const {format, outer, scales} = this.matrix;
    const type = format.scales === 'float16' ? DataType.FLOAT16 : DataType.FLOAT;
    const wholeRows = format.kind === 'int8Rows' || format.kind === 'float8Rows';
    return this.#initializer(builder, 'scales', type, wholeRows ? [outer] : [outer, this.#blocks], scales);
  }

  zeroPoints(builder: GraphBuilder): string[] {
    const {outer, zeroPoints} = this.matrix;
    if (zeroPoints === undefined) return [];
    return [this.#initializer(builder, 'zero_points', DataType.UINT8, [outer, zeroPoints.byteLength / outer], zeroPoints)];
  }

  #initializer(builder: GraphBuilder, suffix: string, type: DataType, dims: number[], source: QuantizedMatrix['codes']): string {
    const known = this.#made.get(suffix);
    if (known !== undefined) return known;
    let name = `${this.weight.name}.weight.${suffix}`;
    // That of a model that was quantised before is there until nothing takes it any more.
    for (let count = 1; builder.has(name); count++) name = `${this.weight.name}.weight_${count}.${suffix}`;
    this.#made.set(suffix, builder.initializer(name, type, dims, source));
    return name;
  }
}
