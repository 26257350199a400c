import {describe, expect, it} from 'vitest';

import type {DecoderWeights, RunWeights} from './decoder_weights.js';
import {placeRuns} from './place_runs.js';
import {checkPlacement, type Tier} from './placement_option.js';
import {ASSUMED_SPEEDS} from './speeds.js';
import {type StepDemand, stepSeconds} from './step_time.js';

const run = (index: number, kind: RunWeights['kind'], bytes: number, storedBytes = bytes): RunWeights => ({
  index,
  name: `run ${index}`,
  kind,
  own: [],
  bytes,
  elements: bytes / 2,
  unpackedBytes: 0,
  storedBytes,
  stagingBytes: storedBytes === bytes ? 0 : storedBytes,
  readBytes: kind === 'prologue' ? 0 : bytes,
});
const decoder = (layers: number, layerBytes: number, headBytes: number, stored?: number): DecoderWeights => ({
  runs: [
    run(0, 'prologue', headBytes),
    ...Array.from({length: layers}, (_, at) => run(at + 1, 'block', layerBytes, stored)),
    run(layers + 1, 'epilogue', headBytes),
  ],
  sharedBytes: 0,
});
/** Llama 3 8B's shape with a vocabulary of 49152, and SmolLM2 135M's. */
const LARGE = {weights: decoder(32, 436.2e6, 402.7e6), shape: {layers: 32, kvHeads: 8, headSize: 128, kvCacheType: 'auto'}} as const;
const SMALL = {weights: decoder(30, 7.078e6, 56.6e6), shape: {layers: 30, kvHeads: 3, headSize: 64, kvCacheType: 'auto'}} as const;

const demand = (model: Pick<StepDemand, 'weights' | 'shape'>, changes: Partial<StepDemand> & {placement?: unknown} = {}): StepDemand => ({
  ...model,
  placed: placeRuns(model.weights, checkPlacement(changes.placement ?? 'auto'), {
    gpuBytes: 1e12,
    ramBytes: 1e12,
    offloaded: changes.offloaded ?? false,
  }),
  speeds: ASSUMED_SPEEDS,
  streams: 1,
  contextTokens: 64,
  narrowRows: 32,
  offloaded: false,
  ...changes,
});
const near = (value: number, wanted: number, share: number) => {
  expect(value / wanted).toBeGreaterThan(1 - share);
  expect(value / wanted).toBeLessThan(1 + share);
};

describe('with all weights in VRAM', () => {
  it.each([
    ['8B, one stream', LARGE, 1, 64, 198],
    ['135M, one stream', SMALL, 1, 64, 2453],
    ['8B, 32 streams', LARGE, 32, 96, 4593],
    ['135M, 32 streams', SMALL, 32, 96, 31732],
    ['8B, one stream of 8192 tokens', LARGE, 1, 8192, 183],
    ['135M, one stream of 8064 tokens', SMALL, 1, 8064, 1834],
  ])('is what an H100 did: %s', (_name, model, streams, contextTokens, tokensPerSecond) => {
    near(streams / stepSeconds(demand(model, {streams, contextTokens})), tokensPerSecond, 0.15);
  });
});

it('is what an H100 did with TensorRT for all rows of 32', () => {
  near(32 / stepSeconds(demand(LARGE, {streams: 32, narrowRows: 16})), 3772, 0.15);
  near(32 / stepSeconds(demand(SMALL, {streams: 32, narrowRows: 16})), 27339, 0.15);
});

describe('with weights that pass through', () => {
  const copies = (bytes: number) => bytes / ASSUMED_SPEEDS.hostToDevice;

  it('takes as long as the copies, which never pause', () => {
    const offloaded = demand(LARGE, {placement: {gpu: '4GiB'}});
    expect(offloaded.placed.bytes.ram).toBeGreaterThan(9e9);
    // The prologue is there too, and is read where it is.
    const prologue = offloaded.weights.runs[0]!.bytes;
    near(stepSeconds(offloaded), copies(offloaded.placed.bytes.ram - prologue), 0.001);
  });

  it('takes as long for 32 streams as for one', () => {
    const seconds = (streams: number) => stepSeconds(demand(LARGE, {placement: {gpu: '4GiB'}, streams, contextTokens: 100}));
    near(seconds(32), seconds(1), 0.01);
  });

  it('takes as long as computing where copies are fast', () => {
    const speeds = {...ASSUMED_SPEEDS, hostToDevice: 1e15};
    near(stepSeconds(demand(LARGE, {placement: {gpu: '4GiB'}, speeds})), stepSeconds(demand(LARGE)), 0.01);
  });

  it('is slower in one row than spread, where computing and copying take about as long', () => {
    const speeds = {...ASSUMED_SPEEDS, hostToDevice: ASSUMED_SPEEDS.weightReads / 8};
    const spread = demand(LARGE, {placement: ({index}: {index: number}): Tier => (index % 8 === 0 ? 'ram' : 'gpu'), speeds});
    const row = demand(LARGE, {placement: ({index}: {index: number}): Tier => (index < 4 ? 'ram' : 'gpu'), speeds});
    expect(row.placed.bytes).toEqual(spread.placed.bytes);
    expect(stepSeconds(row)).toBeGreaterThan(1.3 * stepSeconds(spread));
    near(stepSeconds(spread), stepSeconds(demand(LARGE)), 0.05);
  });

  it('waits for a layer once a step where an odd number takes turns in two places', () => {
    const odd = demand(LARGE, {placement: ({index}: {index: number}): Tier => (index < 5 ? 'ram' : 'gpu')});
    const copied = copies(5 * odd.placed.placeBytes);
    const layer = stepSeconds(demand(LARGE)) / 32;
    near(stepSeconds(odd) - copied, layer, 0.1);
  });

  it('waits for computing that takes longer than an eighth of a copy', () => {
    const placement = {gpu: '4GiB'};
    const fast = {...ASSUMED_SPEEDS, hostToDevice: 1.5 * ASSUMED_SPEEDS.weightReads};
    const offloaded = demand(LARGE, {placement, speeds: fast});
    const computed = stepSeconds(demand(LARGE));
    expect(stepSeconds(offloaded)).toBeGreaterThan(1.1 * computed);
  });

  it('takes as long as reading what is on disk, in the form that it has there', () => {
    const placement = ({index}: {index: number}): Tier => (index % 4 === 0 ? 'disk' : 'ram');
    const files = decoder(32, 436.2e6, 402.7e6, 110e6);
    const seconds = (offloaded: boolean, disk: number) =>
      stepSeconds(demand({...LARGE, weights: files}, {placement, offloaded, speeds: {...ASSUMED_SPEEDS, disk}}));
    // Reads go on while blocks in RAM are copied, as there is room for what comes in meanwhile.
    near(seconds(true, 1e9), 8 * 0.4362, 0.02);
    near(seconds(false, 1e8), 8 * 1.1, 0.15);
    expect(seconds(false, 1e9)).toBeLessThan(seconds(true, 1e9) / 2);
    near(seconds(true, 1e12), (32 * 436.2e6) / ASSUMED_SPEEDS.hostToDevice, 0.01);
  });
});
