import {describe, expect, it} from 'vitest';

import {tinyConfig} from '../../../test/support/random_checkpoint.js';
import {UnsupportedError} from '../../errors.js';
import {readSource} from '../../onnx/tensor_source.js';
import {rotaryParameters, rotaryTable} from './rope.js';

describe('rotaryParameters', () => {
  it('without scaling', () => {
    const {inverseFrequencies, attentionFactor} = rotaryParameters(tinyConfig({headDim: 4, ropeTheta: 10_000}));
    expect([...inverseFrequencies]).toEqual([1, 0.01]);
    expect(attentionFactor).toBe(1);
  });

  // Expected: transformers' `_compute_llama3_parameters` for Llama 3.1 8B.
  it.each([
    [0, 1],
    [28, 0.0032114459947525913],
    [29, 0.002166570763503359],
    [30, 0.0013718935677611381],
    [32, 0.0005248461609929547],
    [34, 0.00017850781276799638],
    [35, 9.556212353964683e-5],
    [63, 3.068925988914511e-7],
  ])('llama3, pair %i', (pair, expected) => {
    const ropeScaling = {type: 'llama3', factor: 8, lowFreqFactor: 1, highFreqFactor: 4, originalMaxPositionEmbeddings: 8192} as const;
    const {inverseFrequencies, attentionFactor} = rotaryParameters(tinyConfig({headDim: 128, ropeTheta: 500_000, ropeScaling}));
    expect(inverseFrequencies[pair]! / expected).toBeCloseTo(1, 12);
    expect(attentionFactor).toBe(1);
  });

  // Expected: transformers' `_compute_yarn_parameters` for Qwen2.5 with a factor of 4; the ramp goes from pair 23 to 40.
  it.each([
    [0, 1],
    [23, 0.006978305848598663],
    [24, 0.005375321490790102],
    [30, 0.0010643609812470017],
    [39, 6.490394320837028e-5],
    [40, 4.445698525097307e-5],
    [63, 3.102344401879299e-7],
  ])('yarn, pair %i', (pair, expected) => {
    const ropeScaling = {
      type: 'yarn',
      factor: 4,
      originalMaxPositionEmbeddings: 32768,
      betaFast: 32,
      betaSlow: 1,
      attentionFactor: 1.1386,
    } as const;
    const {inverseFrequencies, attentionFactor} = rotaryParameters(tinyConfig({headDim: 128, ropeTheta: 1_000_000, ropeScaling}));
    expect(inverseFrequencies[pair]! / expected).toBeCloseTo(1, 12);
    expect(attentionFactor).toBe(1.1386);
  });

  it('refuses factors for another size of head', () => {
    const config = tinyConfig({headDim: 48, ropeScaling: {type: 'factors', factors: [1, 2]}});
    expect(() => rotaryParameters(config)).toThrow(new UnsupportedError('RoPE has 2 frequency factors for heads of 48'));
  });
});

describe('rotaryTable', () => {
  it('holds wave(position * frequency) * factor, also beyond one chunk', async () => {
    const parameters = {inverseFrequencies: Float64Array.of(1, 0.01), attentionFactor: 2};
    const source = rotaryTable(parameters, Math.sin, 5000, 'fp32');
    expect(source.byteLength).toBe(5000 * 2 * 4);
    const table = new Float32Array((await readSource(source)).buffer);
    for (const position of [0, 1, 4095, 4096, 4999]) {
      expect(table[2 * position]).toBe(Math.fround(2 * Math.sin(position)));
      expect(table[2 * position + 1]).toBe(Math.fround(2 * Math.sin(position * 0.01)));
    }
  });
});
