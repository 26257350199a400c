/**
 * Weights quantised in blocks of 32, from ggml's layout to that of com.microsoft MatMulNBits: the same codes, the same
 * scales and offsets. Layouts: ggml-common.h (`block_q4_0` and so on); onnxruntime's ContribOperators.md.
 */

import type {TensorSource} from '../../onnx/tensor_source.js';
import type {CheckpointTensor, TensorType} from '../checkpoint.js';
import {BLOCKS} from '../numeric/blocks.js';
import {halfTable, nearestHalf} from '../numeric/float16.js';
import {encodeFloats, type FloatType, floatBytes} from './float_type.js';
import {describeRow} from './join_rows.js';

/** Elements that share a scale. */
export const BLOCK_SIZE = 32;

/**
 * A matrix [rows, columns] in blocks along its columns; an element is `(code - zeroPoint) * scale`, or with no
 * zero points `(code - 2^(bits-1)) * scale`.
 */
export interface BlockWeights {
  bits: 4 | 8;
  /** uint8 [rows, columns / 32, 4 * bits], elements in order, the first of a pair in the low bits. */
  codes: TensorSource;
  /** [rows, columns / 32] of the float type asked for. */
  scales: TensorSource;
  /**
   * fp32 [rows, columns / 32], whatever the scales' type: `-m/d` has no exact half. MatMulNBits takes them beside fp16
   * activations and scales.
   */
  zeroPoints?: TensorSource;
}

interface Layout {
  bits: 4 | 8;
  /** Whether elements are `scale * code + offset` with an offset of each block's own. */
  hasOffsets: boolean;
  /** The scale d and the offset m of block `block`. */
  parameters(raw: Uint8Array, block: number): {scale: number; offset: number};
  /** Puts the codes of block `block` at `at` in `out`. */
  codes(raw: Uint8Array, block: number, out: Uint8Array, at: number): void;
}

/** A tensor that goes into MatMulNBits as it is. */
export type BlockTensor = CheckpointTensor & {type: keyof typeof LAYOUTS};

/** Whether tensors of this type are BlockTensors. */
export function isBlockType(type: TensorType): type is keyof typeof LAYOUTS {
  return type in LAYOUTS;
}

/**
 * Exact with fp32. With fp16, too, but for Q4_K, whose scales are products of a half and a 6-bit integer: they are
 * rounded to the nearest half, offsets stay exact.
 */
export function blockWeights(tensor: BlockTensor, type: FloatType): BlockWeights {
  const layout = LAYOUTS[tensor.type];
  const round = type === 'fp16' ? nearestHalf : (value: number) => value;
  const blocksPerRow = tensor.shape[1]! / BLOCK_SIZE;
  const codeBytes = (BLOCK_SIZE * layout.bits) / 8;

  const weights: BlockWeights = {
    bits: layout.bits,
    codes: blockSource(tensor, codeBytes, (raw, first, out) => {
      for (let at = 0, block = first; at < out.length; at += codeBytes, block++) {
        // A block without a scale is constant; see zeroPoints.
        if (layout.hasOffsets && round(layout.parameters(raw, block).scale) === 0) out.fill(0, at, at + codeBytes);
        else layout.codes(raw, block, out, at);
      }
    }),
    scales: blockSource(tensor, floatBytes(type), (raw, first, out) => {
      const scales = new Float32Array(out.length / floatBytes(type));
      for (let index = 0; index < scales.length; index++) {
        const {scale, offset} = layout.parameters(raw, first + index);
        scales[index] = layout.hasOffsets && round(scale) === 0 ? offset : scale;
      }
      out.set(encodeFloats(type, scales, (index) => `the scales of ${describeRow(tensor, Math.floor((first + index) / blocksPerRow))}`));
    }),
  };
  if (layout.hasOffsets) {
    weights.zeroPoints = blockSource(tensor, Float32Array.BYTES_PER_ELEMENT, (raw, first, out) => {
      const zeroPoints = new Float32Array(out.length / Float32Array.BYTES_PER_ELEMENT);
      for (let index = 0; index < zeroPoints.length; index++) {
        const {scale, offset} = layout.parameters(raw, first + index);
        const rounded = round(scale);
        // No zero point makes an offset of a zero scale. Such a block is its offset throughout: (0 - -1) * offset.
        zeroPoints[index] = rounded === 0 ? -1 : -offset / rounded;
      }
      out.set(new Uint8Array(zeroPoints.buffer));
    });
  }
  return weights;
}

/** Blocks made at a time. A multiple of 8, so that none of Q4_K's blocks of 256 is cut. */
const BLOCKS_PER_CHUNK = 1 << 16;

/** `fill` makes the bytes of the blocks from `first` on that `out` has room for. */
function blockSource(
  tensor: CheckpointTensor,
  bytesPerBlock: number,
  fill: (raw: Uint8Array, first: number, out: Uint8Array) => void,
): TensorSource {
  const blocks = tensor.shape.reduce((product, dim) => product * dim, 1) / BLOCK_SIZE;
  return {
    byteLength: blocks * bytesPerBlock,
    async *chunks() {
      const raw = await tensor.read();
      const buffer = new Uint8Array(Math.min(blocks, BLOCKS_PER_CHUNK) * bytesPerBlock);
      for (let first = 0; first < blocks; first += BLOCKS_PER_CHUNK) {
        const out = buffer.subarray(0, Math.min(blocks - first, BLOCKS_PER_CHUNK) * bytesPerBlock);
        fill(raw, first, out);
        yield out;
      }
    },
  };
}

const half = halfTable();

function halfAt(raw: Uint8Array, at: number): number {
  return half[raw[at]! | (raw[at + 1]! << 8)]!;
}

const LAYOUTS = {
  Q8_0: {
    bits: 8,
    hasOffsets: false,
    parameters: (raw, block) => ({scale: halfAt(raw, block * BLOCKS.Q8_0.bytes), offset: 0}),
    codes(raw, block, out, at) {
      const from = block * BLOCKS.Q8_0.bytes + 2;
      // Signed to unsigned with 128 for zero.
      for (let index = 0; index < BLOCK_SIZE; index++) out[at + index] = raw[from + index]! ^ 0x80;
    },
  },
  Q4_0: {
    bits: 4,
    hasOffsets: false,
    parameters: (raw, block) => ({scale: halfAt(raw, block * BLOCKS.Q4_0.bytes), offset: 0}),
    codes: (raw, block, out, at) => pairNibbles(raw, block * BLOCKS.Q4_0.bytes + 2, out, at),
  },
  Q4_1: {
    bits: 4,
    hasOffsets: true,
    parameters: (raw, block) => ({scale: halfAt(raw, block * BLOCKS.Q4_1.bytes), offset: halfAt(raw, block * BLOCKS.Q4_1.bytes + 2)}),
    codes: (raw, block, out, at) => pairNibbles(raw, block * BLOCKS.Q4_1.bytes + 4, out, at),
  },
  Q4_K: {
    bits: 4,
    hasOffsets: true,
    parameters(raw, block) {
      const from = (block >> 3) * BLOCKS.Q4_K.bytes;
      const {scale, minimum} = q4kSixBits(raw, from + 4, block & 7);
      return {scale: halfAt(raw, from) * scale, offset: -halfAt(raw, from + 2) * minimum};
    },
    codes(raw, block, out, at) {
      // Two blocks share 32 bytes: the even one has the low nibbles, the odd one the high ones.
      const inside = block & 7;
      const from = (block >> 3) * BLOCKS.Q4_K.bytes + 16 + (inside >> 1) * 32;
      for (let index = 0; index < 16; index++) {
        const [first, second] = [raw[from + 2 * index]!, raw[from + 2 * index + 1]!];
        out[at + index] = inside & 1 ? (first >> 4) | (second & 0xf0) : (first & 0x0f) | ((second & 0x0f) << 4);
      }
    },
  },
} as const satisfies Partial<Record<TensorType, Layout>>;

/** From 16 bytes with element j in the low and j + 16 in the high nibble of byte j, to elements 2i and 2i + 1 in byte i. */
function pairNibbles(raw: Uint8Array, from: number, out: Uint8Array, at: number): void {
  for (let index = 0; index < 8; index++) {
    const first = raw[from + 2 * index]!;
    const second = raw[from + 2 * index + 1]!;
    out[at + index] = (first & 0x0f) | ((second & 0x0f) << 4);
    out[at + 8 + index] = (first >> 4) | (second & 0xf0);
  }
}

/** The 6-bit scale and minimum of one of the eight blocks in a Q4_K block, from its 12 bytes of them. */
function q4kSixBits(raw: Uint8Array, from: number, block: number): {scale: number; minimum: number} {
  if (block < 4) return {scale: raw[from + block]! & 63, minimum: raw[from + block + 4]! & 63};
  const low = raw[from + block + 4]!;
  return {
    scale: (low & 0x0f) | ((raw[from + block - 4]! >> 6) << 4),
    minimum: (low >> 4) | ((raw[from + block]! >> 6) << 4),
  };
}
