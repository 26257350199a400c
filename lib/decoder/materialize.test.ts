import {writeFile} from 'node:fs/promises';

import {describe, expect, it} from 'vitest';

import {temporaryFolder} from '../../test/support/temporary_folder.js';
import {FormatError, UnsupportedError} from '../errors.js';
import {decode, materialize, materializeFloats} from './materialize.js';
import {type StoredBytes, type WeightRef, type WeightRows, weightByteLength} from './weight_ref.js';

const inFolder = temporaryFolder();

const floats = (...values: number[]): StoredBytes => ({inline: new Uint8Array(Float32Array.from(values).buffer)});
const bytes = (...values: number[]): StoredBytes => ({inline: Uint8Array.from(values)});
const weight = (shape: number[], rows: WeightRows[], type: WeightRef['type'] = 'float32'): WeightRef => ({type, shape, rows});
const dense = (rows: number, columns: number, data: StoredBytes, transposed = false): WeightRows => ({
  kind: 'dense',
  rows,
  columns,
  type: 'float32',
  transposed,
  data,
});

describe('rows one after another', () => {
  it('as they are, and transposed', async () => {
    const made = await materializeFloats(weight([4, 2], [dense(1, 2, floats(1, 2)), dense(3, 2, floats(3, 5, 7, 4, 6, 8), true)]));
    expect([...made]).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
  });

  it('refuses rows of another number than the shape has', async () => {
    await expect(materializeFloats(weight([3, 2], [dense(1, 2, floats(1, 2))]))).rejects.toThrow(
      'a weight of shape [3, 2] has rows of 2 elements',
    );
  });
});

describe('codes', () => {
  // Rows of five in blocks of two: three blocks, the last one half empty.
  const shared = {
    kind: 'quantized',
    rows: 2,
    columns: 5,
    blockSize: 2,
    transposed: false,
    scales: floats(1, 2, 3, 4, 5, 6),
    scaleType: 'float32',
  } as const;
  const eight = {...shared, codeType: 'uint8', codes: bytes(128, 129, 130, 131, 132, 0, 1, 2, 3, 4, 5, 0)} as const;
  const four = {...shared, codeType: 'uint4', codes: bytes(0x98, 0xba, 0x0c, 0x10, 0x32, 0x04)} as const;

  it.each<[string, WeightRows, number[]]>([
    ['8 bits, symmetric', eight, [0, 1, 4, 6, 12, -127 * 4, -126 * 4, -125 * 5, -124 * 5, -123 * 6]],
    ['4 bits, symmetric', four, [0, 1, 4, 6, 12, -8 * 4, -7 * 4, -6 * 5, -5 * 5, -4 * 6]],
    [
      '4 bits, zero points of 4 bits, packed by row',
      {...four, zeroPoints: {type: 'codes', data: bytes(0x21, 0x03, 0x54, 0x06)}},
      [7, 8, 16, 18, 27, -16, -12, -15, -10, -12],
    ],
    [
      '4 bits, zero points that are floats',
      {...four, zeroPoints: {type: 'float32', data: floats(0.5, 0, 0, 0, 0, 0.25)}},
      [7.5, 8.5, 20, 22, 36, 0, 4, 10, 15, 22.5],
    ],
    [
      '8 bits, zero points of 8 bits',
      {...eight, zeroPoints: {type: 'codes', data: bytes(128, 0, 0, 1, 0, 0)}},
      [0, 1, 260, 262, 396, 0, 4, 15, 20, 30],
    ],
  ])('%s', async (_, rows, expected) => {
    expect([...(await materializeFloats(weight([2, 5], [rows])))]).toEqual(expected);
  });
});

describe('types', () => {
  // 1 + 2^-8 lies between two bfloat16, and goes to the even one; so does 1 + 3 * 2^-8.
  const values = [1, -2.5, 1 + 2 ** -8, 1 + 3 * 2 ** -8, 3.3895313892515355e38];

  it('rounds to bfloat16, ties to even', async () => {
    const made = await materialize(weight([5], [dense(5, 1, floats(...values))], 'bfloat16'));
    expect([...decode(made, 'bfloat16')]).toEqual([1, -2.5, 1, 1 + 2 ** -6, 3.3895313892515355e38]);
  });

  it('keeps what a NaN is', async () => {
    const nan: StoredBytes = {inline: new Uint8Array(Uint32Array.of(0x7f800001).buffer)};
    expect(decode(await materialize(weight([1], [dense(1, 1, nan)], 'bfloat16')), 'bfloat16')[0]).toBeNaN();
  });

  it('rounds to float16, and refuses what it cannot hold', async () => {
    const half = weight([2], [dense(2, 1, floats(1 + 2 ** -12, 65504))], 'float16');
    const made = await materialize(half);
    expect(made.byteLength).toBe(weightByteLength(half));
    expect([...decode(made, 'float16')]).toEqual([1, 65504]);
    const large = materialize(weight([2], [dense(2, 1, floats(1, -7e4))], 'float16'));
    await expect(large).rejects.toThrow(UnsupportedError);
    await expect(large).rejects.toThrow('holds -70000, which half precision cannot');
    expect([...decode(await materialize(weight([1], [dense(1, 1, floats(-Infinity))], 'float16')), 'float16')]).toEqual([-Infinity]);
  });
});

describe('pieces of files', () => {
  it('from where they begin', async () => {
    const file = inFolder('weights');
    await writeFile(file, Buffer.concat([Buffer.from('odd'), Buffer.from(Float32Array.of(1, 2, 3, 4).buffer)]));
    expect([...(await materializeFloats(weight([2], [dense(2, 1, {file, offset: 7, length: 8})])))]).toEqual([2, 3]);
  });

  it('that end too soon', async () => {
    const file = inFolder('short');
    await writeFile(file, Buffer.alloc(10));
    const reading = materialize(weight([4], [dense(4, 1, {file, offset: 0, length: 16})]));
    await expect(reading).rejects.toThrow(FormatError);
    await expect(reading).rejects.toThrow('ends at byte 10, inside a weight');
  });
});
