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
  weightsBytes: number;
}

/** Left for what the engines compute in, and for others. */
const RESERVED = 2 ** 30;
/** The largest part of free memory that is left. */
const RESERVED_SHARE = 1 / 8;
/** Of a key's or value's element, in either hidden type. */
const ELEMENT_BYTES = 2;

/**
 * Enough for `maxBatch` sequences of `maxContext` tokens, or as many as fit beside the weights.
 * Throws TensorrtNodeError (ERR_OUT_OF_MEMORY) where not even one sequence does.
 */
export function cachePages({shape, maxBatch, maxContext, freeBytes, weightsBytes}: CacheDemand): number {
  const {layers, kvHeads, headSize, pageSize} = shape;
  // Keys and values.
  const pageBytes = 2 * layers * kvHeads * pageSize * headSize * ELEMENT_BYTES;
  const pagesPerSequence = Math.ceil(maxContext / pageSize);
  const room = freeBytes - weightsBytes - Math.min(RESERVED, freeBytes * RESERVED_SHARE);
  const pages = Math.min(maxBatch * pagesPerSequence, Math.floor(room / pageBytes));
  if (pages >= pagesPerSequence) return pages;
  throw new TensorrtNodeError(
    'ERR_OUT_OF_MEMORY',
    `the GPU has ${mebibytes(freeBytes)} free: too little for ${mebibytes(weightsBytes)} of weights, ` +
      `${mebibytes(pagesPerSequence * pageBytes)} of cache for ${maxContext} tokens, and what the engines compute in`,
    'a smaller maxContext takes less',
  );
}

function mebibytes(bytes: number): string {
  return `${Math.ceil(bytes / 2 ** 20)} MiB`;
}
