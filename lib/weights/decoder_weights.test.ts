import {expect, it} from 'vitest';
import {randomTensors, tinyConfig} from '../../test/support/random_checkpoint.js';
import {tinyLoweredDecoder} from '../../test/support/tiny_lowered_decoder.js';
import {lowerDecoder} from '../decoder/lower_decoder.js';
import {weightByteLength} from '../decoder/weight_ref.js';
import {buildDecoder} from '../import/graph/decoder.js';
import {decoderWeights} from './decoder_weights.js';

it('weighs each run by what it alone takes', async () => {
  const lowered = await tinyLoweredDecoder();
  const {runs, sharedBytes} = decoderWeights(lowered);
  expect(runs.map(({name, kind, layer}) => [name, kind, layer])).toEqual([
    ['prologue', 'prologue', undefined],
    ['layer 0', 'block', 0],
    ['layer 1', 'block', 1],
    ['epilogue', 'epilogue', undefined],
  ]);
  const all = lowered.weights.reduce((sum, weight) => sum + Math.ceil(weightByteLength(weight) / 256) * 256, 0);
  expect(runs.reduce((sum, {bytes}) => sum + bytes, 0) + sharedBytes).toBe(all);
  const [, first, second] = runs;
  expect(second!.bytes).toBe(first!.bytes);
  const {cos} = lowered.sequence[1]!.weights;
  // Both layers take the tables of rotations.
  expect(sharedBytes).toBeGreaterThanOrEqual(2 * weightByteLength(lowered.weights[cos!]!));
});

it('reads in a step all of a layer and of the head, and rows of tables', async () => {
  const lowered = await tinyLoweredDecoder();
  const [prologue, layer, , epilogue] = decoderWeights(lowered).runs;
  expect(prologue!.readBytes).toBe(0);
  const used = (run: number) => Object.entries(lowered.sequence[run]!.weights).filter(([name]) => name !== 'cos' && name !== 'sin');
  const bytes = (run: number) => used(run).reduce((sum, [, weight]) => sum + weightByteLength(lowered.weights[weight]!), 0);
  expect(layer!.readBytes).toBeGreaterThanOrEqual(bytes(1));
  expect(epilogue!.readBytes).toBeGreaterThanOrEqual(bytes(3));
  expect(epilogue!.readBytes - bytes(3)).toBeLessThan(256 * used(3).length);
});

it('counts weights that stay quantized as they are packed, and what prompts unpack of them', async () => {
  const config = tinyConfig({hiddenSize: 128, intermediateSize: 256, headDim: 64});
  const model = buildDecoder(config, randomTensors(config, {type: () => 'Q4_0'}), {dtype: 'fp16'});
  const [quantized, dense] = await Promise.all([lowerDecoder(model), lowerDecoder(model, {dequantize: true})]);
  const layers = [quantized, dense].map((lowered) => decoderWeights(lowered).runs[1]!);
  const [packed, floats] = layers as [(typeof layers)[0], (typeof layers)[0]];
  // 4.5 bits an element and not 16, beside norms of halves.
  expect(packed.bytes / floats.bytes).toBeLessThan(4.7 / 16);
  expect(packed.readBytes).toBe(packed.bytes);
  expect(packed.elements).toBe(floats.elements);
  // Of gates and ups, the largest.
  expect(packed.unpackedBytes).toBe(512 * 128 * 2);
  expect(floats.unpackedBytes).toBe(0);
  expect(packed.storedBytes).toBe(floats.storedBytes);
});
