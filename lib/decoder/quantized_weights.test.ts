import {expect, it} from 'vitest';

import {exportedDecoder} from '../../test/support/exported_decoder.js';
import {lowerDecoder} from './lower_decoder.js';
import {quantizedWeights} from './quantized_weights.js';
import {weightByteLength} from './weight_ref.js';

it('are bytes that stay quantized, and names of those that do not', async () => {
  const model = exportedDecoder({style: 'genai', hidden: 64, inner: 128, quantized: true, blockSize: 32});
  const lowered = await lowerDecoder(model);
  const packed = lowered.weights.filter((weight) => weight.packed);
  expect(packed).toHaveLength(8);
  expect(quantizedWeights(lowered)).toEqual({
    bytes: packed.reduce((sum, weight) => sum + weightByteLength(weight), 0),
    dequantized: [],
  });
  const {bytes, dequantized} = quantizedWeights(await lowerDecoder(model, {dequantize: true}));
  expect(bytes).toBe(0);
  expect(dequantized).toHaveLength(8);
  expect(dequantized[0]).toBe('layer 0, qkv');
});
