/**
 * Every tensor type of a checkpoint to float32. The formulas are those of ggml's reference (`dequantize_row_*` in
 * ggml-quants.c), and each result is the same float: all products are exact in double, so one rounding remains.
 */

import type {TensorType} from '../checkpoint.js';
import {BLOCKS, byteLength} from './blocks.js';
import {bfloat16ToFloat32, float16ToFloat32, halfTable} from './float16.js';

/** Decodes one block at `at` of `bytes` to `out`, from `to` on. */
type BlockDecoder = (bytes: Uint8Array, at: number, out: Float32Array, to: number) => void;

/** The values of a tensor (or of whole rows of it), from its bytes as the checkpoint stores them. */
export function dequantize(type: TensorType, bytes: Uint8Array): Float32Array<ArrayBuffer> {
  const layout = BLOCKS[type];
  const elements = (bytes.length / layout.bytes) * layout.elements;
  if (byteLength(type, elements) !== bytes.length || !Number.isInteger(elements)) {
    throw new RangeError(`${bytes.length} bytes are not whole ${type} blocks of ${layout.bytes}`);
  }
  const out = new Float32Array(elements);
  switch (type) {
    case 'F32':
      new Uint8Array(out.buffer).set(bytes);
      return out;
    case 'F16':
      float16ToFloat32(words(bytes), out);
      return out;
    case 'BF16':
      bfloat16ToFloat32(words(bytes), out);
      return out;
    default: {
      const decode = DECODERS[type];
      for (let at = 0, to = 0; at < bytes.length; at += layout.bytes, to += layout.elements) decode(bytes, at, out, to);
      return out;
    }
  }
}

/** 16-bit words of bytes that may start at an odd address. */
function words(bytes: Uint8Array): Uint16Array {
  const aligned = bytes.byteOffset % 2 === 0 ? bytes : bytes.slice();
  return new Uint16Array(aligned.buffer, aligned.byteOffset, aligned.length / 2);
}

const halves = halfTable();

function half(bytes: Uint8Array, at: number): number {
  return halves[bytes[at]! | (bytes[at + 1]! << 8)]!;
}

function int8(byte: number): number {
  return (byte << 24) >> 24;
}

const DECODERS: Record<Exclude<TensorType, 'F32' | 'F16' | 'BF16'>, BlockDecoder> = {
  // d, 32 int8 codes: d * q
  Q8_0(bytes, at, out, to) {
    const d = half(bytes, at);
    for (let i = 0; i < 32; i++) out[to + i] = d * int8(bytes[at + 2 + i]!);
  },

  // d, 16 bytes: element i in the low nibble of byte i, element i + 16 in the high one: d * (q - 8)
  Q4_0(bytes, at, out, to) {
    const d = half(bytes, at);
    for (let i = 0; i < 16; i++) {
      const byte = bytes[at + 2 + i]!;
      out[to + i] = d * ((byte & 15) - 8);
      out[to + i + 16] = d * ((byte >>> 4) - 8);
    }
  },

  // d, m, 16 bytes as in Q4_0: d * q + m
  Q4_1(bytes, at, out, to) {
    const d = half(bytes, at);
    const m = half(bytes, at + 2);
    for (let i = 0; i < 16; i++) {
      const byte = bytes[at + 4 + i]!;
      out[to + i] = d * (byte & 15) + m;
      out[to + i + 16] = d * (byte >>> 4) + m;
    }
  },

  // d, dmin, 8 pairs of 6-bit scale and minimum, 128 bytes of nibbles: d * sc * q - dmin * m
  Q4_K(bytes, at, out, to) {
    const d = half(bytes, at);
    const dmin = half(bytes, at + 2);
    const codes = at + 16;
    for (let group = 0; group < 8; group++) {
      const scale = d * scaleOf(bytes, at + 4, group);
      const minimum = dmin * minimumOf(bytes, at + 4, group);
      const from = codes + (group >>> 1) * 32;
      const shift = (group & 1) * 4;
      for (let i = 0; i < 32; i++) out[to + group * 32 + i] = scale * ((bytes[from + i]! >>> shift) & 15) - minimum;
    }
  },

  // as Q4_K, with the fifth bits of the 8 groups in the 8 bits of 32 bytes before the nibbles
  Q5_K(bytes, at, out, to) {
    const d = half(bytes, at);
    const dmin = half(bytes, at + 2);
    const high = at + 16;
    const codes = at + 48;
    for (let group = 0; group < 8; group++) {
      const scale = d * scaleOf(bytes, at + 4, group);
      const minimum = dmin * minimumOf(bytes, at + 4, group);
      const from = codes + (group >>> 1) * 32;
      const shift = (group & 1) * 4;
      for (let i = 0; i < 32; i++) {
        const code = ((bytes[from + i]! >>> shift) & 15) | (((bytes[high + i]! >>> group) & 1) << 4);
        out[to + group * 32 + i] = scale * code - minimum;
      }
    }
  },

  // 128 bytes of low nibbles, 64 of high bit pairs, 16 int8 scales (one for 16 elements), d: d * sc * (q - 32)
  Q6_K(bytes, at, out, to) {
    const d = half(bytes, at + 208);
    for (let i = 0; i < 256; i++) {
      const part = i >>> 7; // of the two halves of 128 elements
      const quarter = (i >>> 5) & 3;
      const lane = i & 31;
      const low = (bytes[at + part * 64 + (quarter & 1) * 32 + lane]! >>> ((quarter >>> 1) * 4)) & 15;
      const high = (bytes[at + 128 + part * 32 + lane]! >>> (quarter * 2)) & 3;
      out[to + i] = d * int8(bytes[at + 192 + (i >>> 4)]!) * ((low | (high << 4)) - 32);
    }
  },
};

/** K-quants pack eight 6-bit scales and eight 6-bit minima in 12 bytes: `get_scale_min_k4`. */
function scaleOf(bytes: Uint8Array, at: number, group: number): number {
  if (group < 4) return bytes[at + group]! & 63;
  return (bytes[at + group + 4]! & 15) | ((bytes[at + group - 4]! >>> 6) << 4);
}

function minimumOf(bytes: Uint8Array, at: number, group: number): number {
  if (group < 4) return bytes[at + group + 4]! & 63;
  return (bytes[at + group + 4]! >>> 4) | ((bytes[at + group]! >>> 6) << 4);
}
