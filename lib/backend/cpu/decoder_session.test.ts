import {writeFile} from 'node:fs/promises';

import {afterAll, beforeAll, describe, expect, it} from 'vitest';

import {plainDecoder} from '../../../test/support/plain_decoder.js';
import {randomTensors, tinyConfig} from '../../../test/support/random_checkpoint.js';
import {temporaryFolder} from '../../../test/support/temporary_folder.js';
import {buildDecoder} from '../../import/graph/decoder.js';
import {DataType} from '../../onnx/data_type.js';
import {GraphBuilder} from '../../onnx/graph_builder.js';
import type {Model} from '../../onnx/model.js';
import {writeModel} from '../../onnx/write.js';
import {createRunGuard} from '../../onnxruntime/run_guard.js';
import type {KvCacheType} from '../kv_cache_type.js';
import {DecoderSession} from './decoder_session.js';

const inFolder = temporaryFolder();
const TOKENS = Uint32Array.of(3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8);
const OPTIONS = {threads: 1, accuracyLevel: 0, maxContext: 64, maxBatch: 2, guard: createRunGuard()} as const;

describe.each([
  ['a model of contrib operators, float32', () => buildDecoder(tinyConfig(), randomTensors(tinyConfig()), {dtype: 'fp32'}), 1e-5],
  ['a model of contrib operators, float16', () => buildDecoder(tinyConfig(), randomTensors(tinyConfig()), {dtype: 'fp16'}), 5e-3],
  ['a plain export that concatenates its cache', () => plainDecoder(), 1e-5],
  // The last bit of a key may decide on its code.
  ['keys and values of 8 bits', () => buildDecoder(tinyConfig(), randomTensors(tinyConfig()), {dtype: 'fp32'}), 5e-3, 'int8'],
  ['keys and values of 8 bits, concatenated', () => plainDecoder(), 5e-3, 'fp8'],
] as [name: string, model: () => Model, tolerance: number, kvCacheType?: KvCacheType][])('%s', (name, model, tolerance, kvCacheType) => {
  let session: DecoderSession;
  /** [tokens, vocabulary], of one run over all tokens. */
  let whole: Float32Array;

  beforeAll(async () => {
    const path = inFolder(`${name.replaceAll(/\W/g, '_')}.onnx`);
    await writeModel(model(), path, {externalData: `${name.replaceAll(/\W/g, '_')}.data`});
    session = await DecoderSession.load(path, {...OPTIONS, kvCacheType});
    const cache = session.createCache();
    whole = Float32Array.from(await session.run(TOKENS, cache, 'all'));
    expect(cache.length).toBe(TOKENS.length);
    cache.dispose();
  });

  afterAll(() => session[Symbol.asyncDispose]());

  function expectRow(logits: Float32Array, position: number): void {
    const expected = whole.subarray(position * session.vocabSize, (position + 1) * session.vocabSize);
    expect(logits.length).toBe(session.vocabSize);
    const scale = Math.max(...expected.map(Math.abs));
    for (const [token, logit] of logits.entries()) expect(Math.abs(logit - expected[token]!)).toBeLessThan(scale * tolerance);
  }

  it('gives the same logits in pieces as at once', async () => {
    const cache = session.createCache();
    let done = 0;
    for (const count of [5, 1, 3, 1, 1, 1]) {
      const logits = await session.run(TOKENS.subarray(done, done + count), cache);
      done += count;
      expectRow(logits, done - 1);
    }
    cache.dispose();
  });

  it('goes back and goes on', async () => {
    const cache = session.createCache();
    await session.run(Uint32Array.of(...TOKENS.subarray(0, 6), 7, 7, 7), cache);
    expect(cache.rewindTo(TOKENS)).toBe(6);
    expectRow(await session.run(TOKENS.subarray(6), cache), TOKENS.length - 1);
    cache.dispose();
  });

  it('forks to sequences that do not disturb each other', async () => {
    const cache = session.createCache();
    await session.run(TOKENS.subarray(0, 8), cache);
    const fork = cache.fork();
    await session.run(Uint32Array.of(7, 7, 7), cache);
    expectRow(await session.run(TOKENS.subarray(8), fork), TOKENS.length - 1);
    cache.dispose();
    fork.dispose();
  });
});

describe('memory', () => {
  it('is not taken for a context that is only allowed', async () => {
    const path = inFolder('wide.onnx');
    await writeModel(buildDecoder(tinyConfig(), randomTensors(tinyConfig()), {dtype: 'fp32'}), path, {externalData: 'wide.data'});
    const session = await DecoderSession.load(path, {...OPTIONS, maxContext: 2 ** 50});
    const cache = session.createCache();
    expect((await session.run(TOKENS, cache)).length).toBe(session.vocabSize);

    cache.bind = () => {
      throw new RangeError('Array buffer allocation failed');
    };
    await expect(session.run(TOKENS, cache)).rejects.toMatchObject({code: 'ERR_OUT_OF_MEMORY'});
    await session[Symbol.asyncDispose]();
  });
});

describe('refuses', () => {
  const load = (file: string) => DecoderSession.load(inFolder(file), OPTIONS);

  it('a model that is no decoder, and says what it lacks', async () => {
    const builder = GraphBuilder.create({name: 'other', opsets: {'': 17}});
    builder.node('Relu', [builder.input('x', DataType.FLOAT, [1])], {outputs: ['y']});
    builder.output('y', DataType.FLOAT, [1]);
    await writeModel(builder.build(), inFolder('other.onnx'));
    await expect(load('other.onnx')).rejects.toMatchObject({code: 'ERR_ONNX', message: expect.stringContaining('no input_ids')});
  });

  it('an operator nobody knows, by its name', async () => {
    const builder = GraphBuilder.create({name: 'unknown', opsets: {'': 17}});
    builder.node('Frobnicate', [builder.input('x', DataType.FLOAT, [1])], {outputs: ['y']});
    builder.output('y', DataType.FLOAT, [1]);
    await writeModel(builder.build(), inFolder('unknown.onnx'));
    await expect(load('unknown.onnx')).rejects.toMatchObject({code: 'ERR_UNSUPPORTED', message: expect.stringContaining('Frobnicate')});
  });

  it('bytes that are no model, and a file that is not there', async () => {
    await writeFile(inFolder('noise.onnx'), 'not a model at all');
    await expect(load('noise.onnx')).rejects.toMatchObject({code: 'ERR_ONNX'});
    await expect(load('nowhere.onnx')).rejects.toMatchObject({code: 'ERR_NOT_FOUND'});
  });
});
