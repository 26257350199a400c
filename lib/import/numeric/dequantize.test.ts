import {readFileSync} from 'node:fs';

import {describe, expect, it} from 'vitest';

import type {TensorType} from '../checkpoint.js';
import {BLOCKS} from './blocks.js';
import {dequantize} from './dequantize.js';

/** Made with the `gguf` package of llama.cpp: random blocks and what `gguf.quants.dequantize` makes of them. */
const vectors = JSON.parse(readFileSync(new URL('fixtures/dequantize.json', import.meta.url), 'utf8')) as Record<
  TensorType,
  {blocks: string; values: string}
>;

const types = Object.keys(BLOCKS) as TensorType[];

describe('dequantize', () => {
  it.each(types)('%s gives the floats of the reference, bit for bit', (type) => {
    const {blocks, values} = vectors[type];
    const expected = Buffer.from(values, 'base64');
    const actual = dequantize(type, Buffer.from(blocks, 'base64'));
    expect(Buffer.from(actual.buffer).toString('hex')).toBe(expected.toString('hex'));
  });

  it.each(types)('%s reads bytes at any address', (type) => {
    const blocks = Buffer.from(vectors[type].blocks, 'base64');
    const shifted = new Uint8Array(blocks.length + 1);
    shifted.set(blocks, 1);
    expect(dequantize(type, shifted.subarray(1))).toEqual(dequantize(type, blocks));
  });

  it.each([
    ['Q4_0', 17],
    ['Q6_K', 211],
    ['F16', 3],
  ] as const)('%s refuses %i bytes', (type, length) => {
    expect(() => dequantize(type, new Uint8Array(length))).toThrow(`${length} bytes are not whole ${type} blocks`);
  });
});
