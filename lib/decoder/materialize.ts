/** Makes the bytes of a weight in plain TypeScript: the reference for what the GPU does, and enough for small models. */

import {open} from 'node:fs/promises';

import {FormatError, UnsupportedError} from '../errors.js';
import {bfloat16ToFloat32, float16ToFloat32, float32ToFloat16} from '../import/numeric/float16.js';
import {
  codeBits,
  type DenseRows,
  type QuantizedRows,
  type StoredBytes,
  type WeightRef,
  type WeightRows,
  type WeightType,
} from './weight_ref.js';

/**
 * Little-endian bytes, weightByteLength() of them. Throws FormatError (ERR_ONNX) for a file that ends too soon,
 * UnsupportedError where a finite value leaves the range of half precision.
 */
export async function materialize(weight: WeightRef): Promise<Uint8Array> {
  return encode(await materializeFloats(weight), weight.type);
}

/** The same before it is rounded to the weight's type. */
export async function materializeFloats({shape, rows}: WeightRef): Promise<Float32Array> {
  const values = new Float32Array(shape.reduce((product, size) => product * size, 1));
  let done = 0;
  for (const part of rows) {
    values.set(await floatsOf(part), done);
    done += part.rows * part.columns;
  }
  if (done !== values.length) throw new RangeError(`a weight of shape [${shape.join(', ')}] has rows of ${done} elements`);
  return values;
}

async function floatsOf(part: WeightRows): Promise<Float32Array> {
  return part.kind === 'dense' ? denseFloats(part) : dequantize(part);
}

async function denseFloats({rows, columns, type, transposed, data}: DenseRows): Promise<Float32Array> {
  const stored = decode(await readStored(data), type);
  if (!transposed) return stored;
  const values = new Float32Array(stored.length);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) values[row * columns + column] = stored[column * rows + row]!;
  }
  return values;
}

async function dequantize(part: QuantizedRows): Promise<Float32Array> {
  const {rows, columns, codeType, blockSize, transposed, scaleType, zeroPoints} = part;
  const bits = codeBits(codeType);
  const blocks = Math.ceil(columns / blockSize);
  const codes = await readStored(part.codes);
  const scales = decode(await readStored(part.scales), scaleType);
  const zeroBytes = zeroPoints && (await readStored(zeroPoints.data));
  const zeroFloats = zeroPoints && zeroPoints.type !== 'codes' ? decode(zeroBytes!, zeroPoints.type) : undefined;
  const zeroRowBytes = Math.ceil((blocks * bits) / 8);
  const bitsAt = (bytes: Uint8Array, index: number): number =>
    bits === 8 ? bytes[index]! : (bytes[index >> 1]! >> (4 * (index & 1))) & 15;
  const middle = 2 ** (bits - 1);
  const isSigned = codeType === 'int4' || codeType === 'int8';
  // Signed codes as unsigned ones, whose zero point is the middle too.
  const codeAt = (index: number): number => {
    const found = bitsAt(codes, index);
    return codeType === 'float8' ? e4m3ToFloat(found) : isSigned ? found ^ middle : found;
  };
  const numberOf = (row: number, block: number): number => (transposed ? block * rows + row : row * blocks + block);
  const zeroAt = (row: number, block: number): number => {
    if (zeroFloats) return zeroFloats[numberOf(row, block)]!;
    if (!zeroBytes) return codeType === 'float8' ? 0 : middle;
    const zero = transposed ? zeroBytes[numberOf(row, block)]! : bitsAt(zeroBytes, (row * zeroRowBytes * 8) / bits + block);
    return isSigned ? zero ^ middle : zero;
  };
  const values = new Float32Array(rows * columns);
  for (let row = 0; row < rows; row++) {
    for (let block = 0; block < blocks; block++) {
      const scale = scales[numberOf(row, block)]!;
      const zero = zeroAt(row, block);
      const end = Math.min((block + 1) * blockSize, columns);
      for (let column = block * blockSize; column < end; column++) {
        const code = codeAt(transposed ? column * rows + row : row * blocks * blockSize + column);
        values[row * columns + column] = Math.fround(code - zero) * scale;
      }
    }
  }
  return values;
}

/** Four bits of exponent and three of mantissa, without infinities: IEEE-like but that 0x7f alone, with any sign, is not a number. */
function e4m3ToFloat(bits: number): number {
  const sign = bits & 0x80 ? -1 : 1;
  const [exponent, mantissa] = [(bits >> 3) & 15, bits & 7];
  if ((bits & 0x7f) === 0x7f) return Number.NaN;
  return sign * (exponent === 0 ? (mantissa / 8) * 2 ** -6 : (1 + mantissa / 8) * 2 ** (exponent - 7));
}

async function readStored(stored: StoredBytes): Promise<Uint8Array> {
  if ('inline' in stored) return stored.inline;
  await using file = await open(stored.file, 'r');
  const bytes = new Uint8Array(stored.length);
  for (let done = 0; done < bytes.length; ) {
    const {bytesRead} = await file.read(bytes, done, bytes.length - done, stored.offset + done);
    if (bytesRead === 0) throw new FormatError('ERR_ONNX', stored.file, `ends at byte ${stored.offset + done}, inside a weight`);
    done += bytesRead;
  }
  return bytes;
}

/** Little-endian floats of any stored type as float32. */
export function decode(bytes: Uint8Array, type: WeightType): Float32Array {
  // A view may start anywhere, an array of floats may not.
  const aligned = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice();
  const {buffer, byteOffset, byteLength} = aligned;
  switch (type) {
    case 'float16':
      return float16ToFloat32(new Uint16Array(buffer, byteOffset, byteLength / 2));
    case 'bfloat16':
      return bfloat16ToFloat32(new Uint16Array(buffer, byteOffset, byteLength / 2));
    case 'float32':
      return new Float32Array(buffer, byteOffset, byteLength / 4);
  }
}

function encode(values: Float32Array, type: WeightType): Uint8Array {
  if (type === 'float32') return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  const bits = type === 'float16' ? float32ToFloat16(values) : float32ToBfloat16(values);
  if (type === 'float16') refuseOverflow(values, bits);
  return new Uint8Array(bits.buffer, bits.byteOffset, bits.byteLength);
}

function refuseOverflow(values: Float32Array, bits: Uint16Array): void {
  const at = bits.findIndex((half, index) => (half & 0x7fff) === 0x7c00 && Number.isFinite(values[index]!));
  if (at < 0) return;
  throw new UnsupportedError(`a weight holds ${values[at]}, which half precision cannot (its largest is 65504)`, 'use bfloat16');
}

/** Rounded to nearest, ties to even. */
function float32ToBfloat16(values: Float32Array): Uint16Array {
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length);
  return Uint16Array.from(words, (word) => {
    if ((word & 0x7fffffff) > 0x7f800000) return (word >>> 16) | 0x40;
    return (word + 0x7fff + ((word >>> 16) & 1)) >>> 16;
  });
}
