/** Uniform numbers that depend on a seed and a position alone, so that a draw can be made again anywhere, in any order. */

const MULTIPLIERS = [0xd2511f53, 0xcd9e8d57] as const;
const KEY_STEPS = [0x9e3779b9, 0xbb67ae85] as const;
const ROUNDS = 10;

/**
 * A number in [0, 1) of 24 bits, which single precision holds exactly: a GPU can draw the same.
 * The upper bits of the first word of Philox with the key (seed, 0) and the counter (position, 0, 0, 0).
 */
export function uniform(seed: number, position: number): number {
  const [word] = philox([position >>> 0, 0, 0, 0], [seed >>> 0, 0]);
  return (word >>> 8) / 0x100_0000;
}

type Words4 = [number, number, number, number];

/** Philox4x32-10: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011. Words are unsigned 32 bits. */
export function philox(counter: Readonly<Words4>, key: readonly [number, number]): Words4 {
  let [c0, c1, c2, c3] = counter;
  let [k0, k1] = key;
  for (let round = 0; round < ROUNDS; round++) {
    const low0 = Math.imul(MULTIPLIERS[0], c0) >>> 0;
    const low1 = Math.imul(MULTIPLIERS[1], c2) >>> 0;
    const high0 = multiplyHigh(MULTIPLIERS[0], c0);
    const high1 = multiplyHigh(MULTIPLIERS[1], c2);
    [c0, c1, c2, c3] = [(high1 ^ c1 ^ k0) >>> 0, low1, (high0 ^ c3 ^ k1) >>> 0, low0];
    k0 = (k0 + KEY_STEPS[0]) >>> 0;
    k1 = (k1 + KEY_STEPS[1]) >>> 0;
  }
  return [c0, c1, c2, c3];
}

/** The upper 32 bits of a product of two unsigned 32-bit numbers. */
function multiplyHigh(a: number, b: number): number {
  const aLow = a & 0xffff;
  const aHigh = a >>> 16;
  const bLow = b & 0xffff;
  const bHigh = b >>> 16;
  const middle = aHigh * bLow + ((aLow * bLow) >>> 16);
  const carried = aLow * bHigh + (middle % 0x1_0000);
  return (aHigh * bHigh + Math.floor(middle / 0x1_0000) + Math.floor(carried / 0x1_0000)) >>> 0;
}
