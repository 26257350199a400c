/** What the elements of a tensor are like, in numbers. */

import {bfloat16ToFloat32, float16ToFloat32} from '../import/numeric/float16.js';
import {elementCount, type Tensor} from './tensor.js';

export interface Statistics {
  count: number;
  /** Over the elements that are numbers, infinities too; null where there is none, and so the next two. */
  min: number | null;
  max: number | null;
  mean: number | null;
  /** Elements that are no number. */
  nan: number;
}

export function statistics(tensor: Tensor): Statistics {
  let [min, max, sum, nan] = [Infinity, -Infinity, 0, 0];
  const values = toNumbers(tensor);
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    if (Number.isNaN(value)) {
      nan++;
      continue;
    }
    if (value < min) min = value;
    if (value > max) max = value;
    sum += value;
  }
  const count = values.length;
  return count === nan ? {count, min: null, max: null, mean: null, nan} : {count, min, max, mean: sum / (count - nan), nan};
}

export interface Difference {
  /** Largest difference of two elements; NaN in one alone counts as infinite. */
  maxAbsolute: number;
  /** Cosine of the angle between both as vectors; 1 where both are zero. */
  cosine: number;
}

/** Of two tensors of equally many elements; undefined otherwise. */
export function difference(a: Tensor, b: Tensor): Difference | undefined {
  const [left, right] = [toNumbers(a), toNumbers(b)];
  if (left.length !== right.length) return undefined;
  let [maxAbsolute, dot, leftSquares, rightSquares] = [0, 0, 0, 0];
  for (let i = 0; i < left.length; i++) {
    const [x, y] = [left[i]!, right[i]!];
    // Equal infinities, and NaN in both, differ by nothing.
    if (Object.is(x, y)) {
      if (!Number.isFinite(x)) continue;
    } else {
      const off = Math.abs(x - y);
      maxAbsolute = Math.max(maxAbsolute, Number.isNaN(off) ? Infinity : off);
    }
    dot += x * y;
    leftSquares += x * x;
    rightSquares += y * y;
  }
  const norms = Math.sqrt(leftSquares * rightSquares);
  return {maxAbsolute, cosine: norms > 0 ? dot / norms : leftSquares === rightSquares ? 1 : 0};
}

/** Elements as numbers; 64-bit integers beyond 2^53 are rounded. */
export function toNumbers({type, dims, data}: Tensor): ArrayLike<number> {
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  switch (type) {
    case 'float16':
      return float16ToFloat32(new Uint16Array(data.buffer, data.byteOffset, data.length));
    case 'bfloat16':
      return bfloat16ToFloat32(data as Uint16Array);
    case 'float8e4m3fn':
      return Float32Array.from(bytes, decodeFloat8);
    case 'int64':
      return Float64Array.from(data as BigInt64Array, Number);
    case 'int4':
      return Int8Array.from({length: elementCount(dims)}, (_, index) => ((bytes[index >> 1]! >> (4 * (index & 1))) << 28) >> 28);
    default:
      return data as Float32Array;
  }
}

/** OCP 8-bit floating point E4M3: bias 7, no infinities, NaN is all ones. */
function decodeFloat8(bits: number): number {
  const sign = bits & 0x80 ? -1 : 1;
  const exponent = (bits >> 3) & 0xf;
  const fraction = bits & 0x7;
  if (exponent === 0xf && fraction === 0x7) return Number.NaN;
  return exponent === 0 ? (sign * fraction) / 512 : sign * (1 + fraction / 8) * 2 ** (exponent - 7);
}
