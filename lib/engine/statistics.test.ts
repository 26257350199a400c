import {describe, expect, it} from 'vitest';

import {difference, statistics, toNumbers} from './statistics.js';
import type {Tensor} from './tensor.js';

const floats = (...values: number[]): Tensor => ({type: 'float32', dims: [values.length], data: Float32Array.from(values)});

describe('statistics', () => {
  it.each<[Tensor, object]>([
    [floats(1, -2, 4), {count: 3, min: -2, max: 4, mean: 1, nan: 0}],
    [floats(1, Number.NaN, 3), {count: 3, min: 1, max: 3, mean: 2, nan: 1}],
    [floats(Number.NaN), {count: 1, min: null, max: null, mean: null, nan: 1}],
    [floats(), {count: 0, min: null, max: null, mean: null, nan: 0}],
    [
      {type: 'int64', dims: [2], data: BigInt64Array.of(-5n, 7n)},
      {count: 2, min: -5, max: 7, mean: 1, nan: 0},
    ],
  ])('of each type and kind, %#', (tensor, expected) => {
    expect(statistics(tensor)).toEqual(expected);
  });
});

describe('toNumbers', () => {
  it.each<[Tensor, number[]]>([
    [{type: 'float16', dims: [3], data: Uint16Array.of(0x3c00, 0xc000, 0x3555)}, [1, -2, Math.fround(0.333251953125)]],
    [{type: 'bfloat16', dims: [2], data: Uint16Array.of(0x3f80, 0xc0a0)}, [1, -5]],
    // 448 is the largest, 2^-9 the smallest; NaN is all ones.
    [
      {type: 'float8e4m3fn', dims: [6], data: Uint8Array.of(0x38, 0x7e, 0x01, 0xb8, 0x7f, 0x08)},
      [1, 448, 2 ** -9, -1, Number.NaN, 2 ** -6],
    ],
    // Low nibble first, two's complement; the last half byte is nobody's.
    [{type: 'int4', dims: [3], data: Uint8Array.of(0x8f, 0xf7)}, [-1, -8, 7]],
    [{type: 'bool', dims: [2], data: Uint8Array.of(0, 1)}, [0, 1]],
  ])('of each type and kind, %#', (tensor, expected) => {
    expect([...Array.from(toNumbers(tensor))]).toEqual(expected);
  });
});

describe('difference', () => {
  it.each<[number[], number[], object | undefined]>([
    [[1, 2], [1, 2], {maxAbsolute: 0, cosine: 1}],
    [[1, 0], [0, 1], {maxAbsolute: 1, cosine: 0}],
    [[3, 4], [-3, -4], {maxAbsolute: 8, cosine: -1}],
    [[0, 0], [0, 0], {maxAbsolute: 0, cosine: 1}],
    [[Number.NaN, 1], [Number.NaN, 1], {maxAbsolute: 0, cosine: 1}],
    [[Infinity, 1], [Infinity, 1], {maxAbsolute: 0, cosine: 1}],
    [[1], [1, 2], undefined],
  ])('of %j and %j', (a, b, expected) => {
    expect(difference(floats(...a), floats(...b))).toEqual(expected);
  });

  it('is infinite where one alone is no number', () => {
    expect(difference(floats(Number.NaN), floats(1))!.maxAbsolute).toBe(Infinity);
  });
});
