/** Several models on one simulated GPU: out of its memory and back, and what happens when others take that memory. */

import {symlink} from 'node:fs/promises';

import {setImmediate} from 'node:timers/promises';

import {createModelRegistry, type LoadOptions, loadModel, type ModelRegistry} from 'tensorrt-node';
import {beforeAll, expect, it} from 'vitest';

import {Device} from '../../dist/native/device.js';
import type {DeviceMemory} from '../../dist/native/device_memory.js';
import {languageModelFolder} from '../support/language_model_folder.js';
import {createRandom} from '../support/random.js';
import {temporaryFolder} from '../support/temporary_folder.js';
import {useSimulatedTensorrt} from './helpers/simulated_tensorrt.js';

const folder = temporaryFolder();
const OPTIONS = {backend: 'tensorrt', maxContext: 128, maxBatch: 2} as const satisfies LoadOptions;
const PROMPTS = ['the sea', 'hello', 'a longer one, of some more tokens', 'x'];
const ask = {maxNewTokens: 6};
const NAMES = Array.from({length: 10}, (_, index) => `model-${index}`);
const expected = new Map<string, string>();
/** Bytes of the GPU that a model takes, and that it keeps while it is suspended. */
let ready: number;
let suspended: number;

beforeAll(async () => {
  await useSimulatedTensorrt();
  process.env.TENSORRT_NODE_CACHE = folder('cache');
  await languageModelFolder(folder('model'));
  for (const name of NAMES) await symlink(folder('model'), folder(name));
  await using model = await loadModel(folder('model'), OPTIONS);
  for (const prompt of PROMPTS) expected.set(prompt, (await model.generateText(prompt, ask)).text);
  await using registry = registryOf(['model-0'], {gpu: '1GiB', ram: '1GiB'});
  await registry.use('model-0', () => {});
  ready = registry.held.gpu;
  registry.setBudget({gpu: ready - 1});
  while (registry.models()[0]!.state === 'suspending') await setImmediate();
  expect(registry.models()).toMatchObject([{state: 'suspended'}]);
  suspended = registry.held.gpu;
});

function registryOf(names: readonly string[], budget: {gpu: number | string; ram: number | string}): ModelRegistry {
  const registry = createModelRegistry({...budget, turn: 20});
  for (const name of names) registry.add(name, folder(name), OPTIONS);
  return registry;
}

const answer = async (registry: ModelRegistry, name: string, prompt = PROMPTS[0]!) => {
  const text = await registry.use(name, async (model) => (await model.generateText(prompt, ask)).text);
  expect(text).toBe(expected.get(prompt));
};

it('a suspended model takes less of the GPU', () => {
  expect(suspended).toBeLessThan(ready / 2);
});

it('ten models take turns in a budget for two: 100 requests, each answered as by the model alone', async () => {
  const budget = {gpu: 2 * ready + 8 * suspended, ram: 8 * 2 ** 20};
  await using registry = registryOf(NAMES, budget);
  const {below, pick} = createRandom(3);
  let most = 0;
  const states = new Set<string>();
  for (let round = 0; round < 25; round++) {
    const names = [NAMES[round % 10]!, NAMES[below(10)]!];
    await Promise.all(
      Array.from({length: 4}, async (_, index) => {
        await answer(registry, names[index % 2]!, pick(PROMPTS));
        most = Math.max(most, registry.held.gpu);
      }),
    );
    const models = registry.models();
    for (const {state} of models) states.add(state);
    expect(models.filter(({memory}) => memory.gpu > suspended).length).toBeLessThanOrEqual(2);
  }
  expect(most).toBeLessThanOrEqual(budget.gpu);
  for (const state of ['ready', 'suspended']) expect(states).toContain(state);
});

it('a session goes on where it was, its keys and values with it', async () => {
  await using registry = registryOf(['model-0', 'model-1'], {gpu: ready + suspended, ram: '1GiB'});
  const session = await registry.use('model-0', (model) => model.createSession());
  await session.generateText(PROMPTS[2]!, ask);
  await answer(registry, 'model-1');
  expect(registry.models()).toMatchObject([{state: 'suspended'}, {state: 'ready'}]);
  const {usage} = await session.generateText(' and on', ask);
  expect(usage.cachedTokens).toBeGreaterThan(PROMPTS[2]!.length);
  await session.dispose();
});

it("another's memory makes a model that comes back fail that request alone", async () => {
  await using registry = registryOf(['model-0', 'model-1'], {gpu: 2 * ready, ram: '1GiB'});
  await answer(registry, 'model-0');
  registry.setBudget({gpu: ready - 1});
  while (registry.models()[0]!.state !== 'suspended') await setImmediate();
  registry.setBudget({gpu: 2 * ready});
  const device = Device.open(0);
  using stream = device.createStream('another');
  const taken = takeAll(device, stream);
  // One that is to come back, and one that is to be loaded.
  await expect(answer(registry, 'model-0')).rejects.toMatchObject({name: 'CudaError', code: 'ERR_OUT_OF_MEMORY'});
  expect(registry.models()).toMatchObject([{state: 'suspended', users: 0, waiting: 0}, {state: 'unloaded'}]);
  await expect(answer(registry, 'model-1')).rejects.toMatchObject({code: 'ERR_DOES_NOT_FIT', memory: 'gpu'});
  // Whatever the first one still had of the GPU went for it.
  expect(registry.models()).toMatchObject([
    {users: 0, waiting: 0, memory: {gpu: 0}},
    {state: 'unloaded', users: 0, waiting: 0, memory: {gpu: 0, ram: 0}},
  ]);
  for (const block of taken) block.dispose();
  await stream.done();
  device.trimDevice();
  for (const name of ['model-0', 'model-1', 'model-0']) await answer(registry, name);
});

/** All memory of the GPU that is left, but for less than a model needs. */
function takeAll(device: Device, stream: ReturnType<Device['createStream']>): DeviceMemory[] {
  const blocks: DeviceMemory[] = [];
  for (const size of [2 ** 28, 2 ** 24, 2 ** 20]) {
    try {
      for (;;) blocks.push(device.allocate(size, stream));
    } catch (error) {
      expect(error).toMatchObject({code: 'ERR_OUT_OF_MEMORY'});
    }
  }
  return blocks;
}

it('a host that has no pinned memory left makes models be unloaded instead, and they answer all the same', async () => {
  await using registry = registryOf(['model-0', 'model-1'], {gpu: ready + suspended, ram: 0});
  for (const name of ['model-0', 'model-1', 'model-0']) await answer(registry, name);
  expect(registry.models()).toMatchObject([{state: 'ready'}, {state: 'unloaded'}]);
});
