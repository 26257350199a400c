/** The two types the graph computes in, and how float32 values become them. */

import {UnsupportedError} from '../../errors.js';
import {DataType} from '../../onnx/data_type.js';
import {float32ToFloat16} from '../numeric/float16.js';

export type FloatType = 'fp16' | 'fp32';

export function onnxType(type: FloatType): DataType {
  return type === 'fp16' ? DataType.FLOAT16 : DataType.FLOAT;
}

/** Bytes of an element. */
export function floatBytes(type: FloatType): number {
  return type === 'fp16' ? 2 : 4;
}

/** From here on a float rounds to infinity in half precision. */
const HALF_OVERFLOW = 65520;

/**
 * Bytes of `type` for float32 values. Throws UnsupportedError where a finite one leaves the range of half precision;
 * `describe` says whose the value at an index is.
 */
export function encodeFloats(type: FloatType, values: Float32Array, describe: (index: number) => string): Uint8Array {
  if (type === 'fp32') return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  for (let index = 0; index < values.length; index++) {
    const value = values[index]!;
    if (Math.abs(value) >= HALF_OVERFLOW && Number.isFinite(value)) throw overflow(describe(index), value);
  }
  const bits = float32ToFloat16(values);
  return new Uint8Array(bits.buffer, bits.byteOffset, bits.byteLength);
}

function overflow(what: string, value: number): UnsupportedError {
  return new UnsupportedError(`${what} holds ${value}, which half precision cannot (its largest is 65504)`, 'use dtype fp32');
}
