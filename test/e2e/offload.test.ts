/** Weights that are not all in VRAM, on the simulated driver and TensorRT: the same tokens, wherever they are. */

import {open, truncate} from 'node:fs/promises';

import {type Progress, TensorrtNodeError} from 'tensorrt-node';
import {afterAll, beforeAll, describe, expect, it} from 'vitest';

// Of the built package, whose addon and worker threads are loaded as they ship.
import type {Backend, BackendRequest, TokenEvent} from '../../dist/backend/backend.js';
import {CpuBackend} from '../../dist/backend/cpu/cpu_backend.js';
import {findTensorrt} from '../../dist/backend/tensorrt/environment.js';
import {TensorrtBackend, type TensorrtBackendOptions} from '../../dist/backend/tensorrt/tensorrt_backend.js';
import {buildDecoder} from '../../lib/import/graph/decoder.js';
import type {NativeDecoder} from '../../lib/native/decoder_addon.js';
import {writeModel} from '../../lib/onnx/write.js';
import {placesFor} from '../../lib/weights/place_runs.js';
import type {PlacementBlock, Tier} from '../../lib/weights/placement_option.js';
import {GREEDY} from '../support/greedy.js';
import {randomTensors, tinyConfig} from '../support/random_checkpoint.js';
import {temporaryFolder} from '../support/temporary_folder.js';
import {useSimulatedTensorrt} from './helpers/simulated_tensorrt.js';

const folder = temporaryFolder();
const LIMITS = {maxContext: 512, maxBatch: 3};
const LAYERS = 6;
const prompt = (length: number, seed = 1) => Uint32Array.from({length}, (_, at) => (at * 7 * seed + seed) % 80);
const PROMPTS = [1, 5, 17, 64, 65, 130, 3, 300].map((length, at) => prompt(length, at + 1));

let modelPath: string;
let cpu: Backend;
let expected: number[][];

type Options = Partial<Pick<TensorrtBackendOptions, 'modelPath' | 'deterministic' | 'onProgress'>>;

function load(choose: (block: PlacementBlock) => Tier, options: Options = {}): Promise<TensorrtBackend> {
  const environment = findTensorrt(0);
  if (environment instanceof TensorrtNodeError) throw environment;
  return TensorrtBackend.load({modelPath, environment, ...LIMITS, placement: {choose}, ...options});
}

interface Reply {
  tokens: number[];
  prefilledTokens: number;
}

function reply(backend: Backend, changes: Partial<BackendRequest>, onTokens?: (abort: () => void) => void): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const events: TokenEvent[] = [];
    const handle = backend.submit(
      {tokens: Uint32Array.of(1), maxNewTokens: 12, stopTokens: new Set(), sampling: GREEDY, ...changes},
      {
        tokens: (batch) => {
          events.push(...batch);
          handle.consumed(batch.length);
          onTokens?.(handle.abort);
        },
        finished: (_, {prefilledTokens}) => resolve({tokens: events.map(({token}) => token), prefilledTokens}),
        failed: reject,
      },
    );
  });
}

const answers = async (backend: Backend) =>
  (await Promise.all(PROMPTS.map((tokens) => reply(backend, {tokens})))).map(({tokens}) => tokens);

beforeAll(async () => {
  await useSimulatedTensorrt();
  process.env.TENSORRT_NODE_CACHE = folder('cache');
  // A size of heads that there are kernels for.
  const config = tinyConfig({headDim: 64, maxPositionEmbeddings: 512, layerCount: LAYERS});
  modelPath = folder('model.onnx');
  await writeModel(buildDecoder(config, randomTensors(config), {dtype: 'fp32'}), modelPath);
  cpu = await CpuBackend.load({modelPath, ...LIMITS, threads: 1, accuracyLevel: 0, prefillChunk: 128});
  expected = await answers(cpu);
});

afterAll(() => cpu?.[Symbol.asyncDispose]());

const PLACEMENTS: Record<string, (block: PlacementBlock) => Tier> = {
  'all in VRAM': () => 'gpu',
  'all in RAM': () => 'ram',
  'all on disk': () => 'disk',
  'the first in VRAM, the others in RAM': ({index}) => (index === 0 ? 'gpu' : 'ram'),
  'one in RAM': ({index}) => (index === 2 ? 'ram' : 'gpu'),
  'in RAM and on disk in turn': ({index}) => (index % 2 === 0 ? 'ram' : 'disk'),
  everywhere: ({index}) => (['gpu', 'ram', 'disk', 'gpu', 'disk', 'ram'] as const)[index % 6]!,
};

describe.each(Object.entries(PLACEMENTS))('weights %s', (_, choose) => {
  it('say what the CPU says, alone, in company, and after aborts', async () => {
    await using backend = await load(choose);
    expect(await answers(backend)).toEqual(expected);
    const aborted = PROMPTS.map((tokens, at) => {
      let seen = 0;
      return reply(backend, {tokens, maxNewTokens: 40}, (abort) => void (seen++ === at % 3 && abort()));
    });
    await Promise.all(aborted);
    expect(await answers(backend)).toEqual(expected);
    const scored = await backend.score(PROMPTS[2]!);
    const reference = await cpu.score(PROMPTS[2]!);
    expect(scored.reduce((most, logit, at) => Math.max(most, Math.abs(logit - reference[at]!)), 0)).toBeLessThan(0.05);
    // What is told of it agrees with where it is.
    const tiers = Array.from({length: LAYERS}, (_each, index) => choose({index, name: '', bytes: 0, layer: index}));
    const {weights, decodeSteps, prefillSteps, lostSteps} = backend.stats();
    expect(lostSteps).toBe(0);
    const moving = tiers.filter((tier) => tier !== 'gpu');
    // With places for as many, none moves.
    const streamed = placesFor(moving.length) === 0 ? [] : moving;
    // Those for the next step are on their way.
    expect(weights.blocks).toBeGreaterThanOrEqual(streamed.length * (decodeSteps + prefillSteps));
    expect(weights.blocks > 0).toBe(streamed.length > 0);
    expect(weights.bytesRead > 0).toBe(streamed.includes('disk'));
    const gpu = backend.memory().find(({what, where}) => what === 'weights' && where === 'gpu');
    expect(gpu!.bytes).toBeGreaterThan(0);
  });
});

it('tells how far and how fast weights are read', async () => {
  const told: Progress[] = [];
  await using backend = await load(({index}) => (index === 0 ? 'gpu' : 'ram'), {onProgress: (each) => told.push(each)});
  const reads = told.filter(({phase}) => phase === 'read');
  expect(reads.at(-1)).toMatchObject({unit: 'bytes', done: reads.at(-1)!.total, detail: expect.stringMatching(/^weights, \d+\.\d GB\/s$/)});
  expect(reads.at(-1)!.bytesPerSecond).toBeGreaterThan(0);
  expect((await reply(backend, {tokens: PROMPTS[0]!})).tokens).toEqual(expected[0]);
});

it('is deterministic with weights that move', async () => {
  await using resident = await load(() => 'gpu', {deterministic: true});
  await using moving = await load(({index}) => (index % 2 === 0 ? 'ram' : 'disk'), {deterministic: true});
  const asked = {tokens: prompt(270, 5), maxNewTokens: 8, logprobs: 2};
  expect((await reply(moving, asked)).tokens).toEqual((await reply(resident, asked)).tokens);
});

describe('a model that takes turns', () => {
  it.each([
    ['all in VRAM', () => 'gpu' as const],
    ['some of it elsewhere', ({index}: PlacementBlock) => (['gpu', 'ram', 'disk'] as const)[index % 3]!],
  ])('keeps its sessions: %s', async (_, choose) => {
    await using first = await load(choose);
    await using second = await load(choose);
    const turns = [first, second];
    const sequences = turns.map((each) => each.createSequence());
    const texts: Uint32Array[] = turns.map((_each, at) => prompt(70, at + 2));
    await second.suspend();
    for (let turn = 0; turn < 6; turn++) {
      const at = turn % 2;
      const backend = turns[at]!;
      const tokens = texts[at]!;
      const asked = {tokens, sequence: sequences[at]!, maxNewTokens: 5};
      const said = await reply(backend, asked);
      expect(said.tokens).toEqual((await reply(cpu, {tokens, maxNewTokens: 5})).tokens);
      if (turn > 1) expect(said.prefilledTokens).toBeLessThan(10);
      texts[at] = Uint32Array.of(...tokens, ...said.tokens, 11, 12);
      const {decoder} = backend as unknown as {decoder: Pick<NativeDecoder, 'memory'>};
      // What weights from disk pass through on their way stays.
      const onGpu = () => {
        const {weightsBytes, placesBytes, cacheBytes} = decoder.memory();
        return weightsBytes + placesBytes + cacheBytes;
      };
      expect(onGpu()).toBeGreaterThan(0);
      await backend.suspend();
      expect(onGpu()).toBe(0);
      await turns[1 - at]!.resume();
    }
  });

  it('comes back by itself for what is asked of its decoder', async () => {
    await using backend = await load(({index}) => (index === 1 ? 'ram' : 'gpu'));
    const {decoder} = backend as unknown as {decoder: Pick<NativeDecoder, 'suspend'>};
    await decoder.suspend({finishRunning: true, keepRam: false});
    expect(backend.stats().suspended).toBe(true);
    expect(await answers(backend)).toEqual(expected);
    expect(backend.stats().suspended).toBe(false);
  });
});

it('a file that is cut short while serving ends the requests of that step, and all is well when it is back', async () => {
  const config = tinyConfig({headDim: 64, maxPositionEmbeddings: 512, layerCount: LAYERS});
  const path = folder('cut.onnx');
  await writeModel(buildDecoder(config, randomTensors(config), {dtype: 'fp32'}), path);
  const file = await open(path, 'r+');
  const whole = await file.readFile();
  await using backend = await load(({index}) => (index > 0 ? 'disk' : 'gpu'), {modelPath: path});
  try {
    expect(await answers(backend)).toEqual(expected);
    await truncate(path, 4096);
    const outcomes = await Promise.allSettled(PROMPTS.map((tokens) => reply(backend, {tokens, maxNewTokens: 30})));
    const failures = outcomes.flatMap((each) => (each.status === 'rejected' ? [each.reason] : []));
    expect(failures.length).toBeGreaterThan(0);
    for (const failure of failures) expect(failure).toMatchObject({code: 'ERR_FILE', message: expect.stringContaining('cut.onnx')});
    await file.write(whole, 0, whole.length, 0);
    expect(await answers(backend)).toEqual(expected);
    expect(backend.stats().lostSteps).toBeGreaterThan(0);
  } finally {
    await file.close();
  }
});
