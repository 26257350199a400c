/** What pages of the key/value cache take of the GPU's memory. */

import type {DecoderShape} from '../../decoder/lowered_decoder.js';
import {mappedBytes} from '../../weights/mapped_bytes.js';
import {cachedVectorBytes} from '../kv_cache_type.js';

export type CacheShape = Pick<DecoderShape, 'layers' | 'kvHeads' | 'headSize' | 'pageSize' | 'kvCacheType'>;

/** Bytes that so many pages take: keys and values of all layers, in one piece of memory. */
export function cacheBytes(shape: CacheShape, pages: number): number {
  return mappedBytes(pages * pageBytes(shape));
}

/** The most pages in so many bytes, at most `wanted`. */
export function pagesIn(shape: CacheShape, bytes: number, wanted: number): number {
  const whole = mappedBytes(1) * Math.floor(bytes / mappedBytes(1));
  return Math.min(wanted, Math.max(0, Math.floor(whole / pageBytes(shape))));
}

/** Of a page: keys and values of all layers. */
export function pageBytes({layers, kvHeads, pageSize, ...shape}: CacheShape): number {
  return 2 * layers * kvHeads * pageSize * cachedVectorBytes(shape);
}
