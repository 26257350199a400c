/** The bytes of a tensor whose values are inside the protobuf message: `raw_data`, or one of the typed fields. */

import {FormatError, UnsupportedError} from '../errors.js';
import {bitsPerElement, DataType, dataTypeName, elementCount, tensorByteLength} from './data_type.js';
import type {TensorProto} from './onnx_pb.js';

/**
 * Little-endian, row-major, 4-bit elements two a byte: what `raw_data` would hold. `label` names the model in errors.
 * Throws FormatError (ERR_ONNX) unless there are as many bytes as shape and type ask for.
 */
export function inlineBytes(tensor: TensorProto, label: string): Uint8Array {
  checkInlineBytes(tensor, label);
  if (tensor.rawData.byteLength > 0) return tensor.rawData;
  const {values, width, set} = typedField(tensor, label);
  const bytes = new Uint8Array(values.length * width);
  const view = new DataView(bytes.buffer);
  for (let index = 0; index < values.length; index++) set(view, index * width, values[index]!);
  return bytes;
}

/** Throws as inlineBytes does, without making the bytes. */
export function checkInlineBytes(tensor: TensorProto, label: string): void {
  const expected = expectedByteLength(tensor, label);
  const {values, width} = typedField(tensor, label);
  const found = tensor.rawData.byteLength || values.length * width;
  if (found === expected) return;
  throw new FormatError(
    'ERR_ONNX',
    label,
    `tensor '${tensor.name}' of type ${dataTypeName(tensor.dataType)} and shape [${tensor.dims.join(', ')}] needs ${expected} bytes and has ${found}`,
  );
}

/** Bytes that a tensor's shape and type ask for. */
export function expectedByteLength(tensor: TensorProto, label: string): number {
  if (tensor.dataType === DataType.STRING) throw new UnsupportedError(`tensor '${tensor.name}' holds strings, which have no bytes`);
  const name = `tensor '${tensor.name}'`;
  if (tensor.dataType === DataType.UNDEFINED) throw new FormatError('ERR_ONNX', label, `${name} has no data type`);
  if (bitsPerElement(tensor.dataType) === undefined) throw new UnsupportedError(`${label}: ${name} has data type ${tensor.dataType}`);
  const bytes = tensorByteLength(tensor.dims, tensor.dataType);
  if (bytes === undefined)
    throw new FormatError(
      'ERR_ONNX',
      label,
      `${name} has an absurd shape [${tensor.dims.slice(0, 8).join(', ')}${tensor.dims.length > 8 ? ', …' : ''}]`,
    );
  return bytes;
}

interface TypedField {
  values: readonly (number | bigint)[];
  /** Bytes of an element. */
  width: number;
  set(view: DataView, at: number, value: number | bigint): void;
}

/** Typed fields hold narrow elements in wide ones: FLOAT16 as bits in int32, UINT32 in uint64, two 4-bit elements in one int32. */
function typedField(tensor: TensorProto, label: string): TypedField {
  switch (tensor.dataType) {
    case DataType.FLOAT:
    case DataType.COMPLEX64:
      return field(tensor.floatData, 4, (view, at, value) => view.setFloat32(at, value, true));
    case DataType.DOUBLE:
    case DataType.COMPLEX128:
      return field(tensor.doubleData, 8, (view, at, value) => view.setFloat64(at, value, true));
    case DataType.INT64:
      return field(tensor.int64Data, 8, (view, at, value) => view.setBigInt64(at, value, true));
    case DataType.UINT64:
      return field(tensor.uint64Data, 8, (view, at, value) => view.setBigUint64(at, value, true));
    case DataType.UINT32:
      return field(tensor.uint64Data, 4, (view, at, value) => view.setUint32(at, Number(BigInt.asUintN(32, value)), true));
    case DataType.INT32:
      return field(tensor.int32Data, 4, (view, at, value) => view.setInt32(at, value, true));
    case DataType.INT16:
    case DataType.UINT16:
    case DataType.FLOAT16:
    case DataType.BFLOAT16:
      return field(tensor.int32Data, 2, (view, at, value) => view.setUint16(at, value, true));
    default:
      if (bitsPerElement(tensor.dataType) === 4 && tensor.int32Data.length > (elementCount(tensor.dims) ?? 0)) {
        throw new FormatError('ERR_ONNX', label, `tensor '${tensor.name}' has more values than its shape [${tensor.dims.join(', ')}]`);
      }
      return field(tensor.int32Data, 1, (view, at, value) => view.setUint8(at, value));
  }
}

/** Protocol buffers give each field numbers of one kind, which its `set` takes. */
function field<T extends number | bigint>(
  values: readonly T[],
  width: number,
  set: (view: DataView, at: number, value: T) => void,
): TypedField {
  return {values, width, set: set as TypedField['set']};
}
