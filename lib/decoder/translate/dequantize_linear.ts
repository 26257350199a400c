/** Weights that ONNX's DequantizeLinear makes of codes, with a scale a channel or a block. */

import {UnsupportedError} from '../../errors.js';
import {describe} from '../../onnx/check.js';
import {DataType, dataTypeName} from '../../onnx/data_type.js';
import {intAttribute} from '../../onnx/graph.js';
import type {NodeProto, TensorProto} from '../../onnx/onnx_pb.js';
import {isReadable} from '../packed_format.js';
import {type CodeType, codeBits, elementBytes, type QuantizedRows, type StoredBytes} from '../weight_ref.js';
import {type ConstantRowsOf, type Constants, WEIGHT_TYPES} from './constants.js';

const CODE_TYPES: ReadonlyMap<number, CodeType> = new Map<number, CodeType>([
  [DataType.UINT4, 'uint4'],
  [DataType.INT4, 'int4'],
  [DataType.UINT8, 'uint8'],
  [DataType.INT8, 'int8'],
  [DataType.FLOAT8E4M3FN, 'float8'],
]);

/** The matrix that `node` makes of constants. `taker` is what errors name. Throws UnsupportedError for other forms. */
export function dequantizedMatrix(constants: Constants, node: NodeProto, taker: string): ConstantRowsOf {
  const refuse = (why: string): never => {
    throw new UnsupportedError(`${taker}: its weight comes from ${describe(node)}, ${why}`);
  };
  const tensor = (name: string): TensorProto => constants.tensor(name) ?? refuse(`of '${name}', which is no constant of the file`);
  const codes = tensor(node.input[0]!);
  const codeType = CODE_TYPES.get(codes.dataType) ?? refuse(`of codes of type ${dataTypeName(codes.dataType)}`);
  const scales = tensor(node.input[1]!);
  const scaleType = WEIGHT_TYPES.get(scales.dataType) ?? refuse(`with scales of type ${dataTypeName(scales.dataType)}`);
  if (codes.dims.length !== 2) refuse(`of ${codes.dims.length} dimensions; two are known`);
  const [outer, inner] = codes.dims.map(Number) as [number, number];
  const given = intAttribute(node, 'axis', 1);
  const axis = given < 0 ? given + 2 : given;
  const scaleDims = scales.dims.map(Number);
  if (scaleDims.reduce((product, size) => product * size, 1) === 1) refuse('with one scale for all; a scale a channel or a block is known');

  // A channel is a row of [outer, inner] or of its transpose; blocks lie along a row of either.
  const block = intAttribute(node, 'block_size', 0);
  const transposed = block === 0 ? axis === 1 : axis === 0;
  const [rows, columns] = transposed ? [inner, outer] : [outer, inner];
  const blockSize = block === 0 ? columns : block;
  if (columns % blockSize !== 0) refuse(`whose rows of ${columns} are not whole blocks of ${blockSize}`);
  if (codeBits(codeType) === 4 && inner % 2 !== 0) refuse('whose rows of 4-bit codes do not end with a byte');
  const blocks = columns / blockSize;
  const expected = block === 0 ? [rows] : transposed ? [blocks, rows] : [rows, blocks];
  if (String(scaleDims) !== String(expected)) refuse(`with scales [${scaleDims.join(', ')}] where [${expected.join(', ')}] are needed`);

  const stored = (of: TensorProto, length: number): StoredBytes => {
    const bytes = constants.bytes(of);
    const found = 'inline' in bytes ? bytes.inline.byteLength : bytes.length;
    return found === length ? bytes : refuse(`whose '${of.name}' has ${found} bytes where ${length} are needed`);
  };
  const found: QuantizedRows = {
    kind: 'quantized',
    rows,
    columns,
    codeType,
    blockSize,
    transposed,
    codes: stored(codes, (rows * columns * codeBits(codeType)) / 8),
    scales: stored(scales, rows * blocks * elementBytes(scaleType)),
    scaleType,
  };
  const zeros = zeroPointsOf(constants, node, found, refuse);
  const part = zeros === undefined ? found : {...found, zeroPoints: {type: 'codes' as const, data: {inline: zeros}}};
  if (!isReadable(part)) {
    refuse(
      `of ${dataTypeName(codes.dataType)} [${outer}, ${inner}] in blocks of ${blockSize} along dimension ${axis}, for which there is no kernel`,
    );
  }
  return {rank: 2, rows: outer, columns: inner, parts: [part], ...(transposed ? {across: true} : {})};
}

/** As QuantizedRows wants them; undefined where all are in the middle, as they mostly are. */
function zeroPointsOf(
  constants: Constants,
  node: NodeProto,
  {rows, columns, codeType, blockSize, transposed}: QuantizedRows,
  refuse: (why: string) => never,
): Uint8Array | undefined {
  const bits = codeBits(codeType);
  const blocks = columns / blockSize;
  const name = node.input[2];
  const signed = codeType === 'int4' || codeType === 'int8';
  const bytes = name ? constants.loaded(name) : new Uint8Array(Math.ceil((rows * blocks * bits) / 8));
  if (bytes === undefined) return refuse(`whose zero points '${name}' are no constants of the file`);
  if (codeType === 'float8') return bytes.some((byte) => (byte & 0x7f) !== 0) ? refuse('with zero points of float8 codes') : undefined;
  const codeAt = (at: number): number => (bits === 8 ? bytes[at]! : (bytes[at >> 1]! >> (4 * (at & 1))) & 15);
  const middle = signed ? 0 : 2 ** (bits - 1);
  const packed = bits === 4 && !transposed;
  const rowBytes = packed ? Math.ceil(blocks / 2) : blocks;
  const made = new Uint8Array(rows * rowBytes);
  let inTheMiddle = true;
  for (let row = 0; row < rows; row++) {
    for (let block = 0; block < blocks; block++) {
      // Rows of the file's follow each other without a gap.
      const at = transposed ? block * rows + row : row * blocks + block;
      const zero = codeAt(at);
      inTheMiddle &&= zero === middle;
      if (packed) made[row * rowBytes + (block >> 1)]! |= zero << (4 * (block & 1));
      else made[at] = zero;
    }
  }
  return inTheMiddle ? undefined : made;
}
