/** Several real models in one service, through the built package: they take turns in memory, and answer as if alone. */

import {cp, symlink, truncate} from 'node:fs/promises';
import {join} from 'node:path';
import {memoryUsage} from 'node:process';

import {createModelRegistry, type LoadOptions, loadModel} from 'tensorrt-node';
import {beforeAll, expect, it} from 'vitest';

import {createRandom} from '../support/random.js';
import {temporaryFolder} from '../support/temporary_folder.js';
import {MODEL_FOLDER} from './helpers/model.js';

const folder = temporaryFolder();
const OPTIONS = {backend: 'cpu', maxContext: 128, threads: 2} as const satisfies LoadOptions;
const PROMPTS = ['1, 2, 3,', 'The sea is', 'Once upon a time', 'To be or not'];
const ask = {maxNewTokens: 3};
const expected = new Map<string, string>();

beforeAll(async () => {
  await using model = await loadModel(MODEL_FOLDER, OPTIONS);
  for (const prompt of PROMPTS) expected.set(prompt, (await model.generateText(prompt, ask)).text);
});

it('ten models take turns in a budget for two: 120 requests, each answered as by the model alone, and memory stays flat', async () => {
  await using registry = createModelRegistry({gpu: 0, ram: '240MB', turn: 50});
  const names = Array.from({length: 10}, (_, index) => `model-${index}`);
  for (const name of names) {
    // Another path is another model.
    await symlink(MODEL_FOLDER, folder(name));
    registry.add(name, folder(name), OPTIONS);
  }
  const {below, pick} = createRandom(5);
  const loaded = new Set<string>();
  const rss: number[] = [];
  let most = 0;
  for (let round = 0; round < 20; round++) {
    // Two models at once, of which one was there before, or neither.
    const [one, other] = [names[round % 10]!, names[(round * 3 + 1) % 10]!];
    const answers = Array.from({length: 6}, async (_, index) => {
      const name = index % 2 === 0 ? one : other;
      const prompt = pick(PROMPTS);
      const text = await registry.use(name, async (model) => (await model.generateText(prompt, ask)).text, {timeout: 100_000});
      loaded.add(name);
      most = Math.max(most, registry.held.ram);
      expect(text).toBe(expected.get(prompt));
    });
    await Promise.all(answers);
    rss.push(memoryUsage.rss());
    if (below(3) === 0) expect(registry.models().filter(({state}) => state !== 'unloaded').length).toBeLessThanOrEqual(2);
  }
  expect(loaded.size).toBe(10);
  expect(most).toBeGreaterThan(228e6);
  expect(most).toBeLessThanOrEqual(240e6);
  // Allocators keep some of what is freed, now more and now less; some forty models were loaded, each of 114 MB and more.
  const median = (values: number[]) => values.sort((a, b) => a - b)[values.length >> 1]!;
  expect(median(rss.slice(10)) - median(rss.slice(0, 10))).toBeLessThan(400e6);
}, 300_000);

it('a conversation goes on though its model left in between', async () => {
  await using registry = createModelRegistry({gpu: 0, ram: '120MB'});
  await symlink(MODEL_FOLDER, folder('first'));
  await symlink(MODEL_FOLDER, folder('second'));
  registry.add('first', folder('first'), OPTIONS).add('second', folder('second'), OPTIONS);
  const turns = ['1, 2, 3,', ' and so', ' on'];
  const alone: string[] = [];
  {
    await using model = await loadModel(MODEL_FOLDER, OPTIONS);
    await using session = model.createSession();
    for (const turn of turns) alone.push((await session.generateText(turn, ask)).text);
  }
  await using session = await registry.use('first', (model) => model.createSession());
  for (const [index, turn] of turns.entries()) {
    const {text, usage} = await session.generateText(turn, ask);
    expect(text).toBe(alone[index]);
    // What was kept went with the weights.
    expect(usage.cachedTokens).toBe(0);
    expect(await registry.use('second', async (model) => (await model.generateText(PROMPTS[1]!, ask)).text)).toBe(
      expected.get(PROMPTS[1]!),
    );
    expect(registry.models()).toMatchObject([{state: 'unloaded'}, {state: 'ready'}]);
  }
});

it('a model whose file was cut off fails its requests alone, and serves again once the file is whole', async () => {
  const damaged = folder('damaged');
  await cp(MODEL_FOLDER, damaged, {recursive: true});
  await symlink(MODEL_FOLDER, folder('sound'));
  await using registry = createModelRegistry({gpu: 0, ram: '120MB'});
  registry.add('damaged', damaged, OPTIONS).add('sound', folder('sound'), OPTIONS);
  const answer = (name: string) => registry.use(name, async (model) => (await model.generateText(PROMPTS[0]!, ask)).text);
  expect(await answer('damaged')).toBe(expected.get(PROMPTS[0]!));
  expect(await answer('sound')).toBe(expected.get(PROMPTS[0]!));
  await truncate(join(damaged, 'model.onnx_data'), 50e6);
  const held = registry.held;
  await expect(answer('damaged')).rejects.toMatchObject({code: expect.stringMatching(/^ERR_(ONNX|BACKEND|NOT_FOUND)$/)});
  expect(registry.held.ram).toBeLessThanOrEqual(held.ram);
  expect(await answer('sound')).toBe(expected.get(PROMPTS[0]!));
  await cp(join(MODEL_FOLDER, 'model.onnx_data'), join(damaged, 'model.onnx_data'));
  expect(await answer('damaged')).toBe(expected.get(PROMPTS[0]!));
});

it('a budget that is lowered while models serve is kept to from the next moment that they are idle', async () => {
  await using registry = createModelRegistry({gpu: 0, ram: '240MB'});
  for (const name of ['left', 'right']) {
    await symlink(MODEL_FOLDER, folder(name));
    registry.add(name, folder(name), OPTIONS);
  }
  const answer = (name: string) => registry.use(name, async (model) => (await model.generateText(PROMPTS[0]!, ask)).text);
  await Promise.all([answer('left'), answer('right')]);
  const lease = await registry.acquire('left');
  registry.setBudget({ram: '120MB'});
  expect((await lease.model.generateText(PROMPTS[0]!, ask)).text).toBe(expected.get(PROMPTS[0]!));
  lease.release();
  expect(await answer('left')).toBe(expected.get(PROMPTS[0]!));
  expect(registry.held.ram).toBeLessThanOrEqual(120e6);
  registry.setBudget({ram: '100MB'});
  await expect(answer('left')).rejects.toMatchObject({code: 'ERR_DOES_NOT_FIT'});
  registry.setBudget({ram: '120MB'});
  expect(await answer('right')).toBe(expected.get(PROMPTS[0]!));
});
