/** How each tensor type lays its elements out in bytes: blocks of so many elements in so many bytes. */

import type {TensorType} from '../checkpoint.js';

export interface BlockLayout {
  /** Elements a block holds; rows are whole blocks. */
  elements: number;
  /** Bytes a block takes. */
  bytes: number;
}

/** Sizes of ggml's `block_*` structs (ggml-common.h). */
export const BLOCKS: Readonly<Record<TensorType, BlockLayout>> = {
  F32: {elements: 1, bytes: 4},
  F16: {elements: 1, bytes: 2},
  BF16: {elements: 1, bytes: 2},
  Q8_0: {elements: 32, bytes: 2 + 32},
  Q4_0: {elements: 32, bytes: 2 + 16},
  Q4_1: {elements: 32, bytes: 2 + 2 + 16},
  Q4_K: {elements: 256, bytes: 2 + 2 + 12 + 128},
  Q5_K: {elements: 256, bytes: 2 + 2 + 12 + 32 + 128},
  Q6_K: {elements: 256, bytes: 128 + 64 + 16 + 2},
};

/** Bytes of `elements` elements, a multiple of the block's. */
export function byteLength(type: TensorType, elements: number): number {
  return (elements / BLOCKS[type].elements) * BLOCKS[type].bytes;
}
