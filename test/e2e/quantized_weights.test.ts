/** Weights that stay quantized from the file to the kernels, on the simulated driver and TensorRT: the tokens of the CPU backend. */

import {readFile, stat} from 'node:fs/promises';

import {buildModel, loadModel, type Progress, planModel, type QuantizeOptions, quantizeModel, TensorrtNodeError} from 'tensorrt-node';
import {beforeAll, describe, expect, it} from 'vitest';

// Of the built package, whose addon and worker threads are loaded as they ship.
import type {Backend, BackendRequest} from '../../dist/backend/backend.js';
import {CpuBackend} from '../../dist/backend/cpu/cpu_backend.js';
import {findTensorrt} from '../../dist/backend/tensorrt/environment.js';
import {TensorrtBackend, type TensorrtBackendOptions} from '../../dist/backend/tensorrt/tensorrt_backend.js';
import type {TensorType} from '../../lib/import/checkpoint.js';
import {buildDecoder} from '../../lib/import/graph/decoder.js';
import type {Model} from '../../lib/onnx/model.js';
import {writeModel} from '../../lib/onnx/write.js';
import type {PlacementBlock, Tier} from '../../lib/weights/placement_option.js';
import {type ExportOptions, exportedDecoder} from '../support/exported_decoder.js';
import {GREEDY} from '../support/greedy.js';
import {languageModelFolder} from '../support/language_model_folder.js';
import {randomTensors, tinyConfig} from '../support/random_checkpoint.js';
import {temporaryFolder} from '../support/temporary_folder.js';
import {useSimulatedTensorrt} from './helpers/simulated_tensorrt.js';

const folder = temporaryFolder();
const LIMITS = {maxContext: 64, maxBatch: 2};

type Options = Partial<Pick<TensorrtBackendOptions, 'dequantize' | 'deterministic' | 'maxBatch' | 'offloadFolder' | 'onProgress'>>;

function load(modelPath: string, options: Options = {}, choose?: (block: PlacementBlock) => Tier): Promise<TensorrtBackend> {
  const environment = findTensorrt(0);
  if (environment instanceof TensorrtNodeError) throw environment;
  return TensorrtBackend.load({modelPath, environment, ...LIMITS, ...options, ...(choose ? {placement: {choose}} : {})});
}

function tokensOf(backend: Backend, tokens: Uint32Array): Promise<number[]> {
  return new Promise((resolve, reject) => {
    const made: number[] = [];
    const request: BackendRequest = {tokens, maxNewTokens: 12, stopTokens: new Set(), sampling: GREEDY};
    const handle = backend.submit(request, {
      tokens: (batch) => {
        made.push(...batch.map(({token}) => token));
        handle.consumed(batch.length);
      },
      finished: () => resolve(made),
      failed: reject,
    });
  });
}

const PROMPTS = [3, 1, 17, 40].map((length, at) => Uint32Array.from({length}, (_, index) => (index * 7 + 3 * at + 1) % 40));

const answers = (backend: Backend) => Promise.all(PROMPTS.map((prompt) => tokensOf(backend, prompt)));
const weightBytes = (backend: Backend, where: 'gpu' | 'pinned') =>
  backend.memory!().find((part) => part.what === 'weights' && part.where === where)!.bytes;
const gpuWeights = (backend: Backend) => weightBytes(backend, 'gpu');

async function written(name: string, model: Model): Promise<{modelPath: string; expected: number[][]}> {
  const modelPath = folder(`${name}.onnx`);
  await writeModel(model, modelPath, {externalData: `${name}.data`});
  await using cpu = await CpuBackend.load({modelPath, ...LIMITS, threads: 1, accuracyLevel: 0, prefillChunk: 128});
  return {modelPath, expected: await answers(cpu)};
}

/** Sizes that are no multiples of tiles and units: 16 rows, and 32 or 64 elements. */
function imported(type: TensorType, tieWordEmbeddings = false): Model {
  const config = tinyConfig({hiddenSize: 96, intermediateSize: 224, headDim: 64, vocabSize: 83, tieWordEmbeddings});
  return buildDecoder(config, randomTensors(config, {type: () => type}), {dtype: 'fp32'});
}

const exported = (options: Omit<ExportOptions, 'style'>) =>
  exportedDecoder({style: 'genai', headSize: 64, hidden: 64, inner: 128, ...options});

beforeAll(async () => {
  await useSimulatedTensorrt();
  process.env.TENSORRT_NODE_CACHE = folder('cache');
});

describe('the tokens of the CPU backend', () => {
  it.each<[string, () => Model]>([
    ['Q4_0', () => imported('Q4_0')],
    ['Q4_1, the embedding is the head', () => imported('Q4_1', true)],
    ['Q8_0', () => imported('Q8_0')],
    ["onnxruntime-genai's 4 bits with zero points", () => exported({quantized: true, blockSize: 32, biases: true})],
    ['8 bits by channel', () => exported({dequantized: {codes: 'int8'}})],
    [
      '8 bits by channel, as the product takes them',
      () => exported({dequantized: {codes: 'uint8', byOutputs: false, zeroPoints: 'random'}}),
    ],
    ['signed 4 bits in blocks', () => exported({dequantized: {codes: 'int4', block: 32, zeroPoints: 'random'}})],
    ['float8 by channel', () => exported({dequantized: {codes: 'float8'}})],
  ])('%s', async (name, model) => {
    const {modelPath, expected} = await written(name.replaceAll(/\W/g, '_'), model());
    await using quantized = await load(modelPath);
    expect(await answers(quantized)).toEqual(expected);
    await using dense = await load(modelPath, {dequantize: true});
    expect(await answers(dense)).toEqual(expected);
    expect(gpuWeights(quantized)).toBeLessThan(gpuWeights(dense));
  });

  it('of as many streams as have products of their own, and of one size of step', async () => {
    const {modelPath, expected} = await written('wide', imported('Q4_1'));
    for (const options of [{maxBatch: 40}, {deterministic: true}]) {
      await using model = await load(modelPath, options);
      const many = await Promise.all(Array.from({length: 40}, (_, at) => tokensOf(model, PROMPTS[at % PROMPTS.length]!)));
      for (const [at, tokens] of many.entries()) expect(tokens, JSON.stringify(options)).toEqual(expected[at % PROMPTS.length]);
    }
  });
});

describe('weights that are not all in VRAM', () => {
  it.each<[string, Options]>([
    ['in RAM', {}],
    ['on disk', {}],
    ['on disk', {offloadFolder: 'offload'}],
    ['on disk', {dequantize: true}],
  ])('%s, %o', async (place, options) => {
    const config = tinyConfig({hiddenSize: 96, intermediateSize: 224, headDim: 64, layerCount: 6});
    const model = buildDecoder(config, randomTensors(config, {type: () => 'Q4_1'}), {dtype: 'fp32'});
    const {modelPath, expected} = await written('streamed', model);
    const tier: Tier = place === 'in RAM' ? 'ram' : 'disk';
    const changes = options.offloadFolder === undefined ? options : {...options, offloadFolder: folder(options.offloadFolder)};
    await using backend = await load(modelPath, changes, ({layer}) => (layer === undefined ? 'gpu' : tier));
    // Of the layers, or what is read ahead of them.
    expect(weightBytes(backend, 'pinned')).toBeGreaterThan(0);
    expect(await answers(backend)).toEqual(expected);
  });

  it.each(['int8', 'float8'] as const)('on disk, floats made of %s in each step', async (codes) => {
    const {modelPath, expected} = await written(`streamed_${codes}`, exported({layers: 6, dequantized: {codes, byOutputs: false}}));
    await using backend = await load(modelPath, {dequantize: true}, ({layer}) => (layer === undefined ? 'gpu' : 'disk'));
    expect(await answers(backend)).toEqual(expected);
  });
});

it('keeps weights in no more memory than their files, and tells so as it reads them', async () => {
  const progress: Progress[] = [];
  const config = tinyConfig({hiddenSize: 512, intermediateSize: 1024, headDim: 64, vocabSize: 512, tieWordEmbeddings: true});
  const tensors = randomTensors(config, {type: () => 'Q4_0'});
  const modelPath = folder('large.onnx');
  await writeModel(buildDecoder(config, tensors, {dtype: 'fp16'}), modelPath, {externalData: 'large.data'});
  await using backend = await load(modelPath, {onProgress: (each) => progress.push(each)});
  const onDisk = (await stat(folder('large.data'))).size;
  expect(gpuWeights(backend)).toBeLessThan(1.03 * onDisk);
  expect(progress.filter(({phase}) => phase === 'read').at(-1)!.total).toBeLessThan(1.03 * onDisk);
});

describe('an engine folder', () => {
  const model = () => folder('chat');
  const engines = (name: string) => folder(`engines_${name}`);
  const PROMPT = 'the sea';

  beforeAll(async () => {
    await languageModelFolder(model(), {type: () => 'Q4_1', hiddenSize: 128, intermediateSize: 256});
    await buildModel(model(), {output: engines('quantized'), maxContext: 64, maxBatch: 2});
    await buildModel(model(), {output: engines('floats'), maxContext: 64, maxBatch: 2, dequantize: true});
  });

  it.each(['quantized', 'floats'])('says of %s how weights are, and is loaded so', async (name) => {
    const dequantize = name === 'floats';
    const manifest = JSON.parse(await readFile(folder(`engines_${name}`, 'manifest.json'), 'utf8'));
    expect(manifest).toMatchObject({formatVersion: 2, dequantize});
    await using reference = await loadModel(model(), {backend: 'cpu'});
    await using loaded = await loadModel(engines(name), {backend: 'tensorrt'});
    const ask = {maxNewTokens: 8, temperature: 0};
    expect((await loaded.generateText(PROMPT, ask)).tokens).toEqual((await reference.generateText(PROMPT, ask)).tokens);
    const {quantized} = await planModel(engines(name), {gpuMemory: '8GiB'});
    if (dequantize) expect(quantized).toMatchObject({bytes: 0, dequantized: expect.arrayContaining(['layer 0, qkv'])});
    else expect(quantized).toMatchObject({bytes: expect.any(Number), dequantized: []});
  });

  it('is for what it was built for', async () => {
    await expect(loadModel(engines('quantized'), {backend: 'tensorrt', dequantize: true})).rejects.toMatchObject({
      name: 'OptionError',
      option: 'dequantize',
    });
  });
});

describe('what quantizeModel writes stays quantized, with the tokens of the CPU backend', () => {
  const source = () => folder('floats');

  beforeAll(async () => {
    await languageModelFolder(source(), {hiddenSize: 128, intermediateSize: 256, externalData: 'model.data'});
  });

  it.each<QuantizeOptions>([
    {bits: 4, embeddingBits: 4},
    {bits: 4, block: 64, symmetric: true, headBits: 4},
    {bits: 8, block: 128, embeddingBits: 8},
    {bits: 8, block: 'channel'},
    {type: 'fp8'},
  ])('%o', async (options) => {
    const out = folder(`out_${JSON.stringify(options).replaceAll(/\W/g, '_')}`);
    await quantizeModel(source(), out, {method: 'rtn', ...options});
    const {quantized} = await planModel(out, {gpuMemory: '8GiB'});
    expect(quantized).toMatchObject({bytes: expect.any(Number), dequantized: []});
    expect(quantized.bytes).toBeGreaterThan(0);
    await using reference = await loadModel(out, {backend: 'cpu'});
    await using loaded = await loadModel(out, {backend: 'tensorrt', maxContext: 64, maxBatch: 2});
    const ask = {maxNewTokens: 8, temperature: 0};
    expect((await loaded.generateText('the sea', ask)).tokens).toEqual((await reference.generateText('the sea', ask)).tokens);
  });
});
