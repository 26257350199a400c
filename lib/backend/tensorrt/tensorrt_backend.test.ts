import {describe, expect, it} from 'vitest';
import {deferred} from '../../../test/support/deferred.js';

import {GREEDY} from '../../../test/support/greedy.js';
import type {
  NativeDecoder,
  NativeDecoderListener,
  NativeDecoderMemory,
  NativeDecoderSampling,
  NativeDecoderStats,
  NativeDecoderTokens,
  NativeStepHistograms,
  NativeStepLayers,
  NativeStepLayersRequest,
  NativeSuspendOptions,
} from '../../native/decoder_addon.js';
import type {BackendListener, BackendRequest, TokenEvent} from '../backend.js';
import {TensorrtBackend} from './tensorrt_backend.js';

const TIMINGS = {queue: 1, prefill: 2, decode: 3, prefilledTokens: 4};
const nativeError = (code: string, message: string) => Object.assign(new Error(message), {code});

/** Notes what it is asked; the test answers. */
class FakeDecoder implements NativeDecoder {
  readonly calls: unknown[][] = [];
  readonly sampling: NativeDecoderSampling[] = [];
  refusal: Error | undefined;

  constructor(readonly listener: NativeDecoderListener) {}

  submit(id: number, tokens: Int32Array, maxNewTokens: number, sampling: NativeDecoderSampling, sequence?: number): void {
    if (this.refusal !== undefined) throw this.refusal;
    this.calls.push(['submit', id, [...tokens], maxNewTokens, sequence]);
    this.sampling.push(sampling);
  }
  abort(id: number): void {
    this.calls.push(['abort', id]);
  }
  consumed(id: number, tokens: number): void {
    this.calls.push(['consumed', id, tokens]);
  }
  createSequence(id: number): void {
    this.calls.push(['createSequence', id]);
  }
  forkSequence(id: number, copy: number): void {
    this.calls.push(['forkSequence', id, copy]);
  }
  disposeSequence(id: number): void {
    this.calls.push(['disposeSequence', id]);
  }
  async score(tokens: Int32Array): Promise<Float32Array> {
    if (this.refusal !== undefined) throw this.refusal;
    return Float32Array.from(tokens);
  }
  /** Ends when it is cancelled, or where one run is asked for. */
  profileLayers(request: NativeStepLayersRequest) {
    if (this.refusal !== undefined) throw this.refusal;
    this.calls.push(['profileLayers', request]);
    const {promise, resolve, reject} = deferred<NativeStepLayers>();
    const milliseconds = Float32Array.of(0.25, 0.25);
    const information = '{"Layers": [{"Name": "gemm", "Inputs": [{"Name": "hidden"}, {"Name": "qkv"}]}]}';
    const parts = [{part: 1, count: 2, layers: [{name: 'gemm', milliseconds}], information}];
    if (request.runs === 1) resolve({rows: 4, parts, steps: Float32Array.of(0.5)});
    return {result: promise, cancel: () => reject(nativeError('ERR_ABORTED', 'cancelled'))};
  }
  memory(): NativeDecoderMemory {
    return {
      weightsBytes: 1,
      placesBytes: 10,
      stagingBytes: 100,
      cacheBytes: 2,
      scratchBytes: 3,
      pinnedWeightsBytes: 4,
      pinnedStagingBytes: 40,
      pinnedCacheBytes: 5,
      diskBytes: 6,
    };
  }
  stats(): NativeDecoderStats {
    throw nativeError('ERR_DISPOSED', 'gone');
  }
  histograms(): NativeStepHistograms {
    throw nativeError('ERR_DISPOSED', 'gone');
  }
  async suspend(options: NativeSuspendOptions): Promise<void> {
    if (this.refusal !== undefined) throw this.refusal;
    this.calls.push(['suspend', options]);
  }
  async resume(): Promise<void> {
    if (this.refusal !== undefined) throw this.refusal;
    this.calls.push(['resume']);
  }
  async dispose(): Promise<void> {
    this.calls.push(['dispose']);
  }
}

class Heard implements BackendListener {
  readonly events: unknown[] = [];
  onTokens: (() => void) | undefined;
  tokens(batch: readonly TokenEvent[]): void {
    this.events.push(batch);
    this.onTokens?.();
  }
  finished(reason: string, timings: unknown): void {
    this.events.push([reason, timings]);
  }
  failed(error: Error): void {
    this.events.push(error);
  }
}

async function open(): Promise<{backend: TensorrtBackend; decoder: FakeDecoder; tell: (...batches: NativeDecoderTokens[]) => void}> {
  let decoder!: FakeDecoder;
  const backend = await TensorrtBackend.open(
    async (listener) => {
      decoder = new FakeDecoder(listener);
      return decoder;
    },
    {
      limits: {maxContext: 64, maxBatch: 2},
      shape: {type: 'float16', vocabularySize: 80, kvCacheType: 'auto'},
      where: 'TensorRT 10.6.0 on a GPU',
      parts: [
        {name: 'prologue', weights: ['table']},
        {name: 'block', weights: ['qkv', 'down']},
      ],
    },
  );
  return {backend, decoder, tell: (...batches) => decoder.listener.tokens(batches)};
}

const requestOf = (changes: Partial<BackendRequest> = {}): BackendRequest => ({
  tokens: Uint32Array.of(1, 2),
  maxNewTokens: 5,
  stopTokens: new Set([0]),
  sampling: GREEDY,
  ...changes,
});
const tokens = (request: number, ...values: number[]): NativeDecoderTokens => ({request, tokens: Int32Array.from(values)});

describe('a request', () => {
  it('is told of its tokens and of its end, and tells what was consumed', async () => {
    const {backend, decoder, tell} = await open();
    const [one, two] = [new Heard(), new Heard()];
    const sequence = backend.createSequence();
    const {consumed} = backend.submit(requestOf({sequence}), one);
    backend.submit(requestOf(), two);
    const [first, second] = decoder.calls.slice(1).map((call) => call[1] as number) as [number, number];
    expect(decoder.calls).toEqual([
      ['createSequence', sequence],
      ['submit', first, [1, 2], 5, sequence],
      ['submit', second, [1, 2], 5, undefined],
    ]);
    expect(new Set([sequence, first, second]).size).toBe(3);
    tell(tokens(first, 7, 8), tokens(second, 9));
    consumed(2);
    tell({...tokens(first, 0), ending: {reason: 'stop', timings: TIMINGS}});
    expect(one.events).toEqual([[{token: 7}, {token: 8}], [{token: 0}], ['stop', {...TIMINGS, request: first}]]);
    expect(two.events).toEqual([[{token: 9}]]);
    consumed(1);
    expect(decoder.calls.slice(3)).toEqual([['consumed', first, 2]]);
  });

  it('says how tokens are chosen', async () => {
    const {backend, decoder} = await open();
    const logitBias = new Map([
      [3, -Infinity],
      [4, 0.5],
    ]);
    backend.submit(requestOf({sampling: {...GREEDY, seed: 0xffff_ffff, logitBias}, logprobs: 0}), new Heard());
    backend.submit(requestOf(), new Heard());
    expect(decoder.sampling).toEqual([
      {
        temperature: 0,
        topK: 0,
        topP: 1,
        minP: 0,
        repetitionPenalty: 1,
        presencePenalty: 0,
        frequencyPenalty: 0,
        seed: 0xffff_ffff,
        biasTokens: Int32Array.of(3, 4),
        biasValues: Float32Array.of(-Infinity, 0.5),
        stopTokens: Int32Array.of(0),
        logprobs: 0,
      },
      expect.objectContaining({logprobs: -1, biasTokens: new Int32Array()}),
    ]);
  });

  it('gets the logprobs it asked for, and none it did not', async () => {
    const {backend, tell} = await open();
    const [asked, none, plain] = [new Heard(), new Heard(), new Heard()];
    backend.submit(requestOf({logprobs: 2}), asked);
    backend.submit(requestOf({logprobs: 0}), none);
    backend.submit(requestOf(), plain);
    const logprobs = Float32Array.of(-0.5, -1);
    const all = {logprobs, topTokens: Int32Array.of(5, 6, 7, 8), topLogprobs: Float32Array.of(-0.5, -2, -1, -3)};
    tell({...tokens(1, 5, 7), ...all}, {...tokens(2, 5, 7), logprobs}, {...tokens(3, 5, 7), logprobs});
    expect(asked.events[0]).toEqual([
      {
        token: 5,
        logprob: -0.5,
        top: [
          {token: 5, logprob: -0.5},
          {token: 6, logprob: -2},
        ],
      },
      {
        token: 7,
        logprob: -1,
        top: [
          {token: 7, logprob: -1},
          {token: 8, logprob: -3},
        ],
      },
    ]);
    expect(none.events[0]).toEqual([
      {token: 5, logprob: -0.5, top: []},
      {token: 7, logprob: -1, top: []},
    ]);
    expect(plain.events[0]).toEqual([{token: 5}, {token: 7}]);
  });

  it('for more logprobs than there are fails', async () => {
    const {backend, decoder} = await open();
    const heard = new Heard();
    backend.submit(requestOf({logprobs: 21}), heard);
    await Promise.resolve();
    expect(heard.events).toEqual([expect.objectContaining({code: 'ERR_OPTION', option: 'logprobs'})]);
    expect(decoder.calls).toEqual([]);
  });

  it('that is refused fails after submit() has returned', async () => {
    const {backend, decoder} = await open();
    decoder.refusal = nativeError('ERR_BUSY', '1024 requests wait already');
    const heard = new Heard();
    const {abort} = backend.submit(requestOf(), heard);
    expect(heard.events).toEqual([]);
    await Promise.resolve();
    expect(heard.events).toEqual([expect.objectContaining({name: 'TensorrtNodeError', code: 'ERR_BUSY'})]);
    abort();
    expect(decoder.calls).toEqual([]);
  });

  it.each([
    ['ERR_OUT_OF_MEMORY', 'CudaError', 'ERR_OUT_OF_MEMORY'],
    ['ERR_BACKEND', 'TensorrtNodeError', 'ERR_BACKEND'],
    ['of no kind', 'TensorrtNodeError', 'ERR_BACKEND'],
  ])('that fails with %s gets a %s', async (code, name, expected) => {
    const {backend, tell} = await open();
    const heard = new Heard();
    backend.submit(requestOf(), heard);
    tell({...tokens(1), ending: {error: nativeError(code, 'why')}});
    expect(heard.events).toEqual([expect.objectContaining({name, code: expected, message: 'why'})]);
  });

  it('is aborted while it runs, and not after', async () => {
    const {backend, decoder, tell} = await open();
    const heard = new Heard();
    const {abort} = backend.submit(requestOf(), heard);
    abort();
    tell({...tokens(1), ending: {reason: 'aborted', timings: TIMINGS}});
    abort();
    tell(tokens(1, 5));
    expect(heard.events).toEqual([['aborted', {...TIMINGS, request: 1}]]);
    expect(decoder.calls.slice(1)).toEqual([['abort', 1]]);
  });
});

it('passes sequences on', async () => {
  const {backend, decoder} = await open();
  const sequence = backend.createSequence();
  const copy = backend.forkSequence(sequence);
  backend.disposeSequence(sequence);
  expect(decoder.calls).toEqual([
    ['createSequence', sequence],
    ['forkSequence', sequence, copy],
    ['disposeSequence', sequence],
  ]);
});

it('scores, with errors of this library', async () => {
  const {backend, decoder} = await open();
  expect(await backend.score(Uint32Array.of(3, 4))).toEqual(Float32Array.of(3, 4));
  decoder.refusal = nativeError('ERR_CUDA', 'gone');
  await expect(backend.score(Uint32Array.of(3))).rejects.toMatchObject({name: 'CudaError'});
});

it('says what runs where', async () => {
  const {backend} = await open();
  expect(backend).toMatchObject({
    name: 'tensorrt',
    description: 'TensorRT 10.6.0 on a GPU, float16',
    vocabSize: 80,
    limits: {maxContext: 64, maxBatch: 2},
  });
});

describe('disposal', () => {
  const disposed = expect.objectContaining({code: 'ERR_DISPOSED'});

  it('fails all requests, once, and asks nothing more of the decoder', async () => {
    const {backend, decoder, tell} = await open();
    const [running, later] = [new Heard(), new Heard()];
    const {abort} = backend.submit(requestOf(), running);
    await Promise.all([backend[Symbol.asyncDispose](), backend[Symbol.asyncDispose]()]);
    tell({...tokens(1, 4), ending: {error: nativeError('ERR_DISPOSED', 'the model was disposed')}});
    abort();
    backend.submit(requestOf(), later);
    backend.disposeSequence(backend.forkSequence(backend.createSequence()));
    await expect(backend.score(Uint32Array.of(1))).rejects.toMatchObject({code: 'ERR_DISPOSED'});
    expect(running.events).toEqual([disposed]);
    expect(later.events).toEqual([disposed]);
    expect(decoder.calls.slice(1)).toEqual([['dispose']]);
  });

  it('by a listener ends what it is being told', async () => {
    const {backend, decoder, tell} = await open();
    const heard = new Heard();
    heard.onTokens = () => void backend[Symbol.asyncDispose]();
    backend.submit(requestOf(), heard);
    tell({...tokens(1, 4), ending: {reason: 'length', timings: TIMINGS}}, tokens(1, 5));
    expect(heard.events).toEqual([[{token: 4}], disposed]);
    expect(decoder.calls.slice(1)).toEqual([['dispose']]);
  });
});

describe('suspended', () => {
  const failureOf = async (backend: TensorrtBackend) => {
    const heard = new Heard();
    backend.submit(requestOf(), heard);
    await Promise.resolve();
    return heard.events[0];
  };

  it('takes nothing until it is resumed', async () => {
    const {backend, decoder} = await open();
    await backend.suspend();
    expect(decoder.calls).toEqual([['suspend', {finishRunning: true, keepRam: true}]]);
    expect(await failureOf(backend)).toMatchObject({code: 'ERR_SUSPENDED'});
    await expect(backend.score(Uint32Array.of(1))).rejects.toMatchObject({code: 'ERR_SUSPENDED'});
    await backend.resume();
    backend.submit(requestOf(), new Heard());
    expect(decoder.calls.map(([call]) => call)).toEqual(['suspend', 'resume', 'submit']);
  });

  it('is refused while something runs', async () => {
    const {backend, decoder, tell} = await open();
    backend.submit(requestOf(), new Heard());
    await expect(backend.suspend()).rejects.toMatchObject({code: 'ERR_BUSY'});
    tell({request: 1, tokens: Int32Array.of(), ending: {reason: 'length', timings: TIMINGS}});
    const scoring = backend.score(Uint32Array.of(1));
    await expect(backend.suspend()).rejects.toMatchObject({code: 'ERR_BUSY'});
    await scoring;
    expect(decoder.calls.map(([call]) => call)).toEqual(['submit']);
    await backend.suspend();
  });

  it('is what it was where that fails', async () => {
    const {backend, decoder} = await open();
    decoder.refusal = nativeError('ERR_OUT_OF_MEMORY', 'cuMemHostAlloc failed');
    await expect(backend.suspend()).rejects.toMatchObject({name: 'CudaError', code: 'ERR_OUT_OF_MEMORY'});
    decoder.refusal = undefined;
    backend.submit(requestOf(), new Heard());
    expect(decoder.calls.map(([call]) => call)).toEqual(['submit']);
    const other = await open();
    await other.backend.suspend();
    other.decoder.refusal = nativeError('ERR_OUT_OF_MEMORY', 'cuMemCreate failed');
    await expect(other.backend.resume()).rejects.toMatchObject({name: 'CudaError', code: 'ERR_OUT_OF_MEMORY'});
    expect(await failureOf(other.backend)).toMatchObject({code: 'ERR_SUSPENDED'});
  });
});

it('tells what it holds where', async () => {
  const {backend} = await open();
  expect(backend.memory()).toEqual([
    {what: 'weights', where: 'gpu', bytes: 111},
    {what: 'weights', where: 'pinned', bytes: 44},
    {what: 'cache', where: 'gpu', bytes: 2},
    {what: 'cache', where: 'pinned', bytes: 5},
    {what: 'scratch', where: 'gpu', bytes: 3},
  ]);
  expect(() => backend.stats()).toThrow(expect.objectContaining({code: 'ERR_DISPOSED'}));
  await backend[Symbol.asyncDispose]();
  expect(backend.memory()).toEqual([]);
});

describe('timing layers', () => {
  const step = {step: 'decode', rows: 3, context: 5, runs: 1, warmUp: 0} as const;

  it('gives times by the parts, of steps as they are', async () => {
    const {backend, decoder} = await open();
    expect(await backend.profileLayers(step)).toEqual({
      step: 'decode',
      rows: 4,
      context: 5,
      layers: [
        {
          name: 'gemm',
          nodes: ['gemm'],
          part: 'block',
          count: 2,
          weights: ['qkv'],
          medianMicroseconds: 250,
          totalMicroseconds: 500,
          share: 1,
        },
      ],
      totalMicroseconds: 500,
      runs: 1,
      runMicroseconds: 500,
    });
    expect(decoder.calls).toEqual([['profileLayers', step]]);
  });

  it('ends with an abort, and with what the decoder refuses', async () => {
    const {backend, decoder} = await open();
    const controller = new AbortController();
    const aborted = backend.profileLayers({...step, runs: 2}, controller.signal);
    controller.abort('why');
    await expect(aborted).rejects.toMatchObject({code: 'ERR_ABORTED', cause: 'why'});
    decoder.refusal = nativeError('ERR_BUSY', 'requests are under way');
    await expect(backend.profileLayers(step)).rejects.toMatchObject({name: 'TensorrtNodeError', code: 'ERR_BUSY'});
  });
});
