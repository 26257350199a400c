/** Language models whose engines are built ahead of time, on the simulated driver and TensorRT. */

import {appendFile, cp, mkdir, readdir, readFile, rm, writeFile} from 'node:fs/promises';

import {buildModel, loadModel, type Progress} from 'tensorrt-node';
import {beforeAll, describe, expect, it} from 'vitest';

import {languageModelFolder} from '../support/language_model_folder.js';
import {temporaryFolder} from '../support/temporary_folder.js';
import {command} from './helpers/command.js';
import {useSimulatedTensorrt} from './helpers/simulated_tensorrt.js';

const folder = temporaryFolder();
const model = () => folder('models', 'chat');
const engines = () => folder('engines', 'chat');
const PROMPT = 'the sea';

beforeAll(async () => {
  await useSimulatedTensorrt();
  process.env.TENSORRT_NODE_CACHE = folder('cache');
  await mkdir(folder('models'));
  await languageModelFolder(model(), {externalData: 'model.data'});
  const result = await buildModel(model(), {output: engines(), maxContext: 200, maxBatch: 4});
  expect(result).toMatchObject({folder: engines(), maxContext: 200, maxBatch: 4});
});

/** A copy of the engines, which still names the model. */
async function copyOf(name: string): Promise<string> {
  const copy = folder('engines', name);
  await cp(engines(), copy, {recursive: true});
  return copy;
}

async function changed(file: string, change: (json: ReturnType<typeof JSON.parse>) => void): Promise<void> {
  const json = JSON.parse(await readFile(file, 'utf8'));
  change(json);
  await writeFile(file, JSON.stringify(json));
}

describe('the folder', () => {
  it('holds an engine folder for each plan, the index, and no weights', async () => {
    const names = await readdir(engines());
    expect(names.sort()).toEqual(['block-decode', 'block-prefill', 'epilogue-decode', 'manifest.json', 'prologue-decode', 'weights.json']);
    expect(await readdir(folder('engines', 'chat', 'block-decode'))).toEqual(['manifest.json', 'model.plan']);
    expect(await readFile(folder('engines', 'chat', 'weights.json'), 'utf8')).toContain('"file":"model.data"');
  });

  it('is loaded in place of the model, and nothing is built', async () => {
    process.env.TENSORRT_NODE_CACHE = folder('empty-cache');
    try {
      const progress: Progress[] = [];
      await using built = await loadModel(engines(), {backend: 'tensorrt', onProgress: (each) => progress.push(each)});
      await using reference = await loadModel(model(), {backend: 'cpu'});
      expect(progress.map(({phase}) => phase)).not.toContain('build');
      expect(built.limits).toEqual({maxContext: 200, maxBatch: 4});
      const options = {maxNewTokens: 12};
      expect((await built.generateText(PROMPT, options)).tokens).toEqual((await reference.generateText(PROMPT, options)).tokens);
    } finally {
      process.env.TENSORRT_NODE_CACHE = folder('cache');
    }
  });

  it('is loaded on the CPU where that is asked for', async () => {
    await using loaded = await loadModel(engines(), {backend: 'cpu'});
    expect(loaded.backend).toBe('cpu');
  });

  it('is replaced by another build, and nothing else is', async () => {
    const copy = await copyOf('replaced');
    await buildModel(model(), {output: copy, maxContext: 128, maxBatch: 2});
    expect(JSON.parse(await readFile(`${copy}/manifest.json`, 'utf8'))).toMatchObject({maxContext: 128, maxBatch: 2});
    await writeFile(`${copy}/notes.txt`, '');
    await expect(buildModel(model(), {output: copy})).rejects.toThrow('output must be');
    await expect(buildModel(model(), {output: model()})).rejects.toThrow('output must be');
  });

  it('may be anywhere, with the model elsewhere', async () => {
    const copy = await copyOf('moved');
    await cp(model(), folder('models', 'moved'), {recursive: true});
    await changed(`${copy}/manifest.json`, (json) => (json.model.file = '../../gone/model.onnx'));
    await expect(loadModel(copy, {backend: 'tensorrt'})).rejects.toMatchObject({code: 'ERR_NOT_FOUND'});
    await using loaded = await loadModel(copy, {backend: 'tensorrt', model: folder('models', 'moved')});
    expect((await loaded.generateText(PROMPT, {maxNewTokens: 3})).tokens).toHaveLength(3);
  });
});

describe('refuses', () => {
  const load = (source: string, options = {}) => loadModel(source, {backend: 'tensorrt', ...options});

  it.each<[string, (copy: string) => Promise<unknown>, string, RegExp]>([
    ['a plan that was changed', (copy) => appendFile(`${copy}/block-decode/model.plan`, 'x'), 'ERR_PLAN', /bytes where the manifest says/],
    [
      'a plan of another TensorRT',
      (copy) => changed(`${copy}/block-decode/manifest.json`, (json) => (json.tensorrt.version = '10.99.0')),
      'ERR_PLAN_MISMATCH',
      /needs exactly 10\.99\.0/,
    ],
    ['a plan that is missing', (copy) => rm(`${copy}/epilogue-decode`, {recursive: true}), 'ERR_NOT_FOUND', /epilogue-decode/],
    [
      'an index that was changed',
      (copy) => appendFile(`${copy}/weights.json`, ' '),
      'ERR_MANIFEST',
      /not the index that the manifest names/,
    ],
    [
      'a file outside the model',
      (copy) => changed(`${copy}/manifest.json`, (json) => (json.files[0].file = '../secret')),
      'ERR_MANIFEST',
      /'files\[0\]\.file' must be a path in the model's folder/,
    ],
    [
      'a part that its plans lack',
      (copy) => changed(`${copy}/manifest.json`, (json) => json.plans.splice(0, 1)),
      'ERR_MANIFEST',
      /'plans' has none for/,
    ],
    ['a manifest that is no JSON', (copy) => writeFile(`${copy}/manifest.json`, '{"kind":'), 'ERR_MANIFEST', /is not JSON/],
  ])('%s', async (name, damage, code, message) => {
    const copy = await copyOf(name.replaceAll(' ', '-'));
    await damage(copy);
    await expect(load(copy)).rejects.toMatchObject({code, message: expect.stringMatching(message)});
  });

  it('another model, and weights of another length', async () => {
    const copy = await copyOf('others');
    const other = folder('models', 'other');
    await cp(model(), other, {recursive: true});
    await appendFile(`${other}/model.data`, 'x');
    await expect(load(copy, {model: other})).rejects.toMatchObject({code: 'ERR_ONNX', message: expect.stringMatching(/for a file of \d+/)});
    await rm(other, {recursive: true});
    await languageModelFolder(other, {externalData: 'weights.data'});
    await expect(load(copy, {model: other})).rejects.toMatchObject({
      code: 'ERR_ONNX',
      message: expect.stringContaining('its SHA-256 is another'),
    });
  });

  it.each([
    [{maxContext: 201}, 'maxContext must be at most 200, which the engines were built for'],
    [{maxBatch: 5}, 'maxBatch must be at most 4, which the engines were built for'],
    [{type: 'float16'}, 'type must be left out'],
    [{dequantize: true}, 'dequantize must be left out or false with engines that were built so'],
  ])('%j', async (options, message) => {
    await expect(load(engines(), options)).rejects.toThrow(message);
  });

  it('a model beside a model', async () => {
    await expect(load(model(), {model: model()})).rejects.toThrow(
      "model must be left out where the source is not a decoder's engine folder",
    );
  });
});

describe('tensorrt-node build', () => {
  it('builds a folder, and tells of it', async () => {
    const output = folder('engines', 'cli');
    const {code, stdout, stderr} = await command(['build', model(), output, '--max-batch', '2', '--max-context', '128']);
    expect({code, stdout}).toEqual({code: 0, stdout: `${output}\n`});
    expect(stderr).toMatch(/for up to 2 requests of 128 tokens/);
    await using loaded = await loadModel(output, {backend: 'tensorrt'});
    expect(loaded.limits).toEqual({maxContext: 128, maxBatch: 2});
  });

  it('fills the cache where no folder is named', async () => {
    const {code, stdout} = await command(['build', model(), '--max-context', '200', '--max-batch', '4', '--json']);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({maxContext: 200, parts: [{name: 'prologue'}, {name: 'block'}, {name: 'epilogue'}]});
  });

  it.each([
    [['--precision', 'fp16'], () => model(), "option '--precision' is for ONNX files"],
    [['--max-batch', '2'], () => folder('models', 'chat', 'model.onnx'), "option '--max-batch' is for a language model's folder"],
  ])('refuses %j for the other kind of model', async (flags, source, message) => {
    const {code, stderr} = await command(['build', source(), ...flags]);
    expect(code).toBe(2);
    expect(stderr).toContain(message);
  });
});
