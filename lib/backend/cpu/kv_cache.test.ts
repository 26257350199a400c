import {describe, expect, it} from 'vitest';

import {KvCache, KvPool} from './kv_cache.js';
import type {KvLayout} from './sequence_cache.js';

const LAYOUT: KvLayout = {layerCount: 2, kvHeadCount: 3, headDim: 4, type: 'float32'};

function pool({maxContext = 4096, maxFreePositions = 1024} = {}): KvPool {
  return new KvPool(LAYOUT, maxContext, maxFreePositions);
}

/** Writes what a run would: a number that tells tensor, head, position and element. */
function write(cache: KvCache, tokens: number[]): void {
  const start = cache.length;
  for (const [tensor, {data, dims}] of cache.bind(tokens.length).past.entries()) {
    const capacity = dims[2]!;
    for (let head = 0; head < 3; head++) {
      for (let position = start; position < start + tokens.length; position++) {
        for (let element = 0; element < 4; element++) {
          (data as Float32Array)[(head * capacity + position) * 4 + element] = value(tensor, head, position, element);
        }
      }
    }
  }
  cache.commit(Uint32Array.from(tokens), undefined);
}

function value(tensor: number, head: number, position: number, element: number): number {
  return tensor * 1e6 + head * 1e5 + position * 10 + element;
}

function expectWritten(cache: KvCache, length: number): void {
  for (const [tensor, {data, dims}] of cache.bind(0).past.entries()) {
    const capacity = dims[2]!;
    for (const [head, position, element] of [
      [0, 0, 0],
      [2, 0, 3],
      [1, length - 1, 2],
      [2, length - 1, 3],
    ] as const) {
      expect((data as Float32Array)[(head * capacity + position) * 4 + element]).toBe(value(tensor, head, position, element));
    }
  }
}

const count = (length: number) => Array.from({length}, (_, token) => token);

describe('KvCache', () => {
  it('has a key and a value tensor for each layer, [1, heads, capacity, headDim]', () => {
    const cache = new KvCache(pool());
    const {past, present} = cache.bind(1);
    expect(present).toBe(past);
    expect(past.map(({dims, type}) => [type, ...dims])).toEqual(Array(4).fill(['float32', 1, 3, 256, 4]));
  });

  it('keeps what it holds when it grows', () => {
    const cache = new KvCache(pool());
    write(cache, count(250));
    write(cache, count(800));
    expect(cache.bind(0).past[0]!.dims[2]).toBe(2048);
    expect(cache.length).toBe(1050);
    expectWritten(cache, 1050);
  });

  it('never grows beyond the context', () => {
    const cache = new KvCache(pool({maxContext: 300}));
    write(cache, count(300));
    expect(cache.bind(0).past[0]!.dims[2]).toBe(300);
  });

  it.each([
    ['nothing shared', [9, 9, 9], 0],
    ['a shared beginning', [0, 1, 2, 9, 9], 3],
    ['all of it and more', [0, 1, 2, 3, 4, 5], 5],
    ['all of it: the last token runs again, for its logits', [0, 1, 2, 3, 4], 4],
    ['less than it holds', [0, 1, 2], 2],
  ])('rewinds to where the tokens part: %s', (_, tokens, left) => {
    const cache = new KvCache(pool());
    write(cache, [0, 1, 2, 3, 4]);
    expect(cache.rewindTo(Uint32Array.from(tokens))).toBe(left);
    expect(cache.length).toBe(left);
  });

  it('forks to a copy that goes on apart', () => {
    const cache = new KvCache(pool());
    write(cache, count(300));
    const copy = cache.fork();
    (cache.bind(0).past[0]!.data as Float32Array).fill(-1);
    cache.commit(Uint32Array.of(7), undefined);
    expect(copy.length).toBe(300);
    expectWritten(copy, 300);
  });

  it('lends freed buffers to the next sequence and keeps no more than allowed', () => {
    const shared = pool({maxFreePositions: 256});
    const [one, two] = [new KvCache(shared), new KvCache(shared)];
    one.bind(1);
    two.bind(1);
    const first = one.bind(0).past[0]!.data;
    one.dispose();
    two.dispose();
    const [three, four] = [new KvCache(shared), new KvCache(shared)];
    three.bind(1);
    four.bind(1);
    expect(three.bind(0).past[0]!.data).toBe(first);
    expect(four.bind(0).past[0]!.data).not.toBe(first);
  });

  it('lets go of buffers too large to keep, and has room for small ones then', () => {
    const shared = pool({maxFreePositions: 600});
    const [large, small] = [new KvCache(shared), new KvCache(shared)];
    large.bind(1000);
    small.bind(1);
    const kept = small.bind(0).past[0]!.data;
    const dropped = large.bind(0).past[0]!.data;
    large.dispose();
    small.dispose();
    large.bind(1000);
    small.bind(1);
    expect(large.bind(0).past[0]!.data).not.toBe(dropped);
    expect(small.bind(0).past[0]!.data).toBe(kept);
  });

  it('gives its buffers back once', () => {
    const shared = pool();
    const cache = new KvCache(shared);
    cache.bind(1);
    cache.dispose();
    cache.dispose();
    const [one, two] = [new KvCache(shared), new KvCache(shared)];
    one.bind(1);
    two.bind(1);
    expect(one.bind(0).past[0]!.data).not.toBe(two.bind(0).past[0]!.data);
  });
});
