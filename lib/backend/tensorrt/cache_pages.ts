/** What pages of the key/value cache take of the GPU's memory. */

import type {DecoderShape} from '../../decoder/lowered_decoder.js';

export type CacheShape = Pick<DecoderShape, 'layers' | 'kvHeads' | 'headSize' | 'pageSize'>;

/** Of a key's or value's element, in either hidden type. */
const ELEMENT_BYTES = 2;
const SMALLEST_BLOCK = 512;

/** Bytes of so many pages: a block for the keys, and one for the values, of each layer. */
export function cacheBytes(shape: CacheShape, pages: number): number {
  return 2 * shape.layers * blockBytes(pages * pageBytes(shape));
}

/** The most pages in so many bytes, at most `wanted`. */
export function pagesIn(shape: CacheShape, bytes: number, wanted: number): number {
  if (cacheBytes(shape, wanted) <= bytes) return wanted;
  return Math.floor(largestBlock(bytes / (2 * shape.layers)) / pageBytes(shape));
}

/** What the addon's pool takes from the driver for a block: deviceSizeClass in native/cuda, four steps to a power of two. */
export function blockBytes(bytes: number): number {
  if (bytes <= SMALLEST_BLOCK) return SMALLEST_BLOCK;
  const step = Math.max(powerBelow(bytes - 1) / 4, SMALLEST_BLOCK);
  return Math.ceil(bytes / step) * step;
}

/** Of a page in one block. */
function pageBytes({kvHeads, headSize, pageSize}: CacheShape): number {
  return kvHeads * pageSize * headSize * ELEMENT_BYTES;
}

/** The largest block in so many bytes. */
function largestBlock(bytes: number): number {
  if (bytes < SMALLEST_BLOCK) return 0;
  const step = Math.max(powerBelow(bytes) / 4, SMALLEST_BLOCK);
  return Math.floor(bytes / step) * step;
}

function powerBelow(bytes: number): number {
  return 2 ** Math.floor(Math.log2(bytes));
}
