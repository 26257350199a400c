import {describe, expect, it} from 'vitest';

import type {DecoderWeights, RunWeights} from './decoder_weights.js';
import {DoesNotFitError} from './does_not_fit.js';
import {allGpuBytes, gpuBytesOf, leastGpuBytes, pinnedBytesOf, placeRuns, placesFor} from './place_runs.js';
import {checkPlacement, type Tier} from './placement_option.js';

const MIB = 2 ** 20;

/** Layers of 10 MiB between a prologue and an epilogue of 4 MiB, and 2 MiB that all take. */
function decoder(layers: number, bytes: (layer: number) => number = () => 10 * MIB): DecoderWeights {
  const run = (index: number, kind: RunWeights['kind'], size: number): RunWeights => ({
    index,
    name: kind === 'block' ? `layer ${index - 1}` : kind,
    kind,
    ...(kind === 'block' ? {layer: index - 1} : {}),
    bytes: size,
    storedBytes: size,
    readBytes: size,
  });
  return {
    runs: [
      run(0, 'prologue', 4 * MIB),
      ...Array.from({length: layers}, (_, layer) => run(layer + 1, 'block', bytes(layer))),
      run(layers + 1, 'epilogue', 4 * MIB),
    ],
    sharedBytes: 2 * MIB,
  };
}
const FIXED = 10 * MIB;
const place = (weights: DecoderWeights, gpuMib: number, ramMib = 1e6, placement: unknown = 'auto') =>
  placeRuns(weights, checkPlacement(placement), {gpuBytes: gpuMib * MIB, ramBytes: ramMib * MIB});
const letters = ({tiers}: {tiers: readonly Tier[]}) => tiers.map((tier) => tier[0]).join('');

describe('auto', () => {
  it('keeps all in VRAM where it fits, and then needs no places', () => {
    const weights = decoder(4);
    expect(allGpuBytes(weights)).toBe(50 * MIB);
    const result = place(weights, 50);
    expect(result).toEqual({tiers: Array(6).fill('gpu'), places: 0, placeBytes: 0, bytes: {resident: 50 * MIB, ram: 0, disk: 0}});
  });

  it('keeps as many as fit beside the places, and spreads the others', () => {
    // 8 layers, 49 MiB for them: two stay, six pass through two places.
    const result = place(decoder(8), 59);
    expect(letters(result)).toBe('ggrrrgrrrg');
    expect(result).toMatchObject({places: 2, placeBytes: 10 * MIB, bytes: {resident: FIXED + 20 * MIB, ram: 60 * MIB, disk: 0}});
    expect(gpuBytesOf(result)).toBeLessThanOrEqual(59 * MIB);
  });

  it('fills RAM before it leaves any on disk, and spreads those', () => {
    const result = place(decoder(32), 30, 96 + 160);
    expect(result.bytes).toEqual({resident: FIXED, ram: 160 * MIB, disk: 160 * MIB});
    expect(letters(result)).toBe(`g${'rd'.repeat(16)}g`);
    expect(pinnedBytesOf(result)).toBe((96 + 160) * MIB);
  });

  it('leaves all on disk without RAM', () => {
    expect(place(decoder(4), 30, 0).bytes).toEqual({resident: FIXED, ram: 0, disk: 40 * MIB});
  });
});

describe('limits', () => {
  it('are held, the places included', () => {
    for (let gpu = 30; gpu <= 340; gpu += 7) {
      const result = place(decoder(32), 1e6, 1e6, {gpu: `${gpu}MiB`, ram: 0});
      expect(gpuBytesOf(result)).toBeLessThanOrEqual(gpu * MIB);
      expect(result.bytes.ram).toBe(0);
    }
  });

  it('are amounts, parts of what is free, and never more than that', () => {
    const weights = decoder(8);
    expect(place(weights, 1000, 1000, {gpu: 59 * MIB}).tiers).toEqual(place(weights, 59).tiers);
    expect(place(weights, 118, 1000, {gpu: '50%'}).tiers).toEqual(place(weights, 59).tiers);
    expect(place(weights, 59, 1000, {gpu: '4GiB'}).tiers).toEqual(place(weights, 59).tiers);
    expect(place(weights, 59, 1000, {ram: '20MiB'}).bytes.ram).toBe(0);
  });

  it('that are too small are refused, with one that is enough', () => {
    const weights = decoder(8);
    expect(leastGpuBytes(weights)).toBe(FIXED + 20 * MIB);
    const refused = () => place(weights, 1000, 1000, {gpu: '25MiB'});
    expect(refused).toThrow(
      expect.objectContaining({
        code: 'ERR_DOES_NOT_FIT',
        memory: 'gpu',
        neededBytes: 30 * MIB,
        availableBytes: 25 * MIB,
        missingBytes: 5 * MIB,
        nearest: {placement: {gpu: '30MiB'}},
        message: expect.stringContaining("it fits with placement: {'gpu':'30MiB'}"),
      }),
    );
    expect(place(weights, 1000, 1000, {gpu: '30MiB'}).places).toBe(2);
  });

  it('name no setting where the GPU has too little for any', () => {
    const error = (() => {
      try {
        place(decoder(8), 25);
      } catch (thrown) {
        return thrown;
      }
      return undefined;
    })();
    expect(error).toBeInstanceOf(DoesNotFitError);
    expect(error).toMatchObject({nearest: undefined, message: expect.stringContaining('no setting of this model fits here')});
  });
});

describe('a function', () => {
  it('is asked for each layer, and answers', () => {
    const asked: unknown[] = [];
    const result = place(decoder(4), 1000, 1000, (block: {index: number}) => {
      asked.push(block);
      return (['gpu', 'ram', 'disk', 'gpu'] as const)[block.index];
    });
    expect(asked[1]).toEqual({index: 1, name: 'layer 1', bytes: 10 * MIB, layer: 1});
    expect(asked).toHaveLength(4);
    expect(letters(result)).toBe('ggrdgg');
    expect(result).toMatchObject({places: 2, bytes: {resident: FIXED + 20 * MIB, ram: 10 * MIB, disk: 10 * MIB}});
  });

  it.each(['vram', undefined, 1])('that answers %s is refused', (tier) => {
    expect(() => place(decoder(2), 1000, 1000, () => tier)).toThrow(
      "placement must be a function that gives 'gpu', 'ram' or 'disk', also for layer 0",
    );
  });

  it('that asks for more than there is is refused', () => {
    expect(() => place(decoder(4), 49, 1000, () => 'gpu')).toThrow(expect.objectContaining({memory: 'gpu', missingBytes: MIB}));
    expect(() => place(decoder(4), 1000, 30, () => 'ram')).toThrow(expect.objectContaining({memory: 'ram', missingBytes: 10 * MIB}));
  });
});

it.each([
  [0, 0],
  [1, 1],
  [2, 2],
  [3, 3],
  [4, 2],
  [5, 3],
  [7, 4],
  [13, 5],
  [32, 2],
])('%d streamed layers take turns in %d places', (streamed, places) => {
  expect(placesFor(streamed)).toBe(places);
});

it('never gives the last layer of a step and the first of the next the same place', () => {
  for (let streamed = 2; streamed < 200; streamed++) expect((streamed - 1) % placesFor(streamed)).not.toBe(0);
});

it('maps VRAM in whole pieces', () => {
  const weights = decoder(4, (layer) => 3 * MIB + layer);
  // 4 MiB each.
  expect(allGpuBytes(weights)).toBe(FIXED + 16 * MIB);
  const result = place(weights, 10 + 8);
  expect(result).toMatchObject({places: 2, placeBytes: 4 * MIB});
  expect(result.bytes.ram).toBe(12 * MIB + 6);
});

it('has places as large as the largest that passes', () => {
  const weights = decoder(4, (layer) => (layer === 3 ? 20 : 4) * MIB);
  expect(place(weights, 10 + 40).placeBytes * place(weights, 10 + 40).places + FIXED).toBeLessThanOrEqual(50 * MIB);
});
