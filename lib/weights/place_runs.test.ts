import {describe, expect, it} from 'vitest';

import type {DecoderWeights, RunWeights} from './decoder_weights.js';
import {DoesNotFitError} from './does_not_fit.js';
import {allGpuBytes, gpuBytesOf, leastGpuBytes, pinnedBytesOf, placeRuns, placesFor} from './place_runs.js';
import {checkPlacement, type Tier} from './placement_option.js';

const MIB = 2 ** 20;

/** Layers of 10 MiB between a prologue and an epilogue of 4 MiB, and 2 MiB that all take. */
function decoder(layers: number, bytes: (layer: number) => number = () => 10 * MIB, stagingBytes = 0): DecoderWeights {
  const run = (index: number, kind: RunWeights['kind'], size: number): RunWeights => ({
    index,
    name: kind === 'block' ? `layer ${index - 1}` : kind,
    own: [],
    kind,
    ...(kind === 'block' ? {layer: index - 1} : {}),
    bytes: size,
    elements: size / 2,
    unpackedBytes: 0,
    storedBytes: stagingBytes === 0 ? size : size / 4,
    stagingBytes,
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
/** In RAM while layers pass through, if there is any. */
const PROLOGUE = 4 * MIB;
/** Always in VRAM. */
const FIXED = 6 * MIB;
const place = (weights: DecoderWeights, gpuMib: number, ramMib = 1e6, placement: unknown = 'auto', offloaded = false) =>
  placeRuns(weights, checkPlacement(placement), {gpuBytes: gpuMib * MIB, ramBytes: ramMib * MIB, offloaded});
const letters = ({tiers}: {tiers: readonly Tier[]}) => tiers.map((tier) => tier[0]).join('');

describe('auto', () => {
  it('keeps all in VRAM where it fits, and then needs no places', () => {
    const weights = decoder(4);
    expect(allGpuBytes(weights)).toBe(50 * MIB);
    const result = place(weights, 50);
    expect(result).toMatchObject({tiers: Array(6).fill('gpu'), places: 0, placeBytes: 0, bytes: {resident: 50 * MIB, ram: 0, disk: 0}});
  });

  it('keeps as many as fit beside the places, and spreads the others', () => {
    // 8 layers, 44 MiB for them: three stay, five pass through 11.25 MiB.
    const result = place(decoder(8), 50);
    expect(letters(result)).toBe('rgrgrrgrrg');
    expect(result).toMatchObject({places: 2, placeBytes: 10 * MIB, bytes: {resident: FIXED + 30 * MIB, ram: PROLOGUE + 50 * MIB, disk: 0}});
    expect(gpuBytesOf(result)).toBeLessThanOrEqual(50 * MIB);
  });

  it('fills RAM before it leaves any on disk, and spreads those', () => {
    const result = place(decoder(32), 26, 4 + 96 + 160);
    expect(result.bytes).toEqual({resident: FIXED, staging: 0, ram: PROLOGUE + 160 * MIB, diskStaging: 96 * MIB, disk: 160 * MIB});
    expect(letters(result)).toBe(`r${'rd'.repeat(16)}g`);
    expect(pinnedBytesOf(result)).toBe((4 + 96 + 160) * MIB);
  });

  it('leaves all on disk without RAM', () => {
    expect(place(decoder(4), 30, 0).bytes).toMatchObject({resident: FIXED + PROLOGUE, ram: 0, disk: 40 * MIB});
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
    expect(place(weights, 59, 1000, {ram: '20MiB'}).bytes.ram).toBe(PROLOGUE);
  });

  it('that are too small are refused, with one that is enough', () => {
    const weights = decoder(8);
    expect(leastGpuBytes(weights, {ramBytes: 1000 * MIB, offloaded: false})).toBe(FIXED + 12 * MIB);
    const refused = () => place(weights, 1000, 1000, {gpu: '16MiB'});
    expect(refused).toThrow(
      expect.objectContaining({
        code: 'ERR_DOES_NOT_FIT',
        memory: 'gpu',
        neededBytes: 18 * MIB,
        availableBytes: 16 * MIB,
        missingBytes: 2 * MIB,
        nearest: {placement: {gpu: '18MiB'}},
        message: expect.stringContaining("it fits with placement: {'gpu':'18MiB'}"),
      }),
    );
    expect(place(weights, 1000, 1000, {gpu: '18MiB'}).places).toBe(2);
  });

  it('name no setting where the GPU has too little for any', () => {
    const error = (() => {
      try {
        place(decoder(8), 16);
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
    const result = place(decoder(6), 1000, 1000, (block: {index: number}) => {
      asked.push(block);
      return (['gpu', 'ram', 'disk', 'ram', 'disk', 'gpu'] as const)[block.index];
    });
    expect(asked[1]).toEqual({index: 1, name: 'layer 1', bytes: 10 * MIB, layer: 1});
    expect(asked).toHaveLength(6);
    expect(letters(result)).toBe('rgrdrdgg');
    expect(result).toMatchObject({places: 2, bytes: {resident: FIXED + 20 * MIB, ram: PROLOGUE + 20 * MIB, disk: 20 * MIB}});
  });

  it('that sends away so few that their places would take as much leaves all in VRAM', () => {
    const result = place(decoder(6), 1000, 1000, ({index}: {index: number}) => (index < 2 ? 'disk' : 'gpu'));
    expect(letters(result)).toBe('gggggggg');
    expect(pinnedBytesOf(result)).toBe(0);
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

describe('places', () => {
  it.each([
    [0, 0],
    [2, 0],
    [3, 2],
    [4, 2],
    [5, 2],
    [32, 2],
  ] as const)('for %d streamed layers', (streamed, places) => {
    expect(placesFor(streamed)).toBe(places);
  });

  it('share all but an eighth of their memory, in whole units of what kernels want of an address', () => {
    expect(place(decoder(8), 26)).toMatchObject({places: 2, placeBytes: 10 * MIB, ringBytes: 11.25 * MIB});
    expect(
      place(
        decoder(8, () => 10 * MIB - 256),
        26,
      ),
    ).toMatchObject({placeBytes: 10 * MIB - 256, ringBytes: 11.25 * MIB - 256});
    expect(place(decoder(2), 1000)).toMatchObject({places: 0, ringBytes: 0});
  });
});

describe('what is left of the VRAM', () => {
  /** Layers of 6, 3 and 1 MiB. */
  const parts = (weights: DecoderWeights): DecoderWeights => ({
    ...weights,
    runs: weights.runs.map((run) =>
      run.kind === 'block'
        ? {...run, own: [6, 3, 1].map((mib, at) => ({weight: 10 * run.index + at, bytes: mib * MIB, storedBytes: mib * MIB}))}
        : run,
    ),
  });

  it('keeps single weights of layers that pass, the largest first', () => {
    // 18 MiB hold all that must be there.
    expect(place(parts(decoder(8)), 18)).toMatchObject({kept: [], keptBytes: Array(10).fill(0)});
    const result = place(parts(decoder(8)), 27);
    expect(result.kept).toEqual([10, 12, 22]);
    expect(result.keptBytes).toEqual([0, 7 * MIB, MIB, 0, 0, 0, 0, 0, 0, 0]);
    expect(result.bytes).toMatchObject({resident: FIXED + 8 * MIB, ram: PROLOGUE + 72 * MIB});
    expect(gpuBytesOf(result)).toBe(26 * MIB);
  });

  it('keeps those of layers on disk where there are any, and of what is read none', () => {
    const result = place(parts(decoder(32)), 24, 4 + 96 + 160);
    expect(result.kept).toEqual([20]);
    expect(result.tiers[2]).toBe('disk');
    expect(result.bytes).toMatchObject({disk: 154 * MIB, ram: PROLOGUE + 160 * MIB});
  });

  it('keeps none of layers that are on disk in a file of their own', () => {
    expect(place(parts(decoder(32)), 24, 4 + 96 + 160, 'auto', true).kept).toEqual([]);
  });
});

describe('weights that must be converted', () => {
  const weights = decoder(8, () => 10 * MIB, 7 * MIB);

  it('take VRAM on their way from disk, and are read as they are stored', () => {
    const result = place(weights, 30, 0);
    expect(letters(result)).toBe('gddddddddg');
    expect(result.bytes).toMatchObject({staging: 7 * MIB, disk: 20 * MIB});
    expect(gpuBytesOf(result)).toBe(30 * MIB);
    expect(() => place(weights, 29, 0)).toThrow(DoesNotFitError);
  });

  it('do not where they are kept in the form that is wanted', () => {
    const result = place(weights, 30, 0, 'auto', true);
    expect(result.bytes).toMatchObject({staging: 0, disk: 80 * MIB});
    expect(gpuBytesOf(result)).toBe(22 * MIB);
  });

  it('do not in RAM', () => {
    expect(place(weights, 30).bytes.staging).toBe(0);
  });
});

it('maps VRAM in whole pieces', () => {
  const weights = decoder(4, (layer) => 3 * MIB + layer);
  expect(allGpuBytes(weights)).toBe(PROLOGUE + FIXED + 14 * MIB);
  const result = place(weights, 12);
  expect(result).toMatchObject({places: 2, placeBytes: 3 * MIB + 3, bytes: {ram: PROLOGUE + 12 * MIB + 6}});
  expect(gpuBytesOf(result)).toBe(10 * MIB);
});

it('has places as large as the largest that passes', () => {
  const weights = decoder(8, (layer) => (layer === 3 ? 20 : 4) * MIB);
  expect(place(weights, 32)).toMatchObject({places: 2, placeBytes: 20 * MIB, bytes: {resident: FIXED}});
});
