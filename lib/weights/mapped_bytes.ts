/** What memory that can leave the GPU takes there. */

/** VRAM is mapped behind addresses in pieces of this size, on all GPUs of the day. */
const PIECE = 2 ** 21;

/** Bytes that so many bytes take. */
export function mappedBytes(bytes: number): number {
  return Math.ceil(bytes / PIECE) * PIECE;
}
