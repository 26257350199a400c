import {expect, it} from 'vitest';

import type {NativeDecoder, NativeDecoderMemory} from '../../native/decoder_addon.js';
import {MemoryBudget} from '../../weights/budget.js';
import {TensorrtBackend} from './tensorrt_backend.js';

const TOTAL = {gpu: 1000, ram: 1000};
const THERE: NativeDecoderMemory = {
  weightsBytes: 100,
  placesBytes: 0,
  stagingBytes: 0,
  cacheBytes: 50,
  scratchBytes: 10,
  pinnedWeightsBytes: 20,
  pinnedStagingBytes: 0,
  pinnedCacheBytes: 0,
  diskBytes: 400,
};
const AWAY = {...THERE, weightsBytes: 0, cacheBytes: 0, scratchBytes: 0, pinnedWeightsBytes: 120, pinnedCacheBytes: 5};

/** A model that takes 160 bytes of the GPU, of a budget with so much. */
function opened(limits: {gpu?: number; ram?: number}, refusal?: Error) {
  const budget = new MemoryBudget();
  budget.setLimits(limits);
  const reservation = budget.reserve('the model', 0, {gpu: 200, ram: 20}, TOTAL);
  let memory = THERE;
  let refused: Error | undefined;
  const decoder: Pick<NativeDecoder, 'memory' | 'suspend' | 'resume' | 'dispose'> = {
    memory: () => memory,
    suspend: async () => {
      if (refused !== undefined) throw refused;
      memory = AWAY;
    },
    resume: async () => {
      memory = THERE;
    },
    dispose: async () => {},
  };
  const load = async () => {
    if (refusal !== undefined) throw refusal;
    return decoder as NativeDecoder;
  };
  const shape = {type: 'float16', vocabularySize: 80, kvCacheType: 'auto'} as const;
  const opening = TensorrtBackend.open(load, {limits: {maxContext: 64, maxBatch: 2}, shape, where: 'a GPU', reservation});
  const refuse = (error: Error): void => {
    refused = error;
  };
  return {budget, opening, refuse};
}

it('counts what a model takes once that is known, until it is disposed of', async () => {
  const {budget, opening} = opened({});
  expect(budget.reserved(0)).toEqual({gpu: 200, ram: 20});
  const backend = await opening;
  expect(budget.reserved(0)).toEqual({gpu: 160, ram: 20});
  await backend[Symbol.asyncDispose]();
  expect(budget.reserved(0)).toEqual({gpu: 0, ram: 0});
});

it('gives back what a model was to have that could not be loaded', async () => {
  const {budget, opening} = opened({}, new Error('no'));
  await expect(opening).rejects.toThrow('no');
  expect(budget.reserved(0)).toEqual({gpu: 0, ram: 0});
});

it('follows a model to RAM and back', async () => {
  const {budget, opening} = opened({gpu: 300, ram: 300});
  const backend = await opening;
  await backend.suspend();
  expect(budget.reserved(0)).toEqual({gpu: 0, ram: 125});
  const other = budget.reserve('another', 0, {gpu: 200, ram: 0}, TOTAL);
  await expect(backend.resume()).rejects.toMatchObject({name: 'MemoryBudgetError', code: 'ERR_OUT_OF_MEMORY', memory: 'gpu'});
  expect(budget.reserved(0)).toEqual({gpu: 200, ram: 125});
  other[Symbol.dispose]();
  await backend.resume();
  expect(budget.reserved(0)).toEqual({gpu: 160, ram: 20});
});

it('keeps a model where it is for which RAM has no room, or that cannot leave', async () => {
  const {budget, opening, refuse} = opened({ram: 60});
  const backend = await opening;
  await expect(backend.suspend()).rejects.toMatchObject({name: 'MemoryBudgetError', memory: 'ram'});
  expect(budget.reserved(0)).toEqual({gpu: 160, ram: 20});
  budget.setLimits({});
  refuse(new Error('busy'));
  await expect(backend.suspend()).rejects.toThrow('busy');
  expect(budget.reserved(0)).toEqual({gpu: 160, ram: 20});
});
