/** What a model's constants are as weights: initializers, and simple operators on them, which are not run but noted. */

import {UnsupportedError} from '../../errors.js';
import {DataType, dataTypeName} from '../../onnx/data_type.js';
import {type GraphIndex, intAttribute, intsAttribute, tensorAttribute} from '../../onnx/graph.js';
import type {Model} from '../../onnx/model.js';
import type {NodeProto, TensorProto} from '../../onnx/onnx_pb.js';
import {BytesSource, FileSource} from '../../onnx/tensor_source.js';
import {decode} from '../materialize.js';
import type {DenseRows, StoredBytes, WeightRows, WeightType} from '../weight_ref.js';
import {dequantizedMatrix} from './dequantize_linear.js';

export const WEIGHT_TYPES: ReadonlyMap<number, WeightType> = new Map([
  [DataType.FLOAT16, 'float16'],
  [DataType.BFLOAT16, 'bfloat16'],
  [DataType.FLOAT, 'float32'],
]);

/** A constant matrix as rows of what it is made of; a vector has one column. */
export interface ConstantRowsOf {
  /** 1 or 2. */
  rank: number;
  rows: number;
  columns: number;
  parts: readonly WeightRows[];
  /** Whether the parts are rows of its transpose: scales along the other dimension. */
  across?: boolean;
}

/** Reads the constants of one graph. `loadSources` must have run on the model. */
export class Constants {
  constructor(
    readonly model: Model,
    readonly index: GraphIndex,
  ) {}

  /** The tensor of an initializer or a Constant node, behind Identity. */
  tensor(name: string): TensorProto | undefined {
    if (this.index.graph.input.some((input) => input.name === name)) return undefined;
    const tensor = this.index.initializers.get(name);
    if (tensor) return tensor;
    const node = this.index.producers.get(name);
    if (node?.domain !== '') return undefined;
    if (node.opType === 'Constant') return tensorAttribute(node, 'value');
    return node.opType === 'Identity' ? this.tensor(node.input[0]!) : undefined;
  }

  /** Whether `name` depends on no input of the graph. */
  isConstant(name: string): boolean {
    if (this.tensor(name)) return true;
    const node = this.index.producers.get(name);
    return node !== undefined && node.input.length > 0 && node.input.every((each) => each === '' || this.isConstant(each));
  }

  /** The floats of a small constant of any shape; undefined for anything else. */
  floats(name: string): Float32Array | undefined {
    const tensor = this.tensor(name);
    const type = tensor && WEIGHT_TYPES.get(tensor.dataType);
    if (!tensor || !type) return undefined;
    const source = this.model.source(tensor);
    return source instanceof BytesSource ? decode(source.bytes, type) : undefined;
  }

  /** The one float of a constant that has one element. */
  scalar(name: string): number | undefined {
    const tensor = this.tensor(name);
    if (tensor?.dims.some((dim) => dim !== 1n)) return undefined;
    return this.floats(name)?.[0];
  }

  /** The bytes of a constant that are in memory, as those of zero points are after loadSources; undefined for any other. */
  loaded(name: string): Uint8Array | undefined {
    const tensor = this.tensor(name);
    const source = tensor && this.model.source(tensor);
    return source instanceof BytesSource ? source.bytes : undefined;
  }

  /** Where a tensor's bytes are. */
  bytes(tensor: TensorProto): StoredBytes {
    const source = this.model.source(tensor);
    if (source instanceof FileSource) return {file: source.file, offset: source.offset, length: source.byteLength};
    if (!(source instanceof BytesSource)) throw new RangeError(`the bytes of '${tensor.name}' are not loaded`);
    const {bytes} = source;
    const {path, fileBytes} = this.model;
    if (path !== undefined && fileBytes !== undefined && bytes.buffer === fileBytes.buffer && bytes.byteLength > 0) {
      return {file: path, offset: bytes.byteOffset - fileBytes.byteOffset, length: bytes.byteLength};
    }
    return {inline: bytes};
  }

  /**
   * A constant matrix or vector; undefined for what depends on an input. `taker` is what errors name. Throws
   * UnsupportedError for constants of other types and ranks, and for operators on them that have no equal here.
   */
  matrix(name: string, taker: string): ConstantRowsOf | undefined {
    if (!this.isConstant(name)) return undefined;
    const tensor = this.tensor(name);
    if (tensor) return this.#dense(tensor, taker);
    const node = this.index.producers.get(name)!;
    const inputs = node.input.map((each) => (each === '' ? undefined : each));
    const refuse = (why: string): never => {
      throw new UnsupportedError(`${taker}: its weight comes from ${node.opType} '${node.name}', ${why}`);
    };
    if (node.domain === '') {
      switch (node.opType) {
        case 'Cast':
          if (!WEIGHT_TYPES.has(intAttribute(node, 'to', 0))) refuse(`a cast to ${dataTypeName(intAttribute(node, 'to', 0))}`);
          return this.matrix(inputs[0]!, taker);
        case 'Transpose': {
          const inner = this.matrix(inputs[0]!, taker)!;
          if (inner.rank !== 2) return inner;
          return (intsAttribute(node, 'perm') ?? [1, 0])[0] === 0 ? inner : (transposed(inner) ?? refuse('of more than one piece'));
        }
        case 'DequantizeLinear':
          return dequantizedMatrix(this, node, taker);
        case 'Concat':
          return this.#concat(node, taker) ?? refuse('along the inner dimension');
      }
    }
    return refuse('which cannot be read from the file as it is');
  }

  #dense(tensor: TensorProto, taker: string): ConstantRowsOf {
    const type = WEIGHT_TYPES.get(tensor.dataType);
    if (!type) throw new UnsupportedError(`${taker}: its weight '${tensor.name}' is of type ${dataTypeName(tensor.dataType)}`);
    const dims = tensor.dims.map(Number);
    // [1, 1, n] is a vector too, as some exports store norms.
    while (dims.length > 1 && dims[0] === 1) dims.shift();
    if (dims.length > 2)
      throw new UnsupportedError(`${taker}: its weight '${tensor.name}' has shape [${dims.join(', ')}], not two dimensions`);
    const [rows = 1, columns = 1] = dims;
    const part: DenseRows = {kind: 'dense', rows, columns, type, transposed: false, data: this.bytes(tensor)};
    return {rank: Math.max(1, dims.length), rows, columns, parts: [part]};
  }

  #concat(node: NodeProto, taker: string): ConstantRowsOf | undefined {
    const inner = node.input.map((each) => this.matrix(each, taker)!);
    const {rank, columns} = inner[0]!;
    const axis = intAttribute(node, 'axis', 0);
    if ((axis < 0 ? axis + rank : axis) !== 0 || inner.some((each) => each.rank !== rank || each.columns !== columns || each.across))
      return undefined;
    return {rank, columns, rows: inner.reduce((sum, {rows}) => sum + rows, 0), parts: inner.flatMap(({parts}) => parts)};
  }
}

/** Undefined where that would not be rows one after another. */
export function transposed({rank, rows, columns, parts, across}: ConstantRowsOf): ConstantRowsOf | undefined {
  if (parts.every(({kind}) => kind === 'quantized')) return {rank, rows: columns, columns: rows, parts, across: !across};
  const part = parts[0];
  if (parts.length !== 1 || part?.kind !== 'dense') return undefined;
  return {
    rank,
    rows: columns,
    columns: rows,
    parts: [{...part, rows: part.columns, columns: part.rows, transposed: !part.transposed}],
  };
}

/**
 * Takes bytes into memory that are neither there nor in a file, of tensors that a model made here computes when asked; and
 * zero points of DequantizeLinear, whose values decide how its codes are taken.
 */
export async function loadSources(model: Model): Promise<void> {
  const zeroPoints = new Set(model.graph.node.flatMap(({opType, input}) => (opType === 'DequantizeLinear' && input[2] ? [input[2]] : [])));
  for (const tensor of model.graph.initializer) {
    const source = tensor.dataType === DataType.STRING ? undefined : model.source(tensor);
    if (source === undefined || source instanceof BytesSource) continue;
    if (source instanceof FileSource && !zeroPoints.has(tensor.name)) continue;
    model.setSource(tensor, new BytesSource(await model.readTensorData(tensor)));
  }
}
