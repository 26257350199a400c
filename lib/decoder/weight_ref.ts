/** How a weight of a lowered decoder is made from the files of its model: nothing is copied before it is needed. */

import {type PackedFormat, packedBytes} from './packed_format.js';

/** Types that weights are stored in, and made in: the decoder's hidden type for most, float32 for the rotary tables. */
export type WeightType = 'float16' | 'bfloat16' | 'float32';

/** Bytes as they are stored: a piece of a file, or what the lowering made itself. */
export type StoredBytes = {readonly file: string; readonly offset: number; readonly length: number} | {readonly inline: Uint8Array};

/** Floats, [rows, columns]; or stored as [columns, rows] and to be transposed. */
export interface DenseRows {
  readonly kind: 'dense';
  readonly rows: number;
  readonly columns: number;
  readonly type: WeightType;
  readonly transposed: boolean;
  readonly data: StoredBytes;
}

/** Codes of elements: int4 and int8 are two's complement, float8 is E4M3 without infinities. */
export type CodeType = 'uint4' | 'int4' | 'uint8' | 'int8' | 'float8';

/**
 * Codes in blocks along the columns, as com.microsoft MatMulNBits stores them, or as ONNX's DequantizeLinear takes them: an
 * element is `(code - zeroPoint) * scale`, in float32.
 */
export interface QuantizedRows {
  readonly kind: 'quantized';
  readonly rows: number;
  readonly columns: number;
  readonly codeType: CodeType;
  /** Elements of a row that share a scale; a row's last block may have fewer, and is stored whole. `columns`: all of a row. */
  readonly blockSize: number;
  /** Whether codes are stored as [columns, rows], scales and zero points as [blocks, rows]; blocks are whole then. */
  readonly transposed: boolean;
  /** [rows, blocks, blockSize] of code bits; of two 4-bit codes in a byte the first has the low bits. */
  readonly codes: StoredBytes;
  /** [rows, blocks]. */
  readonly scales: StoredBytes;
  readonly scaleType: WeightType;
  /**
   * Floats [rows, blocks]; or codes [rows, ceil(blocks * bits / 8)] of the same type, packed as those of the elements;
   * transposed a byte each. Without them the zero point is the middle: 2^(bits-1) of unsigned codes, else 0.
   */
  readonly zeroPoints?: {readonly type: WeightType | 'codes'; readonly data: StoredBytes};
}

export type WeightRows = DenseRows | QuantizedRows;

/** A tensor, row-major, or packed for kernels that take it quantized. */
export interface WeightRef {
  /** Of its elements: of packed ones once they are unpacked. */
  readonly type: WeightType;
  /** [outer, inner], or one size. */
  readonly shape: readonly number[];
  /** One after another; those of a vector have one column. */
  readonly rows: readonly WeightRows[];
  /** How it lies in memory where it stays quantized: all of its rows are codes of this kind then. */
  readonly packed?: PackedFormat;
}

/** Rows that no file holds. `bytes`: little-endian. */
export function inlineRows(rows: number, columns: number, type: WeightType, bytes: Uint8Array): DenseRows {
  return {kind: 'dense', rows, columns, type, transposed: false, data: {inline: bytes}};
}

const ELEMENT_BYTES: Readonly<Record<WeightType, number>> = {float16: 2, bfloat16: 2, float32: 4};

export function elementBytes(type: WeightType): number {
  return ELEMENT_BYTES[type];
}

const CODE_BITS: Readonly<Record<CodeType, 4 | 8>> = {uint4: 4, int4: 4, uint8: 8, int8: 8, float8: 8};

export function codeBits(type: CodeType): 4 | 8 {
  return CODE_BITS[type];
}

export interface QuantizedLayout {
  rows: number;
  columns: number;
  codeType: CodeType;
  blockSize: number;
  transposed: boolean;
  scaleType: WeightType;
  zeroType: WeightType | 'codes' | undefined;
}

/** Bytes that each part of QuantizedRows has. */
export function quantizedLengths({rows, columns, codeType, blockSize, transposed, scaleType, zeroType}: QuantizedLayout): {
  codes: number;
  scales: number;
  zeroPoints: number;
} {
  const blocks = Math.ceil(columns / blockSize);
  const bits = codeBits(codeType);
  return {
    codes: (rows * blocks * blockSize * bits) / 8,
    scales: rows * blocks * elementBytes(scaleType),
    zeroPoints:
      zeroType === 'codes'
        ? rows * (transposed ? blocks : Math.ceil((blocks * bits) / 8))
        : zeroType === undefined
          ? 0
          : rows * blocks * elementBytes(zeroType),
  };
}

/** Bytes of the tensor, once made. */
export function weightByteLength({shape, type, packed}: WeightRef): number {
  if (packed !== undefined) return packedBytes(packed, shape[0]!, shape[1]!);
  return shape.reduce((product, size) => product * size, 1) * elementBytes(type);
}

/** Equal for weights, or rows of them, that are made alike, which can share their memory. */
export function weightKey(weight: WeightRef | readonly WeightRows[]): string {
  return JSON.stringify(weight, (_, value: unknown) => (value instanceof Uint8Array ? Buffer.from(value).toString('base64') : value));
}
