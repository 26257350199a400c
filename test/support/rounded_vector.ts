/** A head's vector as a cache of 8 bits keeps it, by looking codes up: what rewrites and kernels are compared with. */

/** The 112 finite numbers of E3M4 that are not negative, by their codes. */
export const FLOAT8: readonly number[] = Array.from({length: 112}, (_, code) => {
  const [exponent, fraction] = [code >> 4, code & 15];
  return exponent === 0 ? (fraction / 16) * 2 ** -2 : (1 + fraction / 16) * 2 ** (exponent - 3);
});

export function roundedVector(x: Float32Array, type: 'fp8' | 'int8'): Float32Array {
  const largest = type === 'int8' ? 127 : 15.5;
  const most = x.reduce((so, each) => Math.max(so, Math.abs(each)), 2 ** -64);
  const scale = Math.fround(most / largest);
  const inverse = Math.fround(largest / most);
  return x.map((each) => {
    const scaled = Math.abs(Math.fround(each * inverse));
    const code = type === 'int8' ? nearestInteger(scaled) : FLOAT8[nearestCode(scaled)]!;
    return Math.fround(Math.sign(each) * code * scale);
  });
}

function nearestInteger(value: number): number {
  const below = Math.floor(value);
  return value - below === 0.5 ? below + (below % 2) : Math.round(value);
}

/** Of two as near the even one. */
function nearestCode(value: number): number {
  const above = FLOAT8.findIndex((each) => each >= value);
  if (above < 0) return FLOAT8.length - 1;
  if (above === 0) return 0;
  const [down, up] = [value - FLOAT8[above - 1]!, FLOAT8[above]! - value];
  return down < up || (down === up && above % 2 === 1) ? above - 1 : above;
}
