import {describe, expect, it} from 'vitest';

import {mulberry32, randomTensor, tensorOf} from '../../../test/support/random_checkpoint.js';
import {readSource} from '../../onnx/tensor_source.js';
import type {TensorType} from '../checkpoint.js';
import {dequantize} from '../numeric/dequantize.js';
import {float32ToFloat16} from '../numeric/float16.js';
import {denseSource, transposedSource} from './dense.js';

const TYPES: TensorType[] = ['F32', 'F16', 'BF16', 'Q8_0', 'Q4_1', 'Q5_K', 'Q6_K'];

describe.each(TYPES)('%s', (type) => {
  // More columns than are made at a time, and for the types without blocks a last strip that is narrower.
  const [rows, columns] = [5, type.startsWith('Q') ? 768 : 700];
  const tensor = randomTensor('weight', type, [rows, columns], mulberry32(3));

  it('keeps values and order', async () => {
    const expected = dequantize(type, await tensor.read());
    expect(new Float32Array((await readSource(denseSource(tensor, 'fp32'))).buffer)).toEqual(expected);
    expect(new Uint16Array((await readSource(denseSource(tensor, 'fp16'))).buffer)).toEqual(float32ToFloat16(expected));
  });

  it('transposes', async () => {
    const plain = dequantize(type, await tensor.read());
    const transposed = new Float32Array((await readSource(transposedSource(tensor, 'fp32'))).buffer);
    const expected = Float32Array.from({length: rows * columns}, (_, index) => plain[(index % rows) * columns + Math.floor(index / rows)]!);
    expect(transposed).toEqual(expected);
  });
});

it('makes large tensors piece by piece', async () => {
  const tensor = randomTensor('weight', 'F16', [1100, 1024], mulberry32(5));
  let pieces = 0;
  for await (const chunk of denseSource(tensor, 'fp32').chunks()) {
    expect(chunk.byteLength).toBeLessThanOrEqual(4 * 2 ** 20);
    pieces++;
  }
  expect(pieces).toBe(2);
});

it('transposes a matrix of many rows in narrower strips', async () => {
  const [rows, columns] = [2 ** 17, 150];
  const values = Uint16Array.from({length: rows * columns}, (_, index) => index % 0x7c00);
  const tensor = tensorOf('weight', 'F16', [rows, columns], new Uint8Array(values.buffer));
  const strips: number[] = [];
  for await (const chunk of transposedSource(tensor, 'fp16').chunks()) {
    const first = strips.reduce((sum, width) => sum + width, 0);
    const strip = new Uint16Array(chunk.buffer, chunk.byteOffset, chunk.byteLength / 2);
    for (const row of [0, 1, rows - 1]) expect(strip[row]).toBe(values[row * columns + first]);
    strips.push(strip.length / rows);
  }
  expect(strips).toEqual([128, 22]);
});
