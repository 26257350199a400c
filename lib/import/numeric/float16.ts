/** Half precision and bfloat16 to and from float32, in bulk: Node 20 and 22 have no Float16Array. */

/** Every half as a float: 65536 values, 256 KB, made on first use. */
let halves: Float32Array | undefined;

/** IEEE 754 binary16 bits to float32; exact. */
export function float16ToFloat32(bits: Uint16Array, target = new Float32Array(bits.length)): Float32Array {
  const table = halfTable();
  for (let i = 0; i < bits.length; i++) target[i] = table[bits[i]!]!;
  return target;
}

/** All 65536 halves, indexed by their bits, for loops that decode one at a time. */
export function halfTable(): Float32Array {
  halves ??= Float32Array.from({length: 0x10000}, (_, bits) => decodeHalf(bits));
  return halves;
}

/**
 * float32 to IEEE 754 binary16 bits, rounded to nearest, ties to even. What exceeds the largest half (65504) by
 * half a unit or more becomes an infinity; NaN stays NaN.
 */
export function float32ToFloat16(values: Float32Array, target = new Uint16Array(values.length)): Uint16Array {
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length);
  for (let i = 0; i < words.length; i++) target[i] = encodeHalf(words[i]!);
  return target;
}

const scratch = new Float32Array(1);
const scratchBits = new Uint32Array(scratch.buffer);

/** The half nearest to `value`, ties to even; infinite beyond the largest. */
export function nearestHalf(value: number): number {
  scratch[0] = value;
  return halfTable()[encodeHalf(scratchBits[0]!)]!;
}

/** bfloat16 bits (the upper half of a float32) to float32; exact. */
export function bfloat16ToFloat32(bits: Uint16Array, target = new Float32Array(bits.length)): Float32Array {
  const words = new Uint32Array(target.buffer, target.byteOffset, target.length);
  for (let i = 0; i < bits.length; i++) words[i] = bits[i]! << 16;
  return target;
}

function decodeHalf(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >>> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0x1f) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** `word` is the float32's bits. */
function encodeHalf(word: number): number {
  const sign = (word >>> 16) & 0x8000;
  const magnitude = word & 0x7fffffff;
  if (magnitude >= 0x47800000) return magnitude > 0x7f800000 ? sign | 0x7e00 : sign | 0x7c00; // 65536 and up, NaN
  if (magnitude >= 0x38800000) {
    // Normal: add just under half of the last place kept, one more if that place is odd, and cut; a carry runs
    // into the exponent, and from the largest one into infinity, as it should.
    return sign | ((magnitude - 0x38000000 + 0xfff + ((magnitude >>> 13) & 1)) >>> 13);
  }
  if (magnitude <= 0x33000000) return sign; // at most 2^-25, half of the smallest: zero
  const shift = 126 - (magnitude >>> 23);
  const significand = (magnitude & 0x7fffff) | 0x800000;
  const kept = significand >>> shift;
  const rest = significand & ((1 << shift) - 1);
  const tie = 1 << (shift - 1);
  return sign | (rest > tie || (rest === tie && kept & 1) ? kept + 1 : kept);
}
