import {setImmediate} from 'node:timers/promises';

import {describe, expect, it} from 'vitest';

import {GREEDY} from '../../../test/support/greedy.js';
import type {BackendRequest} from '../backend.js';
import {KvCache, KvPool} from './kv_cache.js';
import {type Decoder, Scheduler} from './scheduler.js';
import type {SequenceCache} from './sequence_cache.js';

const VOCAB = 32;
/** Answers every token with the next number; `runs` are the tokens of each run and how many the cache held before. */
class CountingDecoder implements Decoder {
  readonly runs: {tokens: number[]; held: number}[] = [];
  readonly caches: KvCache[] = [];
  failOn: number | undefined;
  private readonly pool = new KvPool({layerCount: 1, kvHeadCount: 1, headDim: 1, type: 'float32'}, 64, 4);

  createCache(): KvCache {
    const cache = new KvCache(this.pool);
    this.caches.push(cache);
    return cache;
  }

  async run(tokens: Uint32Array, cache: SequenceCache): Promise<Float32Array> {
    this.runs.push({tokens: [...tokens], held: cache.length});
    cache.bind(tokens.length);
    await setImmediate();
    if (tokens.includes(this.failOn!)) throw new Error('planted');
    cache.commit(tokens, undefined);
    const logits = new Float32Array(VOCAB);
    logits[(tokens.at(-1)! + 1) % VOCAB] = 1;
    return logits;
  }
}

function setup({maxBatch = 4, maxContext = 64, prefillChunk = 4} = {}) {
  const decoder = new CountingDecoder();
  const log: string[] = [];
  const replies = new Map<number, number[]>();
  const ends = new Map<number, string>();
  const scheduler = new Scheduler(
    decoder,
    {maxBatch, maxContext, prefillChunk},
    {
      tokens: (id, batch) => {
        log.push(`${id}:${batch.map(({token}) => token)}`);
        replies.set(id, [...(replies.get(id) ?? []), ...batch.map(({token}) => token)]);
      },
      finished: (id, reason, {prefilledTokens}) => void ends.set(id, `${reason} after ${prefilledTokens}`),
      failed: (id, error) => void ends.set(id, `failed: ${(error as Error).message}`),
    },
  );
  const submit = (id: number, tokens: number[], rest: Partial<BackendRequest> = {}) =>
    scheduler.submit(id, {tokens: Uint32Array.from(tokens), maxNewTokens: 4, stopTokens: new Set(), sampling: GREEDY, ...rest});
  const until = async (condition: () => boolean) => {
    for (let turn = 0; turn < 1000 && !condition(); turn++) await setImmediate();
    expect(condition()).toBe(true);
  };
  const done = (...ids: number[]) => until(() => ids.every((id) => ends.has(id)));
  return {decoder, scheduler, submit, until, done, log, replies, ends};
}

describe('Scheduler', () => {
  it('runs a prompt in chunks, then token by token, and leaves the last token unrun', async () => {
    const {decoder, submit, done, replies, ends} = setup();
    submit(1, [1, 2, 3, 4, 5, 6]);
    await done(1);
    expect(replies.get(1)).toEqual([7, 8, 9, 10]);
    expect(ends.get(1)).toBe('length after 6');
    expect(decoder.runs.map(({tokens}) => tokens)).toEqual([[1, 2, 3, 4], [5, 6], [7], [8], [9]]);
  });

  it('takes turns between requests', async () => {
    const {submit, done, log} = setup();
    submit(1, [1], {maxNewTokens: 3});
    submit(2, [11], {maxNewTokens: 2});
    await done(1, 2);
    expect(log).toEqual(['1:2', '1:3', '2:12', '1:4', '2:13']);
  });

  it('a long prompt does not hold up the others', async () => {
    const {submit, done, log} = setup({prefillChunk: 2});
    submit(1, [1], {maxNewTokens: 4});
    submit(2, [11, 12, 13, 14, 15, 16], {maxNewTokens: 1});
    await done(1, 2);
    // Its three chunks take three turns; the other request gets a token in each.
    expect(log).toEqual(['1:2', '1:3', '1:4', '1:5', '2:17']);
  });

  it('runs at most maxBatch at once; the rest wait in order', async () => {
    const {submit, done, log} = setup({maxBatch: 1});
    submit(1, [1], {maxNewTokens: 2});
    submit(2, [11], {maxNewTokens: 2});
    await done(1, 2);
    expect(log).toEqual(['1:2', '1:3', '2:12', '2:13']);
  });

  it('ends at a stop token, which is delivered', async () => {
    const {submit, done, replies, ends} = setup();
    submit(1, [1], {stopTokens: new Set([3])});
    await done(1);
    expect(replies.get(1)).toEqual([2, 3]);
    expect(ends.get(1)).toBe('stop after 1');
  });

  it('ends when the context is full, and a full prompt still gets one token', async () => {
    const {submit, done, replies, ends} = setup({maxContext: 6});
    submit(1, [1, 2, 3, 4], {maxNewTokens: 100});
    submit(2, [1, 2, 3, 4, 5, 6], {maxNewTokens: 100});
    await done(1, 2);
    expect(replies.get(1)).toEqual([5, 6, 7]);
    expect(replies.get(2)).toEqual([7]);
    expect(ends.get(2)).toBe('length after 6');
  });

  it('aborts waiting and running requests, and nothing comes after the end', async () => {
    const {scheduler, submit, until, done, replies, ends} = setup({maxBatch: 1});
    submit(1, [1], {maxNewTokens: 50});
    submit(2, [11]);
    await until(() => (replies.get(1)?.length ?? 0) >= 2);
    scheduler.abort(2);
    scheduler.abort(1);
    scheduler.abort(99);
    await done(1, 2);
    const {length} = replies.get(1)!;
    for (let turn = 0; turn < 5; turn++) await setImmediate();
    expect(replies.get(1)!.length).toBe(length);
    expect(ends.get(1)).toBe('aborted after 1');
    expect(replies.has(2)).toBe(false);
  });

  it('a failure ends its own request alone', async () => {
    const {decoder, submit, done, replies, ends} = setup();
    decoder.failOn = 12;
    submit(1, [1]);
    submit(2, [11]);
    await done(1, 2);
    expect(ends.get(2)).toBe('failed: planted');
    expect(replies.get(1)).toEqual([2, 3, 4, 5]);
  });

  it('runs only what a sequence does not hold yet', async () => {
    const {decoder, scheduler, submit, done, ends} = setup();
    scheduler.createSequence(100);
    submit(1, [1, 2, 3], {sequence: 100, maxNewTokens: 2});
    await done(1);
    submit(2, [1, 2, 3, 4, 5, 20], {sequence: 100, maxNewTokens: 1});
    await done(2);
    expect(decoder.runs.at(-1)).toEqual({tokens: [5, 20], held: 4});
    expect(ends.get(2)).toBe('length after 2');
  });

  it('makes requests on one sequence wait for each other', async () => {
    const {scheduler, submit, done, log} = setup();
    scheduler.createSequence(100);
    submit(1, [1], {sequence: 100, maxNewTokens: 2});
    submit(2, [1, 2, 3, 9], {sequence: 100, maxNewTokens: 1});
    submit(3, [20], {maxNewTokens: 1});
    await done(1, 2, 3);
    expect(log).toEqual(['1:2', '1:3', '3:21', '2:10']);
  });

  it('forks a sequence: both hold the past', async () => {
    const {decoder, scheduler, submit, done} = setup();
    scheduler.createSequence(100);
    submit(1, [1, 2, 3], {sequence: 100, maxNewTokens: 1});
    await done(1);
    scheduler.forkSequence(100, 101);
    submit(2, [1, 2, 3, 8], {sequence: 101, maxNewTokens: 1});
    submit(3, [1, 2, 3, 9], {sequence: 100, maxNewTokens: 1});
    await done(2, 3);
    expect(decoder.runs.slice(-2)).toEqual([
      {tokens: [8], held: 3},
      {tokens: [9], held: 3},
    ]);
  });

  it('disposing a sequence aborts the request that uses it and fails those that wait for it', async () => {
    const {decoder, scheduler, submit, until, done, replies, ends} = setup();
    scheduler.createSequence(100);
    submit(1, [1], {sequence: 100, maxNewTokens: 50});
    submit(2, [1], {sequence: 100});
    await until(() => replies.has(1));
    scheduler.disposeSequence(100);
    scheduler.disposeSequence(100);
    await done(1, 2);
    expect(ends.get(1)).toBe('aborted after 1');
    expect(ends.get(2)).toContain('disposed');
    expect(decoder.caches[0]!.length).toBe(0);
  });

  it('ends those that wait at once, when aborted and when their sequence is disposed, though no place is free', async () => {
    const {scheduler, submit, until, replies, ends} = setup({maxBatch: 1});
    scheduler.createSequence(100);
    submit(1, [1], {maxNewTokens: 50});
    submit(2, [11]);
    submit(3, [11], {sequence: 100});
    await until(() => replies.has(1));
    scheduler.abort(2);
    scheduler.disposeSequence(100);
    expect(ends.get(2)).toBe('aborted after 0');
    expect(ends.get(3)).toContain('disposed');
    expect(ends.has(1)).toBe(false);
    scheduler.abort(1);
  });

  it('a fork for which there is no memory begins empty', async () => {
    const {decoder, scheduler, submit, done, ends, replies} = setup();
    scheduler.createSequence(100);
    submit(1, [1, 2, 3], {sequence: 100, maxNewTokens: 1});
    await done(1);
    decoder.caches[0]!.fork = () => {
      throw new RangeError('Array buffer allocation failed');
    };
    scheduler.forkSequence(100, 101);
    submit(2, [1, 2, 3, 8], {sequence: 101, maxNewTokens: 1});
    await done(2);
    expect(ends.get(2)).toBe('length after 4');
    expect(replies.get(2)).toEqual([9]);
  });

  it('frees the caches of requests that have no sequence', async () => {
    const {decoder, submit, done} = setup();
    submit(1, [1]);
    await done(1);
    expect(decoder.caches.map(({length}) => length)).toEqual([0]);
  });
});
