/** How many pages the key/value cache gets. */

import type {DecoderShape} from '../../decoder/lowered_decoder.js';
import {TensorrtNodeError} from '../../errors.js';

export interface CacheDemand {
  shape: Pick<DecoderShape, 'layers' | 'kvHeads' | 'headSize' | 'pageSize'>;
  /** Sequences at once. */
  maxBatch: number;
  /** Tokens of each. */
  maxContext: number;
  /** Of device memory, before weights are there. */
  freeBytes: number;
  /** What the weights' blocks take. */
  weightsBytes: number;
}

/** Left for what the engines compute in, and for others. */
const RESERVED = 2 ** 30;
/** The largest part of free memory that is left. */
const RESERVED_SHARE = 1 / 8;
/** Of a key's or value's element, in either hidden type. */
const ELEMENT_BYTES = 2;
const SMALLEST_BLOCK = 512;

/**
 * Enough for `maxBatch` sequences of `maxContext` tokens, or as many as fit beside the weights.
 * Throws TensorrtNodeError (ERR_OUT_OF_MEMORY) where not even one sequence does.
 */
export function cachePages({shape, maxBatch, maxContext, freeBytes, weightsBytes}: CacheDemand): number {
  const {layers, kvHeads, headSize, pageSize} = shape;
  // A block for the keys, and one for the values, of each layer.
  const blocks = 2 * layers;
  const pageBytes = kvHeads * pageSize * headSize * ELEMENT_BYTES;
  const pagesPerSequence = Math.ceil(maxContext / pageSize);
  const room = (freeBytes - weightsBytes - Math.min(RESERVED, freeBytes * RESERVED_SHARE)) / blocks;
  const wanted = maxBatch * pagesPerSequence;
  const pages = blockBytes(wanted * pageBytes) <= room ? wanted : Math.floor(largestBlock(room) / pageBytes);
  if (pages >= pagesPerSequence) return pages;
  throw new TensorrtNodeError(
    'ERR_OUT_OF_MEMORY',
    `the GPU has ${mebibytes(freeBytes)} free: too little for ${mebibytes(weightsBytes)} of weights, ` +
      `${mebibytes(blocks * pagesPerSequence * pageBytes)} of cache for ${maxContext} tokens, and what the engines compute in`,
    'a smaller maxContext takes less',
  );
}

/** What the addon's pool takes from the driver for a block: deviceSizeClass in native/cuda, four steps to a power of two. */
export function blockBytes(bytes: number): number {
  if (bytes <= SMALLEST_BLOCK) return SMALLEST_BLOCK;
  const step = Math.max(powerBelow(bytes - 1) / 4, SMALLEST_BLOCK);
  return Math.ceil(bytes / step) * step;
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

function mebibytes(bytes: number): string {
  return `${Math.ceil(bytes / 2 ** 20)} MiB`;
}
