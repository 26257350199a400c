/** Lowered decoders, interpreted in plain loops, against the models they come from on ONNX Runtime. */

import {existsSync} from 'node:fs';
import {fileURLToPath} from 'node:url';

import {describe, expect, it} from 'vitest';

import {DecoderSession} from '../../test/support/decoder_session.js';
import {type ExportOptions, exportedDecoder} from '../../test/support/exported_decoder.js';
import {LoweredInterpreter} from '../../test/support/lowered_interpreter.js';
import {type RandomCheckpointOptions, randomTensors, tinyConfig} from '../../test/support/random_checkpoint.js';
import type {DecoderConfig, TensorType} from '../import/checkpoint.js';
import {buildDecoder} from '../import/graph/decoder.js';
import type {Model} from '../onnx/model.js';
import {readModel} from '../onnx/read.js';
import {lowerDecoder} from './lower_decoder.js';
import type {LoweredDecoder} from './lowered_decoder.js';

const PROMPT = [3, 14, 15, 9, 26, 5, 35];
const OTHER = [42, 7, 1];
const REPLY = [8, 9, 79];
/** For a smaller vocabulary. */
const EXPORTED_TOKENS = [PROMPT, [4, 7, 1], [8, 9, 39]];

/** What a block is, whoever wrote the model. */
const BLOCK = ['RmsNorm', 'Linear', 'Attention', 'Linear', 'RmsNorm', 'Linear', 'GatedActivation', 'Linear'];

/**
 * Largest difference of a logit, as a part of the largest: two prompts in one prefill, then steps of both at once; of
 * ONNX Runtime each sequence on its own.
 */
async function largestError(model: Model, lowered: LoweredDecoder, tokens: readonly number[][] = [PROMPT, OTHER, REPLY]): Promise<number> {
  const [prompt, other, reply] = tokens as [number[], number[], number[]];
  const interpreter = await LoweredInterpreter.create(lowered);
  const dims = [lowered.shape.kvHeads, lowered.shape.headSize] as const;
  await using first = await DecoderSession.create(model, dims);
  await using second = await DecoderSession.create(model, dims);
  // A prompt in two pieces, and another between them.
  const got = [
    ...interpreter.step('prefill', [{slot: 2, start: 0, tokens: prompt.slice(0, 4)}]),
    ...interpreter.step('prefill', [
      {slot: 0, start: 0, tokens: other},
      {slot: 2, start: 4, tokens: prompt.slice(4)},
    ]),
  ];
  const firstLogits = await first.step(prompt);
  const expected = [...firstLogits.slice(0, 4), ...(await second.step(other)), ...firstLogits.slice(4)];
  for (const [at, token] of reply.entries()) {
    got.push(
      ...interpreter.step('decode', [
        {slot: 0, start: other.length + at, tokens: [token]},
        {slot: 2, start: prompt.length + at, tokens: [token]},
      ]),
    );
    expected.push(...(await second.step([token])), ...(await first.step([token])));
  }
  const scale = Math.max(...expected.map((logits) => logits.reduce((most, value) => Math.max(most, Math.abs(value)), 0)));
  let largest = 0;
  for (const [row, logits] of expected.entries()) {
    expect(got[row]).toHaveLength(logits.length);
    for (const [at, value] of logits.entries()) {
      const error = Math.abs(got[row]![at]! - value) / scale;
      // NaN must not pass for small.
      if (!(error <= largest)) largest = error;
    }
  }
  return largest;
}

async function importedError(changes: Partial<DecoderConfig>, options: RandomCheckpointOptions = {}, dtype: 'fp32' | 'fp16' = 'fp32') {
  const config = tinyConfig(changes);
  const model = buildDecoder(config, randomTensors(config, options), {dtype});
  return largestError(model, await lowerDecoder(model));
}

describe('models of our own import', () => {
  it.each<[string, Partial<DecoderConfig>, RandomCheckpointOptions]>([
    ['llama', {}, {}],
    ['a tied head', {tieWordEmbeddings: true}, {}],
    ['heads of 80', {headDim: 80}, {}],
    ['heads of 96, as many of keys', {headDim: 96, kvHeadCount: 4}, {}],
    ['nine heads on three', {headCount: 9, kvHeadCount: 3, headDim: 16}, {}],
    ['qwen2, biases of q, k and v', {architecture: 'qwen2'}, {}],
    ['biases on every product', {}, {biases: true}],
    ['a sliding window', {architecture: 'mistral', slidingWindow: 4}, {}],
    ['qwen3, norms of heads', {architecture: 'qwen3'}, {}],
    ['a vocabulary of 77', {vocabSize: 83}, {}],
  ])('%s', async (_, changes, options) => {
    expect(await importedError(changes, options)).toBeLessThan(1e-5);
  });

  const wide = {hiddenSize: 256, intermediateSize: 512, headDim: 64};
  it.each<TensorType>(['Q8_0', 'Q4_0', 'Q4_1', 'Q4_K'])('blocks of %s, tied or not', async (type) => {
    for (const tieWordEmbeddings of [false, true]) {
      expect(await importedError({...wide, tieWordEmbeddings}, {type: () => type}), String(tieWordEmbeddings)).toBeLessThan(1e-5);
    }
  });

  it('products of different types, which no file has packed', async () => {
    const type = (name: string): TensorType => (/v_proj|up_proj/.test(name) ? 'Q8_0' : 'Q4_1');
    expect(await importedError(wide, {type})).toBeLessThan(1e-5);
  });

  it('halves', async () => {
    expect(await importedError({}, {}, 'fp16')).toBeLessThan(5e-3);
  });
});

describe("models by onnxruntime-genai's builder", () => {
  it.each<Omit<ExportOptions, 'style'>>([
    {},
    {quantized: true},
    {quantized: true, biases: true},
    {biases: true, kvHeads: 4},
    {window: 4},
    {interleaved: true},
    {headSize: 32, rotarySize: 16},
    {activation: 'gelu_tanh', embeddingScale: 5.65, logitsCap: 3},
    {activation: 'gelu_erf', layers: 1},
  ])('%o', async (options) => {
    const model = exportedDecoder({style: 'genai', ...options});
    const lowered = await lowerDecoder(model);
    expect(lowered.parts.map(({name}) => name)).toEqual(['prologue', 'block', 'epilogue']);
    expect(lowered.parts[1]!.weights.map(({name}) => name)).toContain('qkv');
    expect(lowered.models.get('block')!.decode.graph.node.map(({opType}) => opType)).toEqual(BLOCK);
    expect(await largestError(model, lowered, EXPORTED_TOKENS)).toBeLessThan(1e-5);
  });
});

describe("exports in ONNX's own operators, caches concatenated", () => {
  it.each<Omit<ExportOptions, 'style'>>([
    {},
    {biases: true},
    {kvHeads: 4, rootScale: true},
    {kvHeads: 1},
    {window: 4},
    {headSize: 32, rotarySize: 16},
    {activation: 'gelu_tanh', embeddingScale: 5.65, logitsCap: 3},
    {activation: 'gelu_erf', layers: 1},
    {shiftedNorms: true, whereMask: true, softcap: 2},
  ])('%o', async (options) => {
    const model = exportedDecoder({style: 'plain', ...options});
    const lowered = await lowerDecoder(model, {maxPositions: 40});
    expect(lowered.shape).toMatchObject({maxPositions: 40, windows: Array(options.layers ?? 2).fill(options.window ?? 0)});
    expect(lowered.parts.map(({name}) => name)).toEqual(['prologue', 'block', 'epilogue']);
    expect(lowered.models.get('block')!.decode.graph.node.map(({opType}) => opType)).toEqual(BLOCK);
    expect(await largestError(model, lowered, EXPORTED_TOKENS)).toBeLessThan(1e-5);
  });
});

it.each(['genai', 'plain'] as const)('layers of different windows are different blocks: %s', async (style) => {
  const model = exportedDecoder({style, window: [3, 0, 3], layers: 3});
  const lowered = await lowerDecoder(model, {maxPositions: 40});
  expect(lowered.shape.windows).toEqual([3, 0, 3]);
  expect(lowered.parts.map(({name}) => name)).toEqual(['prologue', 'block', 'block_1', 'epilogue']);
  expect(lowered.sequence.map(({part}) => part)).toEqual(['prologue', 'block', 'block_1', 'block', 'epilogue']);
  expect(await largestError(model, lowered, EXPORTED_TOKENS)).toBeLessThan(1e-5);
});

const SMOLLM2 = fileURLToPath(new URL('../../.models/SmolLM2-135M-Instruct/model.onnx', import.meta.url));

describe.skipIf(!existsSync(SMOLLM2))('SmolLM2-135M-Instruct, Q4_1', () => {
  it('has the logits that ONNX Runtime has', async () => {
    const model = await readModel(SMOLLM2);
    const lowered = await lowerDecoder(model);
    expect(lowered.parts.map(({name}) => name)).toEqual(['prologue', 'block', 'epilogue']);
    expect(lowered.models.get('block')!.decode.graph.node.map(({opType}) => opType)).toEqual(BLOCK);
    // 'The capital of France is', and 'Hello'.
    const error = await largestError(model, lowered, [[504, 3575, 282, 4649, 314], [19556], [253]]);
    expect(error).toBeLessThan(1e-4);
  }, 60_000);
});
