/** Keys and values of 8 bits: on the simulated driver and TensorRT as on the CPU backend. */

import {mkdir, writeFile} from 'node:fs/promises';
import {setImmediate} from 'node:timers/promises';

import {
  buildModel,
  createModelRegistry,
  type KvCacheType,
  type LoadOptions,
  loadModel,
  type ModelRegistry,
  planModel,
  TensorrtNodeError,
} from 'tensorrt-node';
import {beforeAll, describe, expect, it} from 'vitest';

import {findTensorrt} from '../../dist/backend/tensorrt/environment.js';
import {TensorrtBackend} from '../../dist/backend/tensorrt/tensorrt_backend.js';
import {writeModel} from '../../lib/onnx/write.js';
import {type ExportOptions, exportedDecoder} from '../support/exported_decoder.js';
import {languageModelFolder} from '../support/language_model_folder.js';
import {temporaryFolder} from '../support/temporary_folder.js';
import {byteLevelTokenizer} from '../support/tokenizers.js';
import {useSimulatedTensorrt} from './helpers/simulated_tensorrt.js';

const folder = temporaryFolder();
const TYPES = ['fp8', 'int8'] as const;
const PROMPT = 'the sea, and what is under it, and what is over it: the sea and the sky';
const LIMITS = {maxContext: 200, maxBatch: 4};

beforeAll(async () => {
  await useSimulatedTensorrt();
  process.env.TENSORRT_NODE_CACHE = folder('cache');
  await languageModelFolder(folder('model'));
});

const load = (options: LoadOptions) => loadModel(folder('model'), {...LIMITS, ...options});

describe.each(TYPES)('%s', (kvCacheType) => {
  it('answers as the CPU backend does, several prompts at once', async () => {
    await using model = await load({backend: 'tensorrt', kvCacheType});
    await using reference = await load({backend: 'cpu', kvCacheType});
    for (const {description} of [model, reference]) expect(description).toContain(kvCacheType);
    const prompts = [PROMPT, 'a', PROMPT.slice(0, 17), PROMPT.repeat(2)];
    const found = await Promise.all(prompts.map((prompt) => model.generateText(prompt, {maxNewTokens: 16})));
    for (const [at, prompt] of prompts.entries()) {
      const {tokens} = await reference.generateText(prompt, {maxNewTokens: 16});
      expect(found[at]!.tokens, `prompt ${at}`).toEqual(tokens);
    }
  });

  it('differs from what is not rounded by little, and by more than nothing', async () => {
    await using model = await load({backend: 'tensorrt', kvCacheType});
    await using reference = await load({backend: 'cpu', kvCacheType});
    await using plain = await load({backend: 'cpu'});
    const tokens = plain.tokenizer.encode(PROMPT);
    const [found, expected, unrounded] = [await model.score(tokens), await reference.score(tokens), await plain.score(tokens)];
    const distance = (a: Float32Array, b: Float32Array) => Math.sqrt(a.reduce((sum, each, at) => sum + (each - b[at]!) ** 2, 0) / a.length);
    const rounding = distance(expected, unrounded);
    expect(rounding).toBeGreaterThan(1e-4);
    // The rest is that of halves.
    expect(distance(found, expected)).toBeLessThan(rounding);
  });

  it('keeps sessions and forks, also of a model that a registry suspends', async () => {
    await using reference = await load({backend: 'cpu', kvCacheType});
    await using registry = createModelRegistry({gpu: '1GiB', ram: '1GiB'});
    registry.add('model', folder('model'), {...LIMITS, backend: 'tensorrt', kvCacheType});
    const answers = await Promise.all(
      [await registry.use('model', (model) => model), reference].map(async (model) => {
        await using session = model.createSession();
        const first = await session.generateText(PROMPT, {maxNewTokens: 8});
        await using fork = session.fork();
        if (model !== reference) await suspend(registry);
        const second = await session.generateText(' and then', {maxNewTokens: 6});
        const other = await fork.generateText(' or else', {maxNewTokens: 6});
        expect(second.usage.cachedTokens).toBeGreaterThan(PROMPT.length / 4);
        return [first, second, other].map(({tokens}) => tokens);
      }),
    );
    expect(answers[0]).toEqual(answers[1]);
  });

  it('is built ahead, and no engines of another type are taken', async () => {
    const engines = folder('engines', kvCacheType);
    await mkdir(folder('engines'), {recursive: true});
    await buildModel(folder('model'), {output: engines, ...LIMITS, kvCacheType});
    for (const other of ['auto', ...TYPES].filter((each) => each !== kvCacheType) as KvCacheType[]) {
      await expect(loadModel(engines, {kvCacheType: other})).rejects.toMatchObject({
        name: 'OptionError',
        option: 'kvCacheType',
        message: expect.stringContaining(`'${kvCacheType}', which the engines were built for`),
      });
    }
    await using model = await loadModel(engines, {backend: 'tensorrt'});
    // What they were built for holds on the CPU too.
    await using reference = await loadModel(engines, {backend: 'cpu'});
    for (const {description} of [model, reference]) expect(description).toContain(kvCacheType);
    const replies = await Promise.all([model, reference].map((each) => each.generateText(PROMPT, {maxNewTokens: 8})));
    expect(replies[0]!.tokens).toEqual(replies[1]!.tokens);
  });

  it('takes about half of the memory, as planned', async () => {
    const plan = (type: KvCacheType) => planModel(folder('model'), {...LIMITS, kvCacheType: type, gpuMemory: '8GiB'});
    const [plain, small] = [await plan('auto'), await plan(kvCacheType)];
    expect(small.kvCacheType).toBe(kvCacheType);
    // Codes of 64 elements and a scale, for 64 elements of two bytes.
    expect(small.contexts[0]!.sequenceBytes / plain.contexts[0]!.sequenceBytes).toBeCloseTo((64 + 4) / (2 * 64), 10);
    const environment = findTensorrt(0);
    if (environment instanceof TensorrtNodeError) throw environment;
    const cacheBytes = async (type: KvCacheType) => {
      const options = {modelPath: folder('model', 'model.onnx'), environment, ...LIMITS, kvCacheType: type};
      await using backend = await TensorrtBackend.load(options);
      return backend.memory().find(({what, where}) => what === 'cache' && where === 'gpu')!.bytes;
    };
    // Memory comes in pieces.
    expect((await cacheBytes(kvCacheType)) / (await cacheBytes('auto'))).toBeCloseTo((64 + 4) / (2 * 64), 1);
  });

  it.each<[string, Omit<ExportOptions, 'style'>]>([
    ['windows', {rotatingAttention: true, packed: true, window: 12}],
    ['a part of the head rotated, neighbours', {rotatingAttention: true, interleaved: true, rotarySize: 32}],
  ])('serves %s', async (name, options) => {
    const source = folder(`${kvCacheType} ${name}`);
    await exportedFolder(source, {style: 'genai', headSize: 64, ...options});
    await expectLikelyReplies(source, {kvCacheType});
  });

  it('serves plain exports with a softcap', async () => {
    const source = folder(`${kvCacheType} softcap`);
    await exportedFolder(source, {style: 'plain', headSize: 64, softcap: 5});
    await expectLikelyReplies(source, {kvCacheType});
  });
});

/** Its keys and values go to pinned memory and come back. */
async function suspend(registry: ModelRegistry): Promise<void> {
  const {gpu} = registry.held;
  registry.setBudget({gpu: gpu - 1});
  while (registry.models()[0]!.state !== 'suspended') await setImmediate();
  registry.setBudget({gpu: '1GiB'});
}

async function exportedFolder(source: string, options: ExportOptions): Promise<void> {
  const {tokenizerJson, tokenizerConfig} = byteLevelTokenizer();
  await mkdir(source, {recursive: true});
  await writeModel(exportedDecoder(options), `${source}/model.onnx`);
  const config = {model_type: 'llama', max_position_embeddings: 64, vocab_size: 40};
  const files = {'config.json': config, 'tokenizer.json': tokenizerJson, 'tokenizer_config.json': tokenizerConfig};
  for (const [file, content] of Object.entries(files)) await writeFile(`${source}/${file}`, JSON.stringify(content));
}

/** Each token is the likeliest to the CPU backend, or as likely as halves and codes that are decided by a last bit can tell. */
async function expectLikelyReplies(source: string, options: LoadOptions): Promise<void> {
  const limits = {maxContext: 64, maxBatch: 2};
  await using model = await loadModel(source, {...limits, ...options, backend: 'tensorrt'});
  await using reference = await loadModel(source, {...limits, ...options, backend: 'cpu'});
  for (const prompt of [Uint32Array.of(1, 5, 9, 2), Uint32Array.from({length: 40}, (_, at) => (at * 7) % 38)]) {
    const {tokens} = await model.generateText(prompt, {maxNewTokens: 12, temperature: 0});
    const logits = await reference.score(Uint32Array.of(...prompt, ...tokens));
    const {vocabSize} = reference;
    const behind = tokens.map((token, at) => {
      const row = logits.subarray((prompt.length - 1 + at) * vocabSize, (prompt.length + at) * vocabSize);
      return Math.max(...row) - row[token]!;
    });
    expect(Math.max(...behind)).toBeLessThan(0.1);
    expect(behind.filter((each) => each === 0).length).toBeGreaterThan(tokens.length / 2);
  }
}
