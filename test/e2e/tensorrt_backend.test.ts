/** Language models on the simulated driver and TensorRT, against the CPU backend on the same model. */

import {readdir} from 'node:fs/promises';

import {type Progress, TensorrtNodeError} from 'tensorrt-node';
import {afterAll, beforeAll, describe, expect, it} from 'vitest';

// Of the built package, whose addon and worker threads are loaded as they ship.
import type {Backend, BackendFinish, BackendRequest, BackendTimings, TokenEvent} from '../../dist/backend/backend.js';
import {CpuBackend} from '../../dist/backend/cpu/cpu_backend.js';
import {findTensorrt} from '../../dist/backend/tensorrt/environment.js';
import {TensorrtBackend, type TensorrtBackendOptions} from '../../dist/backend/tensorrt/tensorrt_backend.js';
import {buildDecoder} from '../../lib/import/graph/decoder.js';
import {writeModel} from '../../lib/onnx/write.js';
import {GREEDY} from '../support/greedy.js';
import {randomTensors, tinyConfig} from '../support/random_checkpoint.js';
import {temporaryFolder} from '../support/temporary_folder.js';
import {useSimulatedTensorrt} from './helpers/simulated_tensorrt.js';

const folder = temporaryFolder();
const LIMITS = {maxContext: 512, maxBatch: 3};
const progress: Progress[] = [];
let modelPath: string;
let cpu: Backend;
let gpu: Backend;

type Options = Partial<Pick<TensorrtBackendOptions, 'signal' | 'onProgress' | 'maxBatch' | 'deterministic'>>;

function load(options: Options = {}): Promise<TensorrtBackend> {
  const environment = findTensorrt(0);
  if (environment instanceof TensorrtNodeError) throw environment;
  return TensorrtBackend.load({modelPath, environment, ...LIMITS, ...options});
}

beforeAll(async () => {
  await useSimulatedTensorrt();
  process.env.TENSORRT_NODE_CACHE = folder('cache');
  // A size of heads that there are kernels for.
  const config = tinyConfig({headDim: 64, maxPositionEmbeddings: 512});
  modelPath = folder('model.onnx');
  await writeModel(buildDecoder(config, randomTensors(config), {dtype: 'fp32'}), modelPath);
  cpu = await CpuBackend.load({modelPath, ...LIMITS, threads: 1, accuracyLevel: 0, prefillChunk: 128});
  gpu = await load({onProgress: (each) => progress.push(each)});
});

afterAll(async () => {
  await cpu?.[Symbol.asyncDispose]();
  await gpu?.[Symbol.asyncDispose]();
});

interface Reply {
  events: TokenEvent[];
  tokens: number[];
  reason: BackendFinish;
  timings: BackendTimings;
}

function requestOf(changes: Partial<BackendRequest>): BackendRequest {
  return {tokens: Uint32Array.of(1), maxNewTokens: 24, stopTokens: new Set(), sampling: GREEDY, ...changes};
}

/** `onTokens` may abort. */
function reply(backend: Backend, changes: Partial<BackendRequest>, onTokens?: (abort: () => void) => void): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const events: TokenEvent[] = [];
    const handle = backend.submit(requestOf(changes), {
      tokens: (batch) => {
        events.push(...batch);
        handle.consumed(batch.length);
        onTokens?.(handle.abort);
      },
      finished: (reason, timings) => resolve({events, tokens: events.map(({token}) => token), reason, timings}),
      failed: reject,
    });
  });
}

const prompt = (length: number, seed = 1) => Uint32Array.from({length}, (_, at) => (at * 7 * seed + seed) % 80);
const PROMPTS = [1, 5, 17, 64, 65, 130, 3].map((length, at) => prompt(length, at + 1));

it('says what it is', () => {
  expect(gpu).toMatchObject({name: 'tensorrt', vocabSize: 80, limits: LIMITS});
  expect(gpu.description).toMatch(/^TensorRT \d+\.\d+\.\d+ on .+, float16$/);
});

it('builds all plans once, with progress, and none the next time', async () => {
  const builds = progress.filter(({phase}) => phase === 'build');
  // The block's for few rows and for prompts.
  expect(builds.at(-1)).toMatchObject({done: 4, total: 4, unit: 'steps'});
  expect(builds.map(({done}) => done)).toEqual(builds.map(({done}) => done).sort((a, b) => a - b));
  const last = (phase: string) => progress.filter((each) => each.phase === phase).at(-1)!;
  expect(last('read')).toMatchObject({unit: 'bytes', done: last('read').total});
  expect(last('capture')).toMatchObject({unit: 'steps', done: last('capture').total});
  const engines = await readdir(folder('cache', 'engines'));
  const again: Progress[] = [];
  await using second = await load({onProgress: (each) => again.push(each)});
  expect(again.filter(({phase}) => phase === 'build')).toEqual([]);
  expect(await readdir(folder('cache', 'engines'))).toEqual(engines);
  const [one, other] = await Promise.all([reply(second, {tokens: PROMPTS[1]}), reply(gpu, {tokens: PROMPTS[1]})]);
  expect(one.tokens).toEqual(other.tokens);
});

describe('greedy', () => {
  it('chooses what the CPU backend finds likeliest, or as likely as halves can tell, several prompts at once', async () => {
    const found = await Promise.all(PROMPTS.map((tokens) => reply(gpu, {tokens})));
    for (const [at, {tokens, reason}] of found.entries()) {
      const {length} = PROMPTS[at]!;
      const logits = await cpu.score(Uint32Array.of(...PROMPTS[at]!, ...tokens));
      const behind = tokens.map((token, index) => {
        const row = logits.subarray((length - 1 + index) * 80, (length + index) * 80);
        return Math.max(...row) - row[token]!;
      });
      expect(Math.max(...behind), `prompt ${at}`).toBeLessThan(0.02);
      expect(behind.filter((each) => each === 0).length, `prompt ${at}`).toBeGreaterThan(tokens.length - 4);
      expect(tokens).toHaveLength(24);
      expect(reason).toBe('length');
    }
  });

  it('ends with a stop token, which it delivers', async () => {
    const {tokens} = await reply(gpu, {tokens: PROMPTS[2]});
    const stop = tokens[6]!;
    const stopped = await reply(gpu, {tokens: PROMPTS[2], stopTokens: new Set([stop])});
    expect(stopped).toMatchObject({reason: 'stop', tokens: tokens.slice(0, tokens.indexOf(stop) + 1)});
  });

  it('reports the likeliest tokens as the CPU backend does', async () => {
    const request = {tokens: PROMPTS[1], logprobs: 3, maxNewTokens: 4};
    const [expected, found] = await Promise.all([reply(cpu, request), reply(gpu, request)]);
    for (const [at, {token, logprob, top}] of found.events.entries()) {
      const other = expected.events[at]!;
      expect(token).toBe(other.token);
      expect(logprob).toBeCloseTo(other.logprob!, 2);
      expect(top!.map((each) => each.token)).toEqual(other.top!.map((each) => each.token));
    }
  });
});

it('draws what the CPU backend draws from the same seed, or nearly always', async () => {
  const sampling = {...GREEDY, temperature: 0.8, topK: 40, seed: 1234};
  const [expected, found] = await Promise.all([reply(cpu, {sampling, maxNewTokens: 4}), reply(gpu, {sampling, maxNewTokens: 4})]);
  expect(found.tokens[0]).toBe(expected.tokens[0]);
  expect((await reply(gpu, {sampling, maxNewTokens: 4})).tokens).toEqual(found.tokens);
});

describe('more streams than a few', () => {
  it('choose what each does alone', async () => {
    const maxBatch = 20;
    await using backend = await load({maxBatch});
    const prompts = Array.from({length: maxBatch + 3}, (_, at) => prompt(1 + ((at * 37) % 90), at + 1));
    const expected = await Promise.all(prompts.map((tokens) => reply(cpu, {tokens, maxNewTokens: 12})));
    const found = await Promise.all(prompts.map((tokens) => reply(backend, {tokens, maxNewTokens: 12})));
    expect(found.map(({tokens}) => tokens)).toEqual(expected.map(({tokens}) => tokens));
  });
});

describe('deterministic', () => {
  // Longer than a piece of a prompt.
  const asked = {tokens: prompt(270, 5), maxNewTokens: 12, logprobs: 2};
  /** Other requests, which come and go, until the promise settles. */
  async function company(backend: Backend, until: Promise<unknown>): Promise<void> {
    let over = false;
    const ended = until.finally(() => {
      over = true;
    });
    const one = async (seed: number): Promise<void> => {
      for (let at = seed; !over; at++) {
        const tokens = prompt(1 + ((at * 53) % 200), at);
        const stopAfter = at % 5;
        let seen = 0;
        await reply(backend, {tokens, maxNewTokens: 1 + ((at * 7) % 30)}, (abort) => void (seen++ === stopAfter && abort()));
      }
    };
    await Promise.all([ended, ...[1, 100, 200].map(one)]);
  }

  it('gives the same tokens and logprobs alone, after others, and in their company', async () => {
    await using backend = await load({maxBatch: 5, deterministic: true});
    const alone = await reply(backend, asked);
    expect(alone.tokens).toEqual((await reply(cpu, asked)).tokens);
    const beside = reply(backend, asked);
    await company(backend, beside);
    expect((await beside).events).toEqual(alone.events);
    // The same in whatever batch the model was loaded for.
    await using other = await load({maxBatch: 24, deterministic: true});
    expect((await reply(other, asked)).events).toEqual(alone.events);
  });

  it('runs whole prompts: what is held of them was made by other steps', async () => {
    await using backend = await load({deterministic: true});
    const sequence = backend.createSequence();
    const first = await reply(backend, {...asked, sequence});
    const longer = Uint32Array.of(...asked.tokens, ...first.tokens, 7);
    const second = await reply(backend, {tokens: longer, sequence, logprobs: 2});
    expect(second.timings.prefilledTokens).toBe(longer.length);
    expect((await reply(backend, {tokens: longer, logprobs: 2})).events).toEqual(second.events);
  });
});

describe('a sequence', () => {
  it('runs only what is new, forks and rewinds, with the tokens of a fresh one', async () => {
    const start = prompt(70);
    const sequence = gpu.createSequence();
    const first = await reply(gpu, {tokens: start, sequence, maxNewTokens: 6});
    const copy = gpu.forkSequence(sequence);
    const longer = Uint32Array.of(...start, ...first.tokens, 11, 12, 13);
    const second = await reply(gpu, {tokens: longer, sequence, maxNewTokens: 6});
    expect(second.timings.prefilledTokens).toBeLessThan(longer.length / 2);
    expect(second.tokens).toEqual((await reply(cpu, {tokens: longer, maxNewTokens: 6})).tokens);
    const elsewhere = Uint32Array.of(...start.subarray(0, 60), 40, 41, 42);
    const third = await reply(gpu, {tokens: elsewhere, sequence: copy, maxNewTokens: 6});
    expect(third.tokens).toEqual((await reply(cpu, {tokens: elsewhere, maxNewTokens: 6})).tokens);
    gpu.disposeSequence(sequence);
    gpu.disposeSequence(copy);
  });
});

describe('an abort', () => {
  it('ends the request, and the others go on', async () => {
    const [aborted, other] = await Promise.all([
      reply(gpu, {tokens: PROMPTS[3], maxNewTokens: 180}, (abort) => abort()),
      reply(gpu, {tokens: PROMPTS[4]}),
    ]);
    expect(aborted.reason).toBe('aborted');
    expect(aborted.tokens.length).toBeLessThan(180);
    expect(other.tokens).toEqual((await reply(cpu, {tokens: PROMPTS[4]})).tokens);
  });

  it('before it begins runs nothing', async () => {
    const {reason, tokens} = await new Promise<Reply>((resolve, reject) => {
      const handle = gpu.submit(requestOf({}), {
        tokens: () => reject(new Error('tokens came')),
        finished: (why, timings) => resolve({events: [], tokens: [], reason: why, timings}),
        failed: reject,
      });
      handle.abort();
      handle.abort();
    });
    expect({reason, tokens}).toEqual({reason: 'aborted', tokens: []});
  });

  it('of the load is heard', async () => {
    await expect(load({signal: AbortSignal.abort('why')})).rejects.toMatchObject({code: 'ERR_ABORTED', cause: 'why'});
    const controller = new AbortController();
    const onProgress = ({phase}: Progress) => {
      if (phase === 'read') controller.abort('late');
    };
    await expect(load({signal: controller.signal, onProgress})).rejects.toMatchObject({code: 'ERR_ABORTED', cause: 'late'});
  });
});

it('pauses a request whose consumer is behind, and no other', async () => {
  const request = {tokens: PROMPTS[1], maxNewTokens: 400};
  let delivered = 0;
  let resume!: () => void;
  const slow = new Promise<BackendFinish>((resolve, reject) => {
    let resumed = false;
    const handle = gpu.submit(requestOf(request), {
      tokens: ({length}) => {
        delivered += length;
        if (resumed) handle.consumed(length);
      },
      finished: resolve,
      failed: reject,
    });
    resume = () => {
      resumed = true;
      handle.consumed(delivered);
    };
  });
  expect((await reply(gpu, request)).tokens).toHaveLength(400);
  expect(delivered).toBeGreaterThan(0);
  expect(delivered).toBeLessThan(400);
  resume();
  expect(await slow).toBe('length');
  expect(delivered).toBe(400);
});

it('scores as the CPU backend does', async () => {
  const tokens = prompt(40);
  const [expected, found] = await Promise.all([cpu.score(tokens), gpu.score(tokens)]);
  expect(found).toHaveLength(expected.length);
  const worst = found.reduce((most, logit, at) => Math.max(most, Math.abs(logit - expected[at]!)), 0);
  expect(worst).toBeLessThan(0.05);
});

it('disposed of fails what runs', async () => {
  const backend = await load();
  const running = reply(backend, {maxNewTokens: 200}).catch((error) => error);
  const scoring = backend.score(prompt(200)).catch((error) => error);
  await backend[Symbol.asyncDispose]();
  expect(await running).toMatchObject({code: 'ERR_DISPOSED'});
  expect(await scoring).toSatisfy((outcome) => outcome instanceof Float32Array || outcome.code === 'ERR_DISPOSED');
  await expect(backend.score(prompt(1))).rejects.toMatchObject({code: 'ERR_DISPOSED'});
});
