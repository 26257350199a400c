import {describe, expect, it} from 'vitest';

import {isReadable, type PackedFormat, packedBytes, packedFormatOf, passingBytes} from './packed_format.js';
import {inlineRows, type QuantizedRows} from './weight_ref.js';

const none = {inline: new Uint8Array()};
const quantized = (changes: Partial<QuantizedRows> = {}): QuantizedRows => ({
  kind: 'quantized',
  rows: 16,
  columns: 256,
  codeType: 'uint4',
  blockSize: 32,
  transposed: false,
  codes: none,
  scales: none,
  scaleType: 'float16',
  ...changes,
});
const codes = {type: 'codes', data: none} as const;
const floating = {type: 'float32', data: none} as const;

describe('how rows stay quantized', () => {
  it.each<[Partial<QuantizedRows>, Omit<PackedFormat, 'gated'> | undefined]>([
    [{}, {codes: 'uint4', offsets: 'middle', block: 32}],
    [
      {codeType: 'int4', blockSize: 64},
      {codes: 'uint4', offsets: 'middle', block: 64},
    ],
    [
      {zeroPoints: codes, blockSize: 128},
      {codes: 'uint4', offsets: 'codes', block: 128},
    ],
    [{zeroPoints: floating}, {codes: 'uint4', offsets: 'floating', block: 32}],
    // Larger blocks are several with the same scale.
    [{blockSize: 256}, {codes: 'uint4', offsets: 'middle', block: 128}],
    [
      {blockSize: 192, columns: 192},
      {codes: 'uint4', offsets: 'middle', block: 64},
    ],
    [{codeType: 'uint8'}, {codes: 'uint8', offsets: 'middle', block: 32}],
    [
      {codeType: 'int8', blockSize: 256},
      {codes: 'uint8', offsets: 'middle', block: 0},
    ],
    [
      {codeType: 'int8', blockSize: 256, transposed: true},
      {codes: 'uint8', offsets: 'middle', block: 0},
    ],
    [
      {codeType: 'uint8', blockSize: 256, columns: 100},
      {codes: 'uint8', offsets: 'middle', block: 128},
    ],
    [
      {codeType: 'float8', blockSize: 256},
      {codes: 'float8', offsets: 'middle', block: 0},
    ],
    [{codeType: 'float8', blockSize: 64}, undefined],
    [{blockSize: 16}, undefined],
    [{blockSize: 48}, undefined],
    [{transposed: true}, undefined],
    [{columns: 9001}, undefined],
  ])('%o', (changes, format) => {
    expect(packedFormatOf([quantized(changes)], false)).toEqual(format && {...format, gated: false});
    expect(packedFormatOf([quantized(changes)], true)).toEqual(format && {...format, gated: true});
  });

  it('all in one way, or not at all', () => {
    expect(packedFormatOf([quantized(), quantized({codeType: 'int4', rows: 3})], false)).toBeDefined();
    expect(packedFormatOf([quantized(), quantized({zeroPoints: codes})], false)).toBeUndefined();
    expect(packedFormatOf([quantized(), quantized({blockSize: 64})], false)).toBeUndefined();
    expect(packedFormatOf([quantized(), inlineRows(1, 256, 'float16', new Uint8Array(512))], false)).toBeUndefined();
    expect(packedFormatOf([inlineRows(1, 256, 'float16', new Uint8Array(512))], false)).toBeUndefined();
  });
});

describe('floats', () => {
  it('are made of unsigned codes at once, of others by way of the packed form', () => {
    expect(passingBytes(quantized({blockSize: 16}))).toBe(0);
    const signed = quantized({codeType: 'int8', blockSize: 256});
    expect(passingBytes(signed)).toBe(packedBytes(packedFormatOf([signed], false)!, 16, 256));
  });

  it('are made of no codes that neither knows', () => {
    expect(isReadable(quantized({blockSize: 16}))).toBe(true);
    for (const changes of [{codeType: 'int4', blockSize: 16}, {codeType: 'float8', blockSize: 64}, {transposed: true}] as const) {
      expect(isReadable(quantized(changes)), JSON.stringify(changes)).toBe(false);
    }
  });
});

/** 30 layers of 576 and 1536, nine heads of 64 on three, tied embeddings: SmolLM2-135M. */
const SMOLLM2: [outer: number, inner: number, count: number][] = [
  [960, 576, 30],
  [576, 576, 30],
  [3072, 576, 30],
  [576, 1536, 30],
  [49152, 576, 1],
];

it.each<[Omit<PackedFormat, 'gated'>, bitsOnDisk: number]>([
  // Q4_1 has two halves beside 32 codes, Q4_0 and Q8_0 one.
  [{codes: 'uint4', offsets: 'floating', block: 32}, 4 + 32 / 32],
  [{codes: 'uint4', offsets: 'middle', block: 32}, 4 + 16 / 32],
  [{codes: 'uint8', offsets: 'middle', block: 32}, 8 + 16 / 32],
  [{codes: 'uint4', offsets: 'codes', block: 32}, 4 + 20 / 32],
  [{codes: 'uint8', offsets: 'middle', block: 0}, 8],
  [{codes: 'float8', offsets: 'middle', block: 0}, 8],
])('takes at most 3 %% more than files: %o', (format, bitsOnDisk) => {
  let [packed, stored] = [0, 0];
  for (const [outer, inner, count] of SMOLLM2) {
    packed += count * packedBytes({...format, gated: outer === 3072}, outer, inner);
    stored += (count * outer * inner * bitsOnDisk) / 8;
  }
  expect(packed / stored).toBeGreaterThanOrEqual(1);
  expect(packed / stored).toBeLessThan(1.03);
});

it('is a whole number of 256 bytes, also for sizes that are no whole tiles', () => {
  const format: PackedFormat = {codes: 'uint4', offsets: 'codes', block: 32, gated: false};
  // Three tiles of two units; four blocks a row, a whole chunk, of 16 scales of two bytes, and of eight bytes of zero points.
  expect(packedBytes(format, 33, 72)).toBe(3 * 2 * 512 + 512 + 256);
  expect(packedBytes({...format, gated: true}, 34, 72)).toBe(3 * 2 * 512 + 512 + 256);
});
