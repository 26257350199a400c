/** What measuring asks of the native decoder, on the simulated driver and TensorRT. */

import {TensorrtNodeError} from 'tensorrt-node';
import {afterAll, beforeAll, expect, it} from 'vitest';

import {findTensorrt} from '../../dist/backend/tensorrt/environment.js';
import {nativeSampling} from '../../dist/backend/tensorrt/sampling.js';
import {TensorrtBackend} from '../../dist/backend/tensorrt/tensorrt_backend.js';
import {buildDecoder} from '../../lib/import/graph/decoder.js';
import type {MeasuredDecoder} from '../../lib/native/decoder_addon.js';
import {writeModel} from '../../lib/onnx/write.js';
import {GREEDY} from '../support/greedy.js';
import {randomTensors, tinyConfig} from '../support/random_checkpoint.js';
import {temporaryFolder} from '../support/temporary_folder.js';
import {useSimulatedTensorrt} from './helpers/simulated_tensorrt.js';

const folder = temporaryFolder();
let backend: TensorrtBackend;
let decoder: MeasuredDecoder;

const count = (id: number, length: number, maxNewTokens: number): Promise<{tokens: number; seconds: number}> => {
  const tokens = Int32Array.from({length}, (_, at) => at % 80);
  const sampling = nativeSampling({tokens: Uint32Array.from(tokens), maxNewTokens, stopTokens: new Set(), sampling: GREEDY});
  return decoder.count(id, tokens, maxNewTokens, sampling);
};

beforeAll(async () => {
  await useSimulatedTensorrt();
  process.env.TENSORRT_NODE_CACHE = folder('cache');
  const config = tinyConfig({headDim: 64, maxPositionEmbeddings: 512});
  const modelPath = folder('model.onnx');
  await writeModel(buildDecoder(config, randomTensors(config), {dtype: 'fp32'}), modelPath);
  const environment = findTensorrt(0);
  if (environment instanceof TensorrtNodeError) throw environment;
  backend = await TensorrtBackend.load({modelPath, environment, maxContext: 512, maxBatch: 2});
  decoder = (backend as unknown as {decoder: MeasuredDecoder}).decoder;
});

afterAll(async () => {
  await backend?.[Symbol.asyncDispose]();
});

it('counts the tokens of requests at once, more of each than a consumer may be behind', async () => {
  const counted = await Promise.all([count(1001, 5, 400), count(1002, 70, 300), count(1003, 3, 1)]);
  expect(counted.map(({tokens}) => tokens)).toEqual([400, 300, 1]);
  expect(counted[0].seconds).toBeGreaterThan(0);
  expect(counted[2].seconds).toBe(0);
});

it('rejects what the scheduler refuses', async () => {
  await expect(count(1004, 600, 1)).rejects.toThrow('a sequence must have from 1 to 512 tokens, got 600');
});

it('tells what the scheduler holds', async () => {
  await count(1005, 5, 3);
  expect(decoder.stats()).toMatchObject({waiting: 0, slots: 2, slotsInUse: 0, pages: 16, pagesInUse: 0});
  expect(decoder.stats().decodeSteps).toBeGreaterThan(0);
});
