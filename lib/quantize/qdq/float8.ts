/** float32 to E4M3 (OCP 8-bit floating point specification): bias 7, no infinities, largest 448. */

export const LARGEST_E4M3 = 448;

/** Magnitudes of codes 0 to 126, ascending; 127 is not a number. */
const MAGNITUDES = Float64Array.from({length: 127}, (_, code) => {
  const [exponent, fraction] = [code >> 3, code & 7];
  return exponent === 0 ? fraction * 2 ** -9 : (1 + fraction / 8) * 2 ** (exponent - 7);
});

/** The nearest code, ties to the even one; beyond the largest value that. */
export function toE4m3(value: number): number {
  const magnitude = Math.abs(value);
  let [low, high] = [0, MAGNITUDES.length - 1];
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (MAGNITUDES[middle]! <= magnitude) low = middle;
    else high = middle - 1;
  }
  const next = Math.min(low + 1, MAGNITUDES.length - 1);
  const [below, above] = [magnitude - MAGNITUDES[low]!, MAGNITUDES[next]! - magnitude];
  const code = above < below || (above === below && low % 2 === 1) ? next : low;
  return value < 0 ? code | 0x80 : code;
}
