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
 * Makes bytes of `type` from float32 values. The encoder throws UnsupportedError, naming `what` the values are, where
 * a finite one leaves the range of half precision.
 */
export function floatEncoder(type: FloatType, what: string): (values: Float32Array) => Uint8Array {
  if (type === 'fp32') return (values) => new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  return (values) => {
    for (const value of values) if (Math.abs(value) >= HALF_OVERFLOW && Number.isFinite(value)) throw overflow(what, value);
    const bits = float32ToFloat16(values);
    return new Uint8Array(bits.buffer, bits.byteOffset, bits.byteLength);
  };
}

function overflow(what: string, value: number): UnsupportedError {
  return new UnsupportedError(`${what} holds ${value}, which half precision cannot (its largest is 65504)`, 'use dtype fp32');
}
