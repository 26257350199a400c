/** Ten models that take turns in a budget for two, each answering as it does alone. */

import {mkdirSync, rmSync, symlinkSync} from 'node:fs';
import path from 'node:path';
import {setFlagsFromString} from 'node:v8';
import {runInNewContext} from 'node:vm';

import {createModelRegistry} from '../../dist/index.js';
import {Device} from '../../dist/native/device.js';
import {openModel} from '../generate/open_model.mjs';
import {prompts} from '../lib/prompts.mjs';
import {uniform} from '../lib/random.mjs';
import {say} from '../lib/results.mjs';
import {slope} from '../lib/slope.mjs';

const MODELS = 10;
const AT_ONCE = 4;
const SAMPLES = 20;
/** Deterministic: an answer does not depend, in its last bits, on what else the model reads. */
const OPTIONS = {maxContext: 512, maxBatch: 2, deterministic: true};
const ASK = {maxNewTokens: 16, temperature: 0};

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc');

/** Of the model in `source`. `folder` is for links to it: another path is another model. */
export async function takeTurns({source, requests, folder}) {
  const asked = prompts()
    .slice(0, 8)
    .map(({text}) => text.slice(0, 300));
  const alone = await openModel(source, OPTIONS);
  const expected = new Map();
  for (const prompt of asked) expected.set(prompt, (await alone.model.generateText(prompt, ASK)).tokens.join());
  const gpuBytes = alone.backend.memory().reduce((sum, {where, bytes}) => sum + (where === 'gpu' ? bytes : 0), 0);
  await alone.model.dispose();

  const budgetBytes = Math.ceil(2.2 * gpuBytes);
  const registry = createModelRegistry({gpu: budgetBytes, ram: MODELS * gpuBytes, turn: 50});
  const names = Array.from({length: MODELS}, (_, index) => `model-${index}`);
  mkdirSync(folder, {recursive: true});
  for (const name of names) {
    const link = path.join(folder, name);
    rmSync(link, {force: true});
    symlinkSync(path.resolve(source), link);
    registry.add(name, link, {...OPTIONS, backend: 'tensorrt', memory: {gpu: gpuBytes, ram: 0}});
  }
  // Once each: what is made of a model the first time is no leak.
  for (const name of names) await registry.use(name, (model) => model.generateText(asked[0], ASK));
  const device = Device.open(0);
  const random = uniform(7);
  const pick = (list) => list[Math.floor(random() * list.length)];
  const samples = [];
  const failures = [];
  let wrong = 0;
  let number = 0;
  let mostHeldBytes = 0;
  const loads = new Map(names.map((name) => [name, 0]));
  const start = performance.now();
  const ask = async () => {
    const name = pick(names);
    const prompt = pick(asked);
    try {
      const {tokens} = await registry.use(name, (model) => model.generateText(prompt, ASK));
      if (tokens.join() !== expected.get(prompt)) wrong++;
      loads.set(name, loads.get(name) + 1);
    } catch (error) {
      wrong++;
      failures.push(String(error));
    }
    mostHeldBytes = Math.max(mostHeldBytes, registry.held.gpu);
  };
  for (let sample = 1; sample <= SAMPLES; sample++) {
    const until = Math.round((requests * sample) / SAMPLES);
    await Promise.all(
      Array.from({length: AT_ONCE}, async () => {
        while (number < until) {
          number++;
          await ask();
        }
      }),
    );
    collectGarbage();
    const {freeBytes, totalBytes} = device.memory();
    // Whichever models are there now, they are as many.
    samples.push({requests: number, rss: process.memoryUsage.rss(), vram: totalBytes - freeBytes});
    say(`${number} requests, ${wrong} wrong, ${((performance.now() - start) / 1000).toFixed(1)} s`);
  }
  const seconds = (performance.now() - start) / 1000;
  await registry.dispose();
  const half = samples.slice(samples.length >> 1);
  return {
    models: MODELS,
    requests: number,
    wrong,
    failures: failures.slice(0, 5),
    seconds,
    loads: Object.fromEntries(loads),
    budgetBytes,
    mostHeldBytes,
    samples,
    slopes: {rss: slope(half, 'rss'), vram: slope(half, 'vram')},
  };
}
