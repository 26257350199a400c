import {describe, expect, it} from 'vitest';

import {cacheBytes} from '../backend/tensorrt/cache_pages.js';
import type {DecoderShape} from '../decoder/lowered_decoder.js';
import type {DecoderWeights, RunWeights} from './decoder_weights.js';
import {checkPlacement} from './placement_option.js';
import {type MemoryDemand, type MemoryPlan, planMemory} from './plan_memory.js';

const MIB = 2 ** 20;
const GIB = 2 ** 30;
/** 128 KiB a token, 8 MiB a page. */
const shape: DecoderShape = {
  type: 'float16',
  layers: 32,
  heads: 32,
  kvHeads: 8,
  headSize: 128,
  rotarySize: 128,
  interleaved: false,
  hiddenSize: 4096,
  vocabularySize: 49152,
  maxPositions: 16384,
  windows: [],
  scale: 1,
  softcap: 0,
  epsilon: 1e-5,
  pageSize: 64,
  kvCacheType: 'auto',
};
const run = (index: number, kind: RunWeights['kind'], bytes: number): RunWeights => ({
  index,
  name: `run ${index}`,
  kind,
  own: [],
  bytes,
  elements: bytes / 2,
  unpackedBytes: 0,
  storedBytes: bytes,
  stagingBytes: 0,
  readBytes: bytes,
});
/** 16 GiB and a half. */
const weights: DecoderWeights = {
  runs: [
    run(0, 'prologue', 256 * MIB),
    ...Array.from({length: 32}, (_, at) => run(at + 1, 'block', 512 * MIB)),
    run(33, 'epilogue', 256 * MIB),
  ],
  sharedBytes: 0,
};
const demand = (changes: Partial<MemoryDemand> = {}): MemoryDemand => ({
  shape,
  weights,
  maxContext: 8192,
  maxBatch: 8,
  deterministic: false,
  placement: {},
  offloaded: false,
  free: {gpuBytes: 79 * GIB, ramBytes: 100 * GIB},
  ...changes,
});
const total = ({gpu}: MemoryPlan) => Object.values(gpu).reduce((sum, bytes) => sum + bytes, 0);
const gpu = (gib: number) => ({free: {gpuBytes: gib * GIB, ramBytes: 100 * GIB}});

describe('auto', () => {
  it('has all weights, and keys and values of all sequences, where they fit', () => {
    const plan = planMemory(demand());
    expect(plan).toMatchObject({pages: 8 * 128, placed: {places: 0}, gpu: {weights: 16.5 * GIB, places: 0, cache: 8 * GIB}});
  });

  it('has fewer pages before it has fewer weights', () => {
    const plan = planMemory(demand(gpu(20)));
    expect(plan.placed.places).toBe(0);
    expect(plan.pages).toBeGreaterThanOrEqual(128);
    expect(plan.pages).toBeLessThan(8 * 128);
  });

  it('has all pages where weights must pass through', () => {
    const plan = planMemory(demand(gpu(16)));
    expect(plan).toMatchObject({pages: 8 * 128, placed: {places: 2}});
    expect(plan.placed.bytes.ram).toBeGreaterThan(9 * GIB);
  });

  it.each([12, 13.3, 16, 17, 18, 20, 24, 40, 80])('never takes more than there is: %d GiB', (gib) => {
    const plan = planMemory(demand(gpu(gib)));
    expect(total(plan)).toBeLessThanOrEqual(gib * GIB);
    expect(plan.gpu.weights + plan.gpu.places + plan.gpu.cache).toBeLessThanOrEqual((gib - 1) * GIB);
    expect(plan.gpu.cache).toBe(cacheBytes(shape, plan.pages));
  });
});

it('leaves what engines compute in where that is known to be more', () => {
  const plan = planMemory(demand({...gpu(20), scratchBytes: 3 * GIB}));
  expect(plan.gpu.scratch).toBe(3 * GIB);
  expect(total(plan)).toBeLessThanOrEqual(19.75 * GIB);
});

it('gives the cache what a limit of weights leaves', () => {
  const plan = planMemory(demand({placement: checkPlacement({gpu: '4GiB'}), maxBatch: 32}));
  expect(plan.gpu.weights + plan.gpu.places).toBeLessThanOrEqual(4 * GIB);
  expect(plan.gpu.weights + plan.gpu.places).toBeGreaterThan(3 * GIB);
  expect(plan.pages).toBe(32 * 128);
});

describe('what does not fit is refused', () => {
  const refusal = (changes: Partial<MemoryDemand>) => {
    try {
      planMemory(demand(changes));
    } catch (error) {
      return error;
    }
    return undefined;
  };

  it('with the context that fits', () => {
    const error = refusal({...gpu(3), maxContext: 16384});
    expect(error).toMatchObject({
      code: 'ERR_DOES_NOT_FIT',
      memory: 'gpu',
      availableBytes: 3 * GIB,
      nearest: {maxContext: expect.any(Number)},
    });
    const {maxContext} = (error as {nearest: {maxContext: number}}).nearest;
    expect(planMemory(demand({...gpu(3), maxContext})).pages).toBeGreaterThanOrEqual(maxContext / 64);
    expect(refusal({...gpu(3), maxContext: maxContext + 64})).toBeDefined();
    expect(error).toMatchObject({message: expect.stringContaining(`it fits with maxContext: ${maxContext}`)});
  });

  it('with the limit that fits', () => {
    expect(refusal({placement: checkPlacement({gpu: '512MiB'})})).toMatchObject({
      neededBytes: 832 * 2 ** 20,
      availableBytes: GIB / 2,
      nearest: {placement: {gpu: '832MiB'}},
    });
    expect(planMemory(demand({placement: checkPlacement({gpu: '832MiB'})})).placed.places).toBe(2);
  });

  it('with another placement than the one a function gives', () => {
    expect(refusal({...gpu(16), placement: checkPlacement(() => 'gpu')})).toMatchObject({nearest: {placement: 'auto'}});
    const ram = {free: {gpuBytes: 79 * GIB, ramBytes: GIB}};
    expect(refusal({...ram, placement: checkPlacement(() => 'ram')})).toMatchObject({memory: 'ram', nearest: {placement: 'auto'}});
  });

  it('and told so where nothing does', () => {
    expect(refusal(gpu(1))).toMatchObject({nearest: undefined, message: expect.stringContaining('no setting of this model fits here')});
  });
});
