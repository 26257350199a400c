/** Element types of ONNX tensors, and the bytes a tensor of a shape and type takes. */

import {TensorProto_DataType as DataType} from './onnx_pb.js';

export {DataType};

/** Bits an element takes in `raw_data` and in external files; 4-bit elements are packed two a byte, low nibble first. */
const BITS: ReadonlyMap<number, number> = new Map([
  [DataType.FLOAT, 32],
  [DataType.UINT8, 8],
  [DataType.INT8, 8],
  [DataType.UINT16, 16],
  [DataType.INT16, 16],
  [DataType.INT32, 32],
  [DataType.INT64, 64],
  [DataType.BOOL, 8],
  [DataType.FLOAT16, 16],
  [DataType.DOUBLE, 64],
  [DataType.UINT32, 32],
  [DataType.UINT64, 64],
  [DataType.COMPLEX64, 64],
  [DataType.COMPLEX128, 128],
  [DataType.BFLOAT16, 16],
  [DataType.FLOAT8E4M3FN, 8],
  [DataType.FLOAT8E4M3FNUZ, 8],
  [DataType.FLOAT8E5M2, 8],
  [DataType.FLOAT8E5M2FNUZ, 8],
  [DataType.UINT4, 4],
  [DataType.INT4, 4],
  [DataType.FLOAT4E2M1, 4],
]);

/** Undefined for STRING, whose elements have no fixed size, and for types this version does not know. */
export function bitsPerElement(type: number): number | undefined {
  return BITS.get(type);
}

/** 'FLOAT16', or '99' for a type this version does not know. */
export function dataTypeName(type: number): string {
  return DataType[type] ?? String(type);
}

/** Elements of a shape, or undefined if a dimension is negative or the product leaves the exact integers. */
export function elementCount(dims: readonly (number | bigint)[]): number | undefined {
  if (dims.some((dim) => dim < 0)) return undefined;
  if (dims.some((dim) => Number(dim) === 0)) return 0;
  let count = 1n;
  for (const dim of dims) {
    count *= BigInt(dim);
    // At once: the product of all the dimensions of a hostile shape may have millions of digits.
    if (count > BigInt(Number.MAX_SAFE_INTEGER)) return undefined;
  }
  return Number(count);
}

/** Bytes of a tensor, or undefined where elementCount or bitsPerElement is, or where they leave the exact integers. */
export function tensorByteLength(dims: readonly (number | bigint)[], type: number): number | undefined {
  const count = elementCount(dims);
  const bits = bitsPerElement(type);
  if (count === undefined || bits === undefined) return undefined;
  const bytes = bits < 8 ? Math.ceil((count * bits) / 8) : count * (bits / 8);
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}
