import {setImmediate} from 'node:timers/promises';

import {Registry} from 'prom-client';
import {describe, expect, it} from 'vitest';

import {parseExposition} from '../../test/support/exposition.js';
import {ManualBackend, TIMINGS} from '../../test/support/manual_backend.js';
import {byteLevelTokenizer} from '../../test/support/tokenizers.js';
import {nameBackend} from '../backend/named_backends.js';
import {RunMeter} from '../engine/run_meter.js';
import {TensorrtNodeError} from '../errors.js';
import {LanguageModel} from '../generate/model.js';
import type {NativeDecoderStats, NativeStepHistograms} from '../native/decoder_addon.js';
import {tellModelEvent} from '../observers.js';
import {TextTokenizer} from '../tokenizer/tokenizer.js';
import {checkTokenizerJson} from '../tokenizer/tokenizer_file.js';
import {addMemoryHolder} from '../weights/monitor/holders.js';
import {metrics, promClient} from './metrics.js';

const {tokenizerJson, tokenizerConfig} = byteLevelTokenizer();
const TOKENIZER = new TextTokenizer({path: 't.json', json: checkTokenizerJson(tokenizerJson, 't.json'), config: tokenizerConfig});

function modelNamed(name: string) {
  const backend = new ManualBackend(TOKENIZER.vocabSize);
  return {backend, model: new LanguageModel(backend, TOKENIZER, {modelType: 'llama', maxPositionEmbeddings: 512, eosTokenIds: []}, name)};
}

async function requestOf(backend: ManualBackend) {
  while (backend.requests.length === 0) await Promise.resolve();
  return backend.requests.pop()!;
}

/** The values of a family, with their labels as 'label=value'. */
async function read(name: string, model: string, text = metrics().text()): Promise<Record<string, number>> {
  const family = parseExposition(await text, 'prometheus').get(`tensorrt_node_${name}`);
  if (family === undefined) throw new Error(`there is no ${name}`);
  const own = family.samples.filter(({labels, name: sample}) => labels.model === model && !sample.endsWith('_bucket'));
  return Object.fromEntries(
    own.map(({name: sample, labels, value}) => {
      const others = Object.entries(labels).filter(([label]) => label !== 'model');
      const part = sample.slice(family.name.length);
      return [[part, ...others.map(([label, each]) => `${label}=${each}`)].filter((each) => each !== '').join(' '), value];
    }),
  );
}

const STATS: NativeDecoderStats = {
  waiting: 1,
  slots: 8,
  slotsInUse: 3,
  pages: 100,
  pagesInUse: 20,
  pagesKept: 30,
  prefillSteps: 5,
  decodeSteps: 50,
  decodeRows: 150,
  wastedRows: 2,
  lostSteps: 0,
  suspended: false,
  weights: {
    blocks: 7,
    bytesCopied: 4096,
    copySeconds: 0.5,
    reads: 1,
    bytesRead: 512,
    computeWaitSeconds: 0.25,
    prefetchWaitSeconds: 0.125,
    hostWaitSeconds: 0.0625,
    restarts: 0,
  },
};

describe('metrics of requests', () => {
  it('have their phases, tokens and ends, by model', async () => {
    metrics();
    const {backend, model} = modelNamed('phases');
    const reply = model.generateText([1, 2, 3, 4], {maxNewTokens: 6});
    const request = await requestOf(backend);
    expect(await read('requests_under_way', 'phases')).toEqual({'': 1});
    request.listener.tokens([{token: 5}]);
    request.listener.tokens([{token: 6}, {token: 7}, {token: 8}]);
    request.listener.finished('length', {queue: 1500, prefill: 250, decode: 90, prefilledTokens: 3});
    await reply;
    expect(await read('request_queue_seconds', 'phases')).toEqual({_sum: 1.5, _count: 1});
    expect(await read('request_prefill_seconds', 'phases')).toEqual({_sum: 0.25, _count: 1});
    expect(await read('time_to_first_token_seconds', 'phases')).toMatchObject({_count: 1});
    expect(await read('time_between_tokens_seconds', 'phases')).toMatchObject({_count: 3});
    expect(await read('request_seconds', 'phases')).toMatchObject({_count: 1});
    expect(await read('requests_under_way', 'phases')).toEqual({'': 0});
    expect(await read('requests_total', 'phases')).toEqual({
      'outcome=stop': 0,
      'outcome=length': 1,
      'outcome=aborted': 0,
      'outcome=error': 0,
    });
    expect(await read('prompt_tokens_total', 'phases')).toEqual({'': 4});
    expect(await read('prompt_tokens_cached_total', 'phases')).toEqual({'': 1});
    expect(await read('completion_tokens_total', 'phases')).toEqual({'': 4});
  });

  it('tell ends apart: a stop string, a loop that was left, a signal, an error', async () => {
    metrics();
    const {backend, model} = modelNamed('ends');
    const stopped = model.generateText('the', {stop: 'X'});
    let request = await requestOf(backend);
    request.listener.tokens(Array.from(TOKENIZER.encode('aXb'), (token) => ({token})));
    expect((await stopped).finishReason).toBe('stop');

    const left = model.generate('the');
    const first = left.next();
    request = await requestOf(backend);
    request.listener.tokens([{token: TOKENIZER.encode('a')[0]!}]);
    await first;
    await left.return();
    await setImmediate();

    const controller = new AbortController();
    const aborted = model.generateText('the', {signal: controller.signal});
    await requestOf(backend);
    controller.abort();
    await expect(aborted).rejects.toMatchObject({code: 'ERR_ABORTED'});
    await setImmediate();

    const failed = model.generateText('the');
    (await requestOf(backend)).listener.failed(new TensorrtNodeError('ERR_BACKEND', 'no'));
    await expect(failed).rejects.toMatchObject({code: 'ERR_BACKEND'});
    expect(await read('requests_total', 'ends')).toEqual({
      'outcome=stop': 1,
      'outcome=length': 0,
      'outcome=aborted': 2,
      'outcome=error': 1,
    });
    // One that never ran says nothing of prefill, and one that failed has no times.
    expect(await read('request_prefill_seconds', 'ends')).toMatchObject({_count: 2});
    expect(await read('request_queue_seconds', 'ends')).toMatchObject({_count: 3});
  });

  it('see tokens as they come, however late they are taken', async () => {
    metrics();
    const {backend, model} = modelNamed('slow reader');
    const reply = model.generate('the', {maxNewTokens: 4});
    const first = reply.next();
    const {listener} = await requestOf(backend);
    for (let token = 1; token <= 4; token++) listener.tokens([{token}]);
    listener.finished('length', TIMINGS);
    // Nothing of it was taken yet.
    expect(await read('completion_tokens_total', 'slow reader')).toEqual({'': 4});
    expect(await read('time_between_tokens_seconds', 'slow reader')).toMatchObject({_count: 3});
    await first;
    await reply.return();
  });
});

describe('metrics of backends', () => {
  it('are what a scheduler has counted, summed over models of one name, while they are there', async () => {
    const backends = [1, 2].map(() => Object.assign(new ManualBackend(9), {stats: () => STATS}));
    for (const backend of backends) nameBackend('counting', backend);
    const disposed = Object.assign(new ManualBackend(9), {
      stats: () => {
        throw new TensorrtNodeError('ERR_DISPOSED', 'the model was disposed');
      },
    });
    nameBackend('counting', disposed);
    expect(await read('slots', 'counting')).toEqual({'': 16});
    expect(await read('cache_pages', 'counting')).toEqual({'state=used': 40, 'state=kept': 60, 'state=free': 100});
    expect(await read('steps_total', 'counting')).toEqual({'phase=prefill': 10, 'phase=decode': 100});
    expect(await read('weight_wait_seconds_total', 'counting')).toEqual({'waiting=step': 0.5, 'waiting=copy': 0.25, 'waiting=host': 0.125});
    expect(await read('weight_copied_bytes_total', 'counting')).toEqual({'': 8192});
  });

  it('have the histograms that schedulers keep, of models of one name together', async () => {
    metrics();
    const histogram = (bounds: number[], counts: number[], sum: number) => ({bounds, counts, sum});
    const histograms: NativeStepHistograms = {
      prefillSeconds: histogram([0.001, 0.01], [0, 1, 1], 0.03),
      decodeSeconds: histogram([0.001, 0.01], [10, 5, 0], 0.02),
      decodeRows: histogram([1, 2], [3, 12, 0], 27),
      weightsWaitSeconds: histogram([0], [17, 0], 0),
    };
    const backends = [1, 2].map(() => Object.assign(new ManualBackend(9), {stepHistograms: () => histograms}));
    for (const backend of backends) nameBackend('stepping', backend);
    expect(await read('step_seconds', 'stepping')).toEqual({
      '_sum phase=prefill': 0.06,
      '_count phase=prefill': 4,
      '_sum phase=decode': 0.04,
      '_count phase=decode': 30,
    });
    expect(await read('batch_rows', 'stepping')).toEqual({_sum: 54, _count: 30});
    expect(await read('weights_wait_seconds', 'stepping')).toEqual({_sum: 0, _count: 34});
    const family = parseExposition(await metrics().text(), 'prometheus').get('tensorrt_node_step_seconds')!;
    const buckets = family.samples.filter(({labels, name}) => labels.phase === 'decode' && name.endsWith('_bucket'));
    expect(buckets.map(({labels, value}) => [labels.le, value])).toEqual([
      ['0.001', 20],
      ['0.01', 30],
      ['+Inf', 30],
    ]);
    expect(backends).toHaveLength(2);
  });

  it('have the runs of engines, by name, from the first question on', async () => {
    metrics();
    const meter = new RunMeter('ocr', () => 2);
    const [first, second, third] = [meter.begin()!, meter.begin()!, meter.begin()!];
    meter.ended(first);
    meter.ended(second);
    expect(third).toBeGreaterThan(0);
    meter.failed();
    meter.begin();
    const text = await metrics().text();
    expect(text).toMatch(/^tensorrt_node_engine_run_seconds_count\{engine="ocr"\} 2$/m);
    expect(text).toMatch(/^tensorrt_node_engine_run_failures_total\{engine="ocr"\} 1$/m);
    expect(text).toMatch(/^tensorrt_node_engine_runs_under_way\{engine="ocr"\} 1$/m);
    expect(text).toMatch(/^tensorrt_node_engine_runs_waiting\{engine="ocr"\} 2$/m);
  });

  it('have the memory that models hold, and the moves of those that make room', async () => {
    metrics();
    const backend = {memory: () => [{what: 'weights', where: 'pinned', bytes: 77} as const]};
    addMemoryHolder('holding', backend);
    expect(await read('memory_bytes', 'holding')).toEqual({'what=weights where=pinned': 77});
    tellModelEvent({kind: 'suspend', model: 'holding', seconds: 0.5});
    tellModelEvent({kind: 'resume', model: 'holding', seconds: 0.25, error: new Error('no')});
    tellModelEvent({kind: 'build', model: 'holding', seconds: 9});
    expect(await read('model_move_seconds', 'holding')).toEqual({
      '_sum move=suspend': 0.5,
      '_count move=suspend': 1,
      '_sum move=resume': 0,
      '_count move=resume': 0,
    });
    expect(await read('model_move_failures_total', 'holding')).toEqual({'move=suspend': 0, 'move=resume': 1});
    expect(backend.memory()).toHaveLength(1);
  });
});

describe('the exposition', () => {
  it('is OpenMetrics where that is asked for, again and again, and leaves the other as it is', async () => {
    const open = metrics({format: 'openmetrics'});
    expect(open.contentType).toMatch(/^application\/openmetrics-text/);
    for (let round = 0; round < 2; round++) {
      expect(parseExposition(await open.text(), 'openmetrics').get('tensorrt_node_requests')).toMatchObject({type: 'counter'});
      expect(parseExposition(await metrics().text(), 'prometheus').get('tensorrt_node_requests_total')).toMatchObject({type: 'counter'});
    }
    expect(metrics().contentType).toMatch(/^text\/plain/);
  });

  it("has names with every character, in a registry of the service's own, registered once", async () => {
    const registry = new Registry();
    metrics({registry});
    const {contentType, text} = metrics({registry});
    const name = 'a "quoted" \\ name\nof two lines';
    tellModelEvent({kind: 'load', model: name, seconds: 1});
    expect(contentType).toBe(registry.contentType);
    const own = await registry.metrics();
    expect(await read('model_move_seconds', name, text())).toMatchObject({'_count move=load': 1});
    expect(parseExposition(own, 'prometheus').size).toBe(parseExposition(await metrics().text(), 'prometheus').size);
    expect((await registry.getMetricsAsJSON()).every(({aggregator}) => aggregator === 'sum')).toBe(true);
    registry.resetMetrics();
  });

  it.each<[string, () => unknown, string]>([
    ['a format that there is not', () => metrics({format: 'json' as never}), 'format'],
    ['a format beside a registry', () => metrics({format: 'prometheus', registry: new Registry()}), 'format'],
    ['a registry that is none', () => metrics({registry: {} as never}), 'registry'],
    ['a monitor that is none', () => metrics({monitor: {} as never}), 'monitor'],
    ['an unknown option', () => metrics({prefix: 'x'} as never), 'options.prefix'],
  ])('refuses %s', (_, call, option) => {
    expect(call).toThrow(expect.objectContaining({code: 'ERR_OPTION', option}));
  });

  it('says what to install where prom-client is not', () => {
    const missing = () => {
      throw new Error("Cannot find module 'prom-client'");
    };
    expect(() => promClient(missing)).toThrow(expect.objectContaining({code: 'ERR_NOT_FOUND', hint: 'npm install prom-client'}));
  });
});
