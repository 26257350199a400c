/** How a weight of a lowered decoder is made from the files of its model: nothing is copied before it is needed. */

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

/**
 * Codes in blocks along the columns, as com.microsoft MatMulNBits stores them: an element is
 * `(code - zeroPoint) * scale`, in float32.
 */
export interface QuantizedRows {
  readonly kind: 'quantized';
  readonly rows: number;
  readonly columns: number;
  readonly bits: 4 | 8;
  /** Elements of a row that share a scale; a row's last block may have fewer, and is stored whole. */
  readonly blockSize: number;
  /** [rows, blocks, blockSize * bits / 8]; of two 4-bit codes in a byte the first has the low bits. */
  readonly codes: StoredBytes;
  /** [rows, blocks]. */
  readonly scales: StoredBytes;
  readonly scaleType: WeightType;
  /**
   * Floats [rows, blocks], or codes [rows, ceil(blocks * bits / 8)], packed as those of the elements. Without them the
   * zero point is 2^(bits-1).
   */
  readonly zeroPoints?: {readonly type: WeightType | 'codes'; readonly data: StoredBytes};
}

export type WeightRows = DenseRows | QuantizedRows;

/** A tensor, row-major. */
export interface WeightRef {
  readonly type: WeightType;
  /** [outer, inner], or one size. */
  readonly shape: readonly number[];
  /** One after another; those of a vector have one column. */
  readonly rows: readonly WeightRows[];
}

/** Rows that no file holds. `bytes`: little-endian. */
export function inlineRows(rows: number, columns: number, type: WeightType, bytes: Uint8Array): DenseRows {
  return {kind: 'dense', rows, columns, type, transposed: false, data: {inline: bytes}};
}

const ELEMENT_BYTES: Readonly<Record<WeightType, number>> = {float16: 2, bfloat16: 2, float32: 4};

export function elementBytes(type: WeightType): number {
  return ELEMENT_BYTES[type];
}

export interface QuantizedLayout {
  rows: number;
  columns: number;
  bits: 4 | 8;
  blockSize: number;
  scaleType: WeightType;
  zeroType: WeightType | 'codes' | undefined;
}

/** Bytes that each part of QuantizedRows has. */
export function quantizedLengths({rows, columns, bits, blockSize, scaleType, zeroType}: QuantizedLayout): {
  codes: number;
  scales: number;
  zeroPoints: number;
} {
  const blocks = Math.ceil(columns / blockSize);
  return {
    codes: (rows * blocks * blockSize * bits) / 8,
    scales: rows * blocks * elementBytes(scaleType),
    zeroPoints:
      zeroType === 'codes' ? rows * Math.ceil((blocks * bits) / 8) : zeroType === undefined ? 0 : rows * blocks * elementBytes(zeroType),
  };
}

/** Bytes of the tensor, once made. */
export function weightByteLength({shape, type}: WeightRef): number {
  return shape.reduce((product, size) => product * size, 1) * elementBytes(type);
}

/** Equal for weights, or rows of them, that are made alike, which can share their memory. */
export function weightKey(weight: WeightRef | readonly WeightRows[]): string {
  return JSON.stringify(weight, (_, value: unknown) => (value instanceof Uint8Array ? Buffer.from(value).toString('base64') : value));
}
