import {describe, expect, it} from 'vitest';

import {bfloat16ToFloat32, float16ToFloat32, float32ToFloat16, nearestHalf} from './float16.js';

const allHalves = Uint16Array.from({length: 0x10000}, (_, i) => i);
const isNaNBits = (bits: number) => (bits & 0x7fff) > 0x7c00;

describe('float16ToFloat32', () => {
  it.each([
    [0x0000, 0],
    [0x3c00, 1],
    [0xc000, -2],
    [0x7bff, 65504],
    [0x0400, 2 ** -14],
    [0x0001, 2 ** -24],
    [0x3555, 0.333251953125],
    [0x7c00, Infinity],
    [0xfc00, -Infinity],
  ])('0x%i is %d', (bits, value) => {
    expect(float16ToFloat32(Uint16Array.of(bits))[0]).toBe(value);
  });

  it('keeps the sign of zero and the NaNs', () => {
    expect(float16ToFloat32(Uint16Array.of(0x8000))[0]).toBe(-0);
    expect(float16ToFloat32(Uint16Array.of(0x7e00, 0xfc01))).toEqual(Float32Array.of(NaN, NaN));
  });
});

describe('float32ToFloat16', () => {
  it('gives every half back', () => {
    const back = float32ToFloat16(float16ToFloat32(allHalves));
    for (const bits of allHalves) expect(isNaNBits(bits) ? isNaNBits(back[bits]!) : back[bits] === bits).toBe(true);
  });

  it('rounds to nearest between any two neighbours, ties to even', () => {
    const values = float16ToFloat32(allHalves);
    const next = new Float32Array(1);
    const step = (value: number, by: 1 | -1) => {
      next[0] = value;
      new Int32Array(next.buffer)[0]! += by;
      return next[0]!;
    };
    const wrong: number[] = [];
    for (let bits = 0; bits < 0x7c00; bits++) {
      // Above the largest half the next would be 65536, were the exponent not infinity's.
      const upper = bits === 0x7bff ? 65536 : values[bits + 1]!;
      const middle = (values[bits]! + upper) / 2; // exact in float32: one bit more than a half
      const even = bits % 2 === 0 ? bits : bits + 1;
      const [below, tie, above, negative] = float32ToFloat16(Float32Array.of(step(middle, -1), middle, step(middle, 1), -middle));
      if (below !== bits || tie !== even || above !== bits + 1 || negative !== (even | 0x8000)) wrong.push(bits);
    }
    expect(wrong).toEqual([]);
  });

  it.each([
    [70000, 0x7c00],
    [-1e30, 0xfc00],
    [Infinity, 0x7c00],
    [1e-30, 0],
    [-0, 0x8000],
  ])('%d is 0x%i', (value, bits) => {
    expect(float32ToFloat16(Float32Array.of(value))[0]).toBe(bits);
  });

  it('writes into the array it is given', () => {
    const target = new Uint16Array(2);
    expect(float32ToFloat16(Float32Array.of(1, 2), target)).toBe(target);
    expect([...target]).toEqual([0x3c00, 0x4000]);
  });
});

describe('nearestHalf', () => {
  it.each([
    [0.1, 0.0999755859375],
    [1 + 2 ** -11, 1],
    [1 + 3 * 2 ** -11, 1 + 2 ** -9],
    [-1e6, -Infinity],
  ])('of %d is %d', (value, half) => {
    expect(nearestHalf(value)).toBe(half);
  });
});

describe('bfloat16ToFloat32', () => {
  it('is the upper half of a float32', () => {
    expect([...bfloat16ToFloat32(Uint16Array.of(0x3f80, 0xc040, 0x7f80, 0x0001))]).toEqual([1, -3, Infinity, 2 ** -133]);
  });
});
