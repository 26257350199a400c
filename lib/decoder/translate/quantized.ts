/** Weights of com.microsoft MatMulNBits and GatherBlockQuantized. */

import {DataType, dataTypeName} from '../../onnx/data_type.js';
import {intAttribute} from '../../onnx/graph.js';
import type {NodeProto, TensorProto} from '../../onnx/onnx_pb.js';
import {isReadable} from '../packed_format.js';
import {type CodeType, codeBits, type QuantizedRows, quantizedLengths, type StoredBytes} from '../weight_ref.js';
import {WEIGHT_TYPES} from './constants.js';
import type {Translation} from './translation.js';

export function matMulNBitsRows(t: Translation, node: NodeProto): QuantizedRows {
  if (node.input[4]) t.refuse(node, 'has a group index');
  const [columns, rows, blockSize] = (['K', 'N', 'block_size'] as const).map((name) => intAttribute(node, name, 0)) as [
    number,
    number,
    number,
  ];
  if (!columns || !rows || !blockSize) t.refuse(node, 'does not say K, N and block_size');
  const layout = {rows, columns, blockSize, codeType: unsignedCodes(t, node, intAttribute(node, 'bits', 4))};
  return quantizedRows(t, node, layout, [node.input[1]!, node.input[2]!, node.input[3]]);
}

/** Codes that are stored one an element: 4-bit types have two in a byte all the same. */
const TYPED_CODES: ReadonlyMap<number, CodeType> = new Map<number, CodeType>([
  [DataType.INT4, 'int4'],
  [DataType.UINT4, 'uint4'],
]);

export function gatherBlockQuantizedRows(t: Translation, node: NodeProto): QuantizedRows {
  const blockSize = intAttribute(node, 'block_size', 128);
  const data = t.constants.tensor(node.input[0]!) ?? t.refuse(node, `'${node.input[0]}' is not a constant`);
  const typed = TYPED_CODES.get(data.dataType);
  const codeType = typed ?? unsignedCodes(t, node, intAttribute(node, 'bits', 4));
  const [rows, stored] = data.dims.map(Number) as [number, number];
  const axis = intAttribute(node, 'quantize_axis', 1);
  if (data.dims.length !== 2 || (axis !== 1 && axis !== -1) || intAttribute(node, 'gather_axis', 0) !== 0) {
    t.refuse(node, 'is not a table of rows in blocks along them');
  }
  const columns = typed ? stored : (stored * 8) / codeBits(codeType);
  // Its blocks are stored without what fills up a row's last one.
  if (columns % blockSize !== 0) t.refuse(node, `has rows of ${columns}, not whole blocks of ${blockSize}`);
  if (typed && node.input[3]) t.refuse(node, `has zero points beside codes of type ${dataTypeName(data.dataType)}`);
  const found = quantizedRows(t, node, {rows, columns, blockSize, codeType}, [node.input[0]!, node.input[2]!, node.input[3]]);
  if (!isReadable(found)) t.refuse(node, `has ${dataTypeName(data.dataType)} in blocks of ${blockSize}, for which there is no kernel`);
  // Of typed codes the zero point is 0 where none is given, also of unsigned ones.
  return typed === 'uint4' ? {...found, zeroPoints: {type: 'codes', data: {inline: new Uint8Array(zeroPointBytes(found))}}} : found;
}

function zeroPointBytes(rows: QuantizedRows): number {
  return quantizedLengths({...rows, zeroType: 'codes'}).zeroPoints;
}

function unsignedCodes(t: Translation, node: NodeProto, bits: number): CodeType {
  if (bits !== 4 && bits !== 8) return t.refuse(node, `has codes of ${bits} bits; 4 and 8 are known`);
  return bits === 4 ? 'uint4' : 'uint8';
}

export interface Layout {
  rows: number;
  columns: number;
  blockSize: number;
  codeType: CodeType;
}

const STORED_CODES: Readonly<Record<CodeType, DataType>> = {
  uint4: DataType.UINT8,
  int4: DataType.INT4,
  uint8: DataType.UINT8,
  int8: DataType.INT8,
  float8: DataType.FLOAT8E4M3FN,
};

/** Throws UnsupportedError, which names `node`, unless codes, scales and zero points are constants that fit the layout. */
export function quantizedRows(
  t: Translation,
  node: NodeProto,
  {rows, columns, blockSize, codeType}: Layout,
  [codesName, scalesName, zerosName]: readonly [string, string, string | undefined],
): QuantizedRows {
  const constant = (name: string): TensorProto => t.constants.tensor(name) ?? t.refuse(node, `'${name}' is not a constant`);
  const bytes = (tensor: TensorProto, expected: number): StoredBytes => {
    const {byteLength} = t.model.source(tensor);
    if (byteLength !== expected) t.refuse(node, `'${tensor.name}' has ${byteLength} bytes where ${expected} are needed`);
    return t.constants.bytes(tensor);
  };

  const codes = constant(codesName);
  if (codes.dataType !== STORED_CODES[codeType] && TYPED_CODES.get(codes.dataType) !== codeType) {
    t.refuse(node, `has codes of type ${dataTypeName(codes.dataType)}; ${dataTypeName(STORED_CODES[codeType])} is known`);
  }
  const scales = constant(scalesName);
  const scaleType = WEIGHT_TYPES.get(scales.dataType) ?? t.refuse(node, `has scales of type ${dataTypeName(scales.dataType)}`);
  const zeros = zerosName ? constant(zerosName) : undefined;
  const zeroType = zeros && (WEIGHT_TYPES.get(zeros.dataType) ?? (zeros.dataType === DataType.UINT8 ? 'codes' : undefined));
  if (zeros && zeroType === undefined) t.refuse(node, `has zero points of type ${dataTypeName(zeros.dataType)}`);
  const lengths = quantizedLengths({rows, columns, codeType, blockSize, transposed: false, scaleType, zeroType});
  return {
    kind: 'quantized',
    rows,
    columns,
    codeType,
    blockSize,
    transposed: false,
    codes: bytes(codes, lengths.codes),
    scales: bytes(scales, lengths.scales),
    scaleType,
    ...(zeros && zeroType ? {zeroPoints: {type: zeroType, data: bytes(zeros, lengths.zeroPoints)}} : {}),
  };
}
