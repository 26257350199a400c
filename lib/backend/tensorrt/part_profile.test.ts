import {beforeAll, describe, expect, it} from 'vitest';

import {tinyLoweredDecoder} from '../../../test/support/tiny_lowered_decoder.js';
import type {LoweredDecoder} from '../../decoder/lowered_decoder.js';
import {partProfiles} from './part_profile.js';

let lowered: LoweredDecoder;
beforeAll(async () => {
  lowered = await tinyLoweredDecoder();
});

const block = () => lowered.models.get('block')!;

describe('the profiles of a part', () => {
  it('has each input without a fixed shape, and no weight', () => {
    const inputs = block().decode.graph.input.map(({name}) => name);
    expect(inputs).toContain('cache');
    expect(Object.keys(partProfiles(block().decode, 'block', 'decode', {slots: 8, pagesPerSlot: 1})[0]!).sort()).toEqual(
      ['hidden', 'pages', 'positions', 'run_slots', 'run_starts'].sort(),
    );
  });

  it('of decode steps has a run for each row', () => {
    expect(partProfiles(block().decode, 'block', 'decode', {slots: 64, pagesPerSlot: 128})[0]).toMatchObject({
      hidden: {min: [1, 64], opt: [1, 64], max: [32, 64]},
      run_starts: {min: [2], opt: [2], max: [33]},
      run_slots: {min: [1], opt: [1], max: [32]},
    });
  });

  it('of wide steps is for more of them', () => {
    expect(partProfiles(block().wide!, 'block', 'wide', {slots: 64, pagesPerSlot: 128})[0]).toMatchObject({
      hidden: {min: [1, 64], opt: [64, 64], max: [128, 64]},
      run_starts: {min: [2], opt: [65], max: [129]},
      run_slots: {min: [1], opt: [64], max: [128]},
    });
  });

  it('of what serves all steps has their rows', () => {
    const of = (kind: 'prologue' | 'epilogue', slots: number) =>
      partProfiles(lowered.models.get(kind)!.decode, kind, 'decode', {slots, pagesPerSlot: 1})[0];
    expect(of('prologue', 8)).toEqual({tokens: {min: [1], opt: [1], max: [2048]}});
    expect(of('epilogue', 8)).toEqual({hidden: {min: [1, 64], opt: [1, 64], max: [256, 64]}});
    expect(of('epilogue', 300)).toMatchObject({hidden: {max: [512, 64]}});
  });

  it('of prefill steps are for pieces beside streams and for long ones, with as many runs as slots and one of padding', () => {
    const [short, long, ...others] = partProfiles(block().prefill!, 'block', 'prefill', {slots: 64, pagesPerSlot: 128});
    expect(others).toEqual([]);
    expect(short).toMatchObject({hidden: {min: [1, 64], opt: [128, 64], max: [256, 64]}, run_slots: {min: [1], opt: [1], max: [257]}});
    expect(long).toMatchObject({
      hidden: {min: [1, 64], opt: [512, 64], max: [2048, 64]},
      run_starts: {min: [2], opt: [2], max: [258]},
      run_slots: {min: [1], opt: [1], max: [257]},
      positions: {min: [1], opt: [512], max: [2048]},
    });
  });

  it('is the same for most limits, and larger for larger ones', () => {
    const of = (slots: number, pagesPerSlot: number) => partProfiles(block().prefill!, 'block', 'prefill', {slots, pagesPerSlot})[0]!;
    expect(of(1, 1)).toEqual(of(256, 2048));
    expect(of(257, 4097).pages).toEqual({min: [1, 1], opt: [8, 128], max: [512, 8192]});
  });
});
