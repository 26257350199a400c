import {execFileSync} from 'node:child_process';
import {writeFileSync} from 'node:fs';
import {lstat, mkdir, readdir, readFile, stat, symlink, writeFile} from 'node:fs/promises';
import {dirname, resolve} from 'node:path';

import {Tokenizer} from '@huggingface/tokenizers';
import * as ort from 'onnxruntime-node';
import {beforeEach, describe, expect, it} from 'vitest';

import {decoderMetadata, decoderTensors, ggufBytes, string} from '../../test/support/gguf_file.js';
import {halfBits, halfTensor} from '../../test/support/half_tensor.js';
import {randomTensors, tinyConfig} from '../../test/support/random_checkpoint.js';
import {ReferenceDecoder} from '../../test/support/reference_decoder.js';
import {writeFolder} from '../../test/support/safetensors_folder.js';
import {temporaryFolder} from '../../test/support/temporary_folder.js';
import {AbortError, FormatError, OptionError, UnsupportedError} from '../errors.js';
import type {Progress} from '../progress.js';
import type {CheckpointTensor, DecoderConfig, TensorType} from './checkpoint.js';
import {importModel} from './import.js';
import {float16ToFloat32} from './numeric/float16.js';

const folder = temporaryFolder();
const PROMPT = [3, 14, 15, 9, 26, 5, 35, 8];

let made = 0;
let here: (...parts: string[]) => string;
/** Each test has a folder of its own, to see what is left in it. */
beforeEach(async () => {
  const base = `${made++}`;
  here = (...parts) => folder(base, ...parts);
  await mkdir(here());
});

async function writeGguf(config: DecoderConfig, tensors: ReadonlyMap<string, CheckpointTensor>, changes = {}): Promise<string> {
  const metadata = {...decoderMetadata(config), ...changes};
  await writeFile(here('model.gguf'), ggufBytes({metadata, tensors: await decoderTensors(config, tensors)}));
  return here('model.gguf');
}

/** Logits after each token of PROMPT, as ONNX Runtime computes them. */
async function run(path: string, {layerCount, kvHeadCount, headDim, vocabSize}: DecoderConfig): Promise<Float32Array[]> {
  const session = await ort.InferenceSession.create(`${path}/model.onnx`);
  const half = session.inputMetadata.some((input) => input.isTensor && input.type === 'float16');
  const feeds: Record<string, ort.Tensor> = {
    input_ids: new ort.Tensor('int64', BigInt64Array.from(PROMPT, BigInt), [1, PROMPT.length]),
    attention_mask: new ort.Tensor('int64', new BigInt64Array(PROMPT.length).fill(1n), [1, PROMPT.length]),
  };
  for (let layer = 0; layer < layerCount; layer++) {
    for (const part of ['key', 'value']) {
      const dims = [1, kvHeadCount, 0, headDim];
      const empty = half ? halfTensor(new Uint16Array(), dims) : new ort.Tensor('float32', new Float32Array(), dims);
      feeds[`past_key_values.${layer}.${part}`] = empty;
    }
  }
  const {logits} = await session.run(feeds);
  await session.release();
  const data = half ? float16ToFloat32(halfBits(logits!)) : (logits!.data as Float32Array);
  return PROMPT.map((_, at) => data.subarray(at * vocabSize, (at + 1) * vocabSize));
}

async function largestError(path: string, config: DecoderConfig, tensors: ReadonlyMap<string, CheckpointTensor>): Promise<number> {
  const expected = (await ReferenceDecoder.create(config, tensors)).forward(PROMPT);
  const actual = await run(path, config);
  return Math.max(...expected.flatMap((row, at) => Array.from(row, (value, token) => Math.abs(value - actual[at]![token]!))));
}

describe('importModel', () => {
  it.each(['llama', 'mistral', 'qwen2', 'qwen3'] as const)(
    'makes a model of a Hugging Face folder that computes what %s is',
    async (architecture) => {
      const config = tinyConfig({architecture});
      const tensors = randomTensors(config);
      const source = await writeFolder(here('source'), config, tensors, {shards: architecture === 'qwen2' ? 3 : 1});
      const result = await importModel(source, here('out'));
      expect(result).toMatchObject({path: here('out'), dtype: 'fp32', config});
      expect(await largestError(here('out'), config, tensors)).toBeLessThan(5e-6);
    },
  );

  const types: [DecoderConfig['architecture'], TensorType][] = [
    ['llama', 'F32'],
    ['llama', 'Q4_1'],
    ['llama', 'Q8_0'],
    ['qwen2', 'Q4_0'],
    ['qwen3', 'F32'],
  ];
  it.each(types)('makes a model of a GGUF file that computes what %s in %s is', async (architecture, type) => {
    const config = tinyConfig({architecture, tieWordEmbeddings: architecture === 'llama'});
    const tensors = randomTensors(config, {type: (name) => (name.includes('_proj') ? type : undefined)});
    const result = await importModel(await writeGguf(config, tensors), here('out'));
    expect(result).toMatchObject({dtype: 'fp32', tensors: type === 'F32' ? {F32: tensors.size} : {[type]: 14}});
    expect(await largestError(here('out'), config, tensors)).toBeLessThan(5e-6);
  });

  it.each(['F16', 'BF16'] as const)('computes in fp16 where the matrices are %s, unless told otherwise', async (type) => {
    const config = tinyConfig();
    const tensors = randomTensors(config, {type: () => type});
    const source = await writeFolder(here('source'), config, tensors);
    expect(await importModel(source, here('half'))).toMatchObject({dtype: 'fp16'});
    expect(await largestError(here('half'), config, tensors)).toBeLessThan(2e-2);
    expect(await importModel(source, here('whole'), {dtype: 'fp32'})).toMatchObject({dtype: 'fp32'});
    expect(await largestError(here('whole'), config, tensors)).toBeLessThan(5e-6);
  });

  it('writes the files of a model folder', async () => {
    const config = tinyConfig({bosTokenId: 1, eosTokenIds: [0, 2], slidingWindow: 32, architecture: 'mistral'});
    const source = await writeFolder(here('source'), config, randomTensors(config, {type: () => 'BF16'}), {
      config: {sliding_window: 32, bos_token_id: 1, rope_parameters: {rope_type: 'linear', factor: 2, rope_theta: 5e5}},
      tokenizerConfig: {eos_token: '<|end|>', chat_template: 'old'},
    });
    await writeFile(here('source', 'chat_template.jinja'), '{{ messages }}');
    const result = await importModel(source, here('out'));

    const names = ['config.json', 'genai_config.json', 'model.onnx', 'model.onnx_data', 'tokenizer.json', 'tokenizer_config.json'];
    expect((await readdir(here('out'))).sort()).toEqual(names);
    const sizes = await Promise.all(['model.onnx', 'model.onnx_data'].map(async (name) => (await stat(here('out', name))).size));
    expect(result.bytes).toBe(sizes[0]! + sizes[1]!);
    const json = async (name: string) => JSON.parse(await readFile(here('out', name), 'utf8'));
    expect(await json('config.json')).toMatchObject({
      architectures: ['MistralForCausalLM'],
      model_type: 'mistral',
      head_dim: 48,
      sliding_window: 32,
      rope_theta: 5e5,
      rope_scaling: {rope_type: 'linear', factor: 2},
      bos_token_id: 1,
      eos_token_id: [0, 2],
      tensorrt_node: {
        version: expect.stringMatching(/^\d+\.\d+\.\d+/),
        source: {format: 'safetensors', name: 'source'},
        dtype: 'fp16',
        format: {F32: 5, BF16: 16},
      },
    });
    expect(await json('genai_config.json')).toMatchObject({model: {type: 'mistral', eos_token_id: [0, 2], decoder: {head_size: 48}}});
    expect(await json('tokenizer_config.json')).toEqual({eos_token: '<|end|>', chat_template: '{{ messages }}'});
    expect(await readFile(here('out', 'tokenizer.json'))).toEqual(await readFile(here('source', 'tokenizer.json')));
  });

  it('leaves tokens that nobody names out of genai_config.json, which may not say null', async () => {
    const config = tinyConfig({eosTokenIds: []});
    const source = await writeFolder(here('source'), config, randomTensors(config));
    await importModel(source, here('out'));
    const {model} = JSON.parse(await readFile(here('out', 'genai_config.json'), 'utf8'));
    expect(Object.keys(model)).not.toContain('bos_token_id');
    expect(Object.keys(model)).not.toContain('pad_token_id');
    expect(model.eos_token_id).toEqual([]);
  });

  it('writes a tokenizer that loads', async () => {
    const config = tinyConfig();
    await importModel(await writeGguf(config, randomTensors(config), {'tokenizer.chat_template': string('{{ a }}')}), here('out'));
    const json = async (name: string) => JSON.parse(await readFile(here('out', name), 'utf8'));
    const tokenizer = new Tokenizer(await json('tokenizer.json'), await json('tokenizer_config.json'));
    const {ids} = tokenizer.encode('the cat<|end|>');
    expect(tokenizer.decode(ids)).toBe('the cat<|end|>');
    expect(ids.at(-1)).toBe(0);
    expect((await json('tokenizer_config.json')).chat_template).toBe('{{ a }}');
  });

  it('tells how far it is, in bytes, and at which tensor', async () => {
    const config = tinyConfig();
    const progress: Progress[] = [];
    await importModel(await writeGguf(config, randomTensors(config)), here('out'), {onProgress: (each) => progress.push({...each})});
    const last = progress.at(-1)!;
    expect(last).toMatchObject({unit: 'bytes', done: last.total});
    expect(progress.map(({done}) => done)).toEqual(progress.map(({done}) => done).sort((a, b) => a - b));
    expect(progress.some(({detail}) => detail?.includes('mlp'))).toBe(true);
  });
});

describe('the target folder', () => {
  const config = tinyConfig();
  const source = () => writeGguf(config, randomTensors(config));

  it('may be there and empty, or deep in folders that are not there yet', async () => {
    await mkdir(here('empty'));
    await importModel(await source(), here('empty'));
    await importModel(await source(), here('a', 'b', 'c'));
    expect(await readdir(here('a', 'b'))).toEqual(['c']);
    expect((await readdir(here())).sort()).toEqual(['a', 'empty', 'model.gguf']);
  });

  it('is replaced as a whole, if an import made it and overwrite is set', async () => {
    await importModel(await source(), here('out'));
    await writeFile(here('out', 'extra'), '');
    await expect(importModel(await source(), here('out'))).rejects.toThrow('out must be an empty folder or a path where nothing is yet');
    await importModel(await source(), here('out'), {overwrite: true});
    expect(await readdir(here('out'))).not.toContain('extra');
    expect((await readdir(here())).sort()).toEqual(['model.gguf', 'out']);
  });

  it('is never a folder that no import made', async () => {
    await mkdir(here('out'));
    await writeFile(here('out', 'config.json'), '{}');
    await expect(importModel(await source(), here('out'), {overwrite: true})).rejects.toThrow('out must be a folder that an import made');
    expect(await readdir(here('out'))).toEqual(['config.json']);
  });

  it('is never a file, nor what holds the source', async () => {
    await writeFile(here('file'), '');
    await expect(importModel(await source(), here('file'), {overwrite: true})).rejects.toThrow(OptionError);
    await expect(importModel(await source(), here(), {overwrite: true})).rejects.toThrow(
      'out must be a folder that does not hold the source',
    );
    const folder = await writeFolder(here('hf'), config, randomTensors(config));
    await symlink(folder, here('link'));
    await expect(importModel(folder, here('link'), {overwrite: true})).rejects.toThrow('that does not hold the source');
  });

  it.each([
    ['a link that leads nowhere', () => symlink('nowhere', here('out')), 'out', 'a folder or a path where nothing is yet'],
    ['inside a file', () => writeFile(here('file'), ''), 'file/out', 'a path where a folder can be (ENOTDIR)'],
    ['a link to itself', () => symlink('out', here('out')), 'out', 'a path where a folder can be (ELOOP)'],
    ['a name too long', async () => {}, 'x'.repeat(256), 'a path where a folder can be (ENAMETOOLONG)'],
    ['a mount point', async () => {}, '/proc', 'a folder that is no mount point'],
  ])('is never %s', async (_, prepare, out, message) => {
    await prepare();
    const path = await source();
    const before = (await readdir(here())).sort();
    const error = await importModel(path, resolve(here(), out), {overwrite: true}).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(OptionError);
    expect((error as Error).message).toContain(`out must be ${message}`);
    expect((await readdir(here())).sort()).toEqual(before);
  });

  it.each(['x'.repeat(255), 'ein Modell, größer 模型 🦙', ' ', '-rf', '\n'])('may be called %j', async (name) => {
    await importModel(await source(), here(name));
    expect((await readdir(here())).sort()).toEqual([name, 'model.gguf'].sort());
    await importModel(here('model.gguf'), here(name), {overwrite: true});
    expect((await readdir(here())).sort()).toEqual([name, 'model.gguf'].sort());
  });

  it('may be a link, which stays', async () => {
    await mkdir(here('disk'));
    await mkdir(here('disk', 'real'));
    await symlink('disk/real', here('out'));
    for (const overwrite of [false, true]) {
      await importModel(await source(), here('out'), {overwrite});
      expect((await lstat(here('out'))).isSymbolicLink()).toBe(true);
      expect(await readdir(here('disk'))).toEqual(['real']);
      expect(await readdir(here('disk', 'real'))).toContain('model.onnx');
    }
  });

  it('goes to one of several imports at a time', async () => {
    const path = await source();
    const results = await Promise.allSettled([1, 2, 3].map(() => importModel(path, here('out'))));
    expect(results.map(({status}) => status).sort()).toEqual(['fulfilled', 'rejected', 'rejected']);
    for (const result of results) if (result.status === 'rejected') expect(result.reason).toBeInstanceOf(OptionError);
    expect((await readdir(here())).sort()).toEqual(['model.gguf', 'out']);
  });

  it('goes to the last of several imports that may overwrite it', async () => {
    const path = await source();
    await importModel(path, here('out'));
    const results = await Promise.allSettled(Array.from({length: 8}, () => importModel(path, here('out'), {overwrite: true})));
    expect(results.map(({status}) => status)).toEqual(Array(8).fill('fulfilled'));
    expect((await readdir(here())).sort()).toEqual(['model.gguf', 'out']);
    expect(await readdir(here('out'))).toContain('tokenizer.json');
  });

  it('is not replaced where it came to hold something else meanwhile', async () => {
    const path = await source();
    await importModel(path, here('out'));
    const onProgress = () => writeFileSync(here('out', 'config.json'), '{"mine": true}');
    await expect(importModel(path, here('out'), {overwrite: true, onProgress})).rejects.toThrow('a folder that an import made');
    expect(await readFile(here('out', 'config.json'), 'utf8')).toBe('{"mine": true}');
    expect((await readdir(here())).sort()).toEqual(['model.gguf', 'out']);
  });

  it('stays as it was when the import fails', async () => {
    await importModel(await source(), here('out'));
    const before = await readFile(here('out', 'config.json'), 'utf8');
    const broken = randomTensors(config, {type: (name) => (name === 'lm_head.weight' ? 'F32' : undefined)});
    const infinite = new Float32Array(80 * 64).fill(1e6);
    broken.set('lm_head.weight', {...broken.get('lm_head.weight')!, read: async () => new Uint8Array(infinite.buffer)});
    const error = await importModel(await writeGguf(config, broken), here('out'), {overwrite: true, dtype: 'fp16'}).catch(
      (thrown: unknown) => thrown,
    );
    expect(error).toBeInstanceOf(UnsupportedError);
    expect(await readFile(here('out', 'config.json'), 'utf8')).toBe(before);
    expect((await readdir(here())).sort()).toEqual(['model.gguf', 'out']);
  });
});

describe('an import that cannot be', () => {
  const config = tinyConfig();

  it.each([
    ['before it starts', 0],
    ['while it writes', 3],
  ])('leaves nothing when it is aborted %s', async (_, after) => {
    const controller = new AbortController();
    let calls = 0;
    const onProgress = () => {
      if (++calls === after) controller.abort('enough');
    };
    if (after === 0) controller.abort('enough');
    const source = await writeGguf(config, randomTensors(config));
    const error = await importModel(source, here('a', 'out'), {signal: controller.signal, onProgress}).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(AbortError);
    expect(error).toMatchObject({cause: 'enough'});
    expect(await readdir(here())).toEqual(['model.gguf']);
  });

  const prepare = {
    truncated: async () => {
      const path = await writeGguf(config, randomTensors(config));
      await writeFile(path, (await readFile(path)).subarray(0, 50_000));
      return path;
    },
    missing: async () => here('none.gguf'),
    text: async () => {
      await writeFile(here('model.gguf'), 'This is no model.');
      return here('model.gguf');
    },
    architecture: () => writeGguf(config, randomTensors(config), {'general.architecture': string('mamba')}),
    prototype: async () => {
      const tensors = await decoderTensors(config, randomTensors(config));
      tensors.push({name: 'blk.0.constructor.weight', type: 'F32', dimensions: [1], data: new Uint8Array(4)});
      await writeFile(here('model.gguf'), ggufBytes({metadata: decoderMetadata(config), tensors}));
      return here('model.gguf');
    },
    pipe: async () => {
      execFileSync('mkfifo', [here('model.gguf')]);
      return here('model.gguf');
    },
    incomplete: async () => {
      const tensors = randomTensors(config);
      tensors.delete('model.layers.1.mlp.up_proj.weight');
      return writeGguf(config, tensors);
    },
    shape: () => writeGguf(config, randomTensors({...config, intermediateSize: 64})),
    outside: async () => {
      const path = await writeFolder(here('hf'), config, randomTensors(config));
      await writeFile(`${path}/model.safetensors.index.json`, '{"weight_map": {"a": "../secret"}}');
      return path;
    },
    weights: async () => `${await writeFolder(here('hf'), config, randomTensors(config))}/model.safetensors`,
    folder: async () => dirname(await writeGguf(config, randomTensors(config))),
  };
  it.each([
    ['truncated', FormatError, 'ERR_GGUF', 'truncated: '],
    ['missing', FormatError, 'ERR_NOT_FOUND', 'no such file or folder'],
    ['text', FormatError, 'ERR_GGUF', 'not a GGUF file'],
    ['architecture', UnsupportedError, 'ERR_UNSUPPORTED', '"mamba"'],
    ['prototype', UnsupportedError, 'ERR_UNSUPPORTED', 'tensor "blk.0.constructor.weight" has no place in the architecture llama'],
    ['pipe', FormatError, 'ERR_NOT_FOUND', 'model.gguf: is not a file'],
    ['incomplete', FormatError, 'ERR_CONFIG', 'model.layers.1.mlp.up_proj.weight'],
    ['shape', FormatError, 'ERR_CONFIG', 'the config asks for [96, 64]'],
    ['outside', FormatError, 'ERR_PATH_OUTSIDE', 'lies outside the folder'],
    ['weights', FormatError, 'ERR_SAFETENSORS', 'give the folder it is in'],
    ['folder', FormatError, 'ERR_NOT_FOUND', 'to import a GGUF file, name it: model.gguf'],
  ] as const)('says so and leaves nothing: %s', async (name, type, code, message) => {
    const source = await prepare[name]();
    const before = await readdir(here());
    const error = await importModel(source, here('a', 'out')).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(type);
    expect(error).toMatchObject({code});
    expect((error as Error).message).toContain(message);
    expect(await readdir(here())).toEqual(before);
  });

  it.each([
    [['', 'out'], "source must be a path, got ''"],
    [['a', 3], 'out must be a path, got 3'],
    [['a', 'b\0c'], 'out must be a path'],
    [['a', 'out', {dtype: 'fp8'}], "dtype must be 'fp16' or 'fp32', got 'fp8'"],
    [['a', 'out', {overwrite: 'yes'}], "overwrite must be true or false, got 'yes'"],
    [['a', 'out', {signal: {}}], 'signal must be an AbortSignal, got {}'],
    [['a', 'out', {onProgress: 1}], 'onProgress must be a function, got 1'],
    [['a', 'out', null], 'options must be an object, got null'],
  ])('refuses the arguments %j', async (args, message) => {
    const error = await importModel(...(args as Parameters<typeof importModel>)).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(OptionError);
    expect((error as Error).message).toContain(message);
  });
});
