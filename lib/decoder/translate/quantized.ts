/** Weights of com.microsoft MatMulNBits and GatherBlockQuantized. */

import {DataType, dataTypeName} from '../../onnx/data_type.js';
import {intAttribute} from '../../onnx/graph.js';
import type {NodeProto, TensorProto} from '../../onnx/onnx_pb.js';
import {type QuantizedRows, quantizedLengths, type StoredBytes, type WeightType} from '../weight_ref.js';
import type {Translation} from './translation.js';

const FLOATS: ReadonlyMap<number, WeightType> = new Map([
  [DataType.FLOAT, 'float32'],
  [DataType.FLOAT16, 'float16'],
  [DataType.BFLOAT16, 'bfloat16'],
]);

export function matMulNBitsRows(t: Translation, node: NodeProto): QuantizedRows {
  if (node.input[4]) t.refuse(node, 'has a group index');
  const [columns, rows, blockSize] = (['K', 'N', 'block_size'] as const).map((name) => intAttribute(node, name, 0)) as [
    number,
    number,
    number,
  ];
  if (!columns || !rows || !blockSize) t.refuse(node, 'does not say K, N and block_size');
  return quantizedRows(t, node, {rows, columns, blockSize, bits: intAttribute(node, 'bits', 4)}, [
    node.input[1]!,
    node.input[2]!,
    node.input[3],
  ]);
}

export function gatherBlockQuantizedRows(t: Translation, node: NodeProto): QuantizedRows {
  const bits = intAttribute(node, 'bits', 4);
  const blockSize = intAttribute(node, 'block_size', 128);
  const data = t.constants.tensor(node.input[0]!) ?? t.refuse(node, `'${node.input[0]}' is not a constant`);
  const [rows, packed] = data.dims.map(Number) as [number, number];
  const axis = intAttribute(node, 'quantize_axis', 1);
  if (data.dims.length !== 2 || (axis !== 1 && axis !== -1) || intAttribute(node, 'gather_axis', 0) !== 0) {
    t.refuse(node, 'is not a table of rows in blocks along them');
  }
  const columns = (packed * 8) / bits;
  // Its blocks are stored without what fills up a row's last one.
  if (columns % blockSize !== 0) t.refuse(node, `has rows of ${columns}, not whole blocks of ${blockSize}`);
  return quantizedRows(t, node, {rows, columns, blockSize, bits}, [node.input[0]!, node.input[2]!, node.input[3]]);
}

export interface Layout {
  rows: number;
  columns: number;
  blockSize: number;
  bits: number;
}

/** Throws UnsupportedError, which names `node`, unless codes, scales and zero points are constants that fit the layout. */
export function quantizedRows(
  t: Translation,
  node: NodeProto,
  {rows, columns, blockSize, bits}: Layout,
  [codesName, scalesName, zerosName]: readonly [string, string, string | undefined],
): QuantizedRows {
  if (bits !== 4 && bits !== 8) return t.refuse(node, `has codes of ${bits} bits; 4 and 8 are known`);
  const constant = (name: string): TensorProto => t.constants.tensor(name) ?? t.refuse(node, `'${name}' is not a constant`);
  const bytes = (tensor: TensorProto, expected: number): StoredBytes => {
    const {byteLength} = t.model.source(tensor);
    if (byteLength !== expected) t.refuse(node, `'${tensor.name}' has ${byteLength} bytes where ${expected} are needed`);
    return t.constants.bytes(tensor);
  };

  const codes = constant(codesName);
  if (codes.dataType !== DataType.UINT8) t.refuse(node, `has codes of type ${dataTypeName(codes.dataType)}; UINT8 is known`);
  const scales = constant(scalesName);
  const scaleType = FLOATS.get(scales.dataType) ?? t.refuse(node, `has scales of type ${dataTypeName(scales.dataType)}`);
  const zeros = zerosName ? constant(zerosName) : undefined;
  const zeroType = zeros && (FLOATS.get(zeros.dataType) ?? (zeros.dataType === DataType.UINT8 ? 'codes' : undefined));
  if (zeros && zeroType === undefined) t.refuse(node, `has zero points of type ${dataTypeName(zeros.dataType)}`);
  const lengths = quantizedLengths({rows, columns, bits, blockSize, scaleType, zeroType});
  return {
    kind: 'quantized',
    rows,
    columns,
    bits,
    blockSize,
    codes: bytes(codes, lengths.codes),
    scales: bytes(scales, lengths.scales),
    scaleType,
    ...(zeros && zeroType ? {zeroPoints: {type: zeroType, data: bytes(zeros, lengths.zeroPoints)}} : {}),
  };
}
