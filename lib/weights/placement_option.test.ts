import {describe, expect, it} from 'vitest';

import {amount, checkPlacement} from './placement_option.js';

describe('checkPlacement', () => {
  it('knows auto, which is also what nothing is', () => {
    expect(checkPlacement('auto')).toEqual({});
    expect(checkPlacement(undefined)).toEqual({});
  });

  it('takes limits of either, and a function', () => {
    const {gpu, ram} = checkPlacement({gpu: '4GiB', ram: 1000}) as {gpu: (free: number) => number; ram: (free: number) => number};
    expect([gpu(9), ram(9)]).toEqual([4 * 2 ** 30, 1000]);
    expect(checkPlacement({})).toEqual({});
    const choose = () => 'gpu';
    expect(checkPlacement(choose)).toEqual({choose});
  });

  it.each([
    ['fast', "placement must be 'auto', {gpu, ram} with amounts of memory, or a function, got 'fast'"],
    [null, 'placement must be'],
    [['4GiB'], 'placement must be'],
    [{vram: 5}, 'placement.vram must be one of gpu, ram, got 5'],
    [{gpu: 'much'}, "placement.gpu must be bytes, or an amount such as '40GiB'"],
    [{ram: -1}, 'placement.ram must be bytes'],
    [{gpu: '120%'}, "placement.gpu must be at most 100%, got '120%'"],
  ])('refuses %o and says why', (value, message) => {
    expect(() => checkPlacement(value)).toThrow(message);
  });
});

it.each([
  ['80%', 800],
  ['12.5 %', 125],
  ['0%', 0],
  ['1kB', 1000],
  [7, 7],
])('%s of 1000 free bytes is %d', (value, bytes) => {
  expect(amount('gpu', value)(1000)).toBe(bytes);
});
