/** Matrices that stay quantized in the GPU's memory: how, and how large they are, as native/kernels/quantized_format.h says. */

import type {CodeType, QuantizedRows, WeightRows} from './weight_ref.js';

/** int4 and int8 become uint4 and uint8 with another middle; float8 is E4M3. */
export type PackedCodes = 'uint4' | 'uint8' | 'float8';
/** What is taken off a code: the middle of its range (of float8 nothing), a whole zero point of its block, or any number. */
export type PackedOffsets = 'middle' | 'codes' | 'floating';

export interface PackedFormat {
  readonly codes: PackedCodes;
  readonly offsets: PackedOffsets;
  /** Elements of a row that share a scale; 0: all of a row. */
  readonly block: 0 | 32 | 64 | 128;
  /** Rows are gates, then as many ups. */
  readonly gated: boolean;
}

const PACKED_CODES: Readonly<Record<CodeType, PackedCodes>> = {
  uint4: 'uint4',
  int4: 'uint4',
  uint8: 'uint8',
  int8: 'uint8',
  float8: 'float8',
};

/**
 * How rows stay quantized: all in one way. Undefined for those that do not: floats, rows that are quantized in several ways,
 * and forms that no kernel takes.
 */
export function packedFormatOf(rows: readonly WeightRows[], gated: boolean): PackedFormat | undefined {
  const [first, ...others] = rows.map((part) => (part.kind === 'quantized' ? formatOf(part, gated) : undefined));
  return others.every((each) => JSON.stringify(each) === JSON.stringify(first)) ? first : undefined;
}

function formatOf(part: QuantizedRows, gated: boolean): PackedFormat | undefined {
  const codes = PACKED_CODES[part.codeType];
  const offsets = part.zeroPoints === undefined ? 'middle' : part.zeroPoints.type === 'codes' ? 'codes' : 'floating';
  const block = blockOf(part, codes);
  const served = codes !== 'float8' || (block === 0 && offsets === 'middle');
  // Of codes stored the other way kernels take whole bytes.
  if (block === undefined || !served || (part.transposed && codes === 'uint4')) return undefined;
  // Rows that are not whole vectors must fit into shared memory.
  if (part.columns % 8 !== 0 && part.columns > 8192) return undefined;
  return {codes, offsets, block, gated};
}

/** A row with one scale stays one block, of bytes; other blocks are taken as several that have the same scale. */
function blockOf({blockSize, columns}: QuantizedRows, codes: PackedCodes): PackedFormat['block'] | undefined {
  if (codes !== 'uint4' && blockSize === columns) return 0;
  return ([128, 64, 32] as const).find((block) => blockSize % block === 0);
}

/** Whether floats can be made of such rows: by a kernel of their own, or by way of the packed form. */
export function isReadable(part: QuantizedRows): boolean {
  return !isMadeByPacking(part) || formatOf(part, false) !== undefined;
}

/** Bytes of the packed form by way of which floats are made of such rows; 0 where a kernel makes them at once. */
export function passingBytes(part: QuantizedRows): number {
  return isMadeByPacking(part) ? packedBytes(formatOf(part, false)!, part.rows, part.columns) : 0;
}

function isMadeByPacking({codeType, transposed}: QuantizedRows): boolean {
  return transposed || (codeType !== 'uint4' && codeType !== 'uint8');
}

const TILE = 16;
const UNIT_BYTES = 512;
/** Elements of a row that have their scales together. */
const CHUNK = 128;

/** Bytes of a packed matrix [outer, inner]: a multiple of 256. */
export function packedBytes({codes, offsets, block, gated}: PackedFormat, outer: number, inner: number): number {
  const bits = codes === 'uint4' ? 4 : 8;
  const tiles = gated ? Math.ceil(outer / 2 / (TILE / 2)) : Math.ceil(outer / TILE);
  const units = Math.ceil(inner / ((8 * UNIT_BYTES) / bits / TILE));
  const blocks = block === 0 ? 1 : Math.ceil(inner / CHUNK) * (CHUNK / block);
  const offsetBits = {middle: 0, codes: codes === 'uint4' && block === 32 ? 4 : 8, floating: 16}[offsets];
  const tileOffsets = 16 * Math.ceil((blocks * TILE * offsetBits) / 8 / 16);
  return aligned(tiles * units * UNIT_BYTES) + aligned(tiles * blocks * TILE * 2) + aligned(tiles * tileOffsets);
}

function aligned(bytes: number): number {
  return 256 * Math.ceil(bytes / 256);
}
