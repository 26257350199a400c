import {describe, expect, it} from 'vitest';

import type {ModelPlan, PlannedBlock} from '../generate/plan_model.js';
import {parsePlacement} from './plan.js';
import {blocksTable, contextsTable, memoryTable, quantizedLines} from './plan_tables.js';

const MIB = 2 ** 20;
const GIB = 2 ** 30;

describe('parsePlacement', () => {
  it.each([
    ['auto', 'auto'],
    ['gpu=4GiB', {gpu: '4GiB'}],
    ['ram=50%,gpu=4 GiB', {gpu: '4 GiB', ram: '50%'}],
  ])('%s', (text, placement) => {
    expect(parsePlacement(text)).toEqual(placement);
  });

  it.each(['', 'vram=4GiB', 'gpu', 'gpu=', 'gpu=1=2', 'gpu=1,gpu=2', 'auto,gpu=1'])('refuses %j', (text) => {
    expect(() => parsePlacement(text)).toThrow(`--placement ${text} is neither auto nor limits`);
  });
});

const layer = (index: number, tier: PlannedBlock['tier'], bytes = 10 * MIB): PlannedBlock => ({
  name: `layer ${index}`,
  layer: index,
  tier,
  bytes,
});
const plan: ModelPlan = {
  model: '/models/chat/model.onnx',
  type: 'float16',
  kvCacheType: 'auto',
  layers: 4,
  maxContext: 2048,
  maxBatch: 8,
  blocks: [
    {name: 'prologue', tier: 'gpu', bytes: 5 * MIB},
    layer(0, 'gpu'),
    layer(1, 'gpu'),
    layer(2, 'ram'),
    layer(3, 'disk'),
    {name: 'epilogue', tier: 'gpu', bytes: 5 * MIB},
  ],
  gpu: {
    name: 'NVIDIA H100',
    totalBytes: 10 * GIB,
    usedBytes: GIB,
    weightsBytes: 30 * MIB,
    placesBytes: 20 * MIB,
    cacheBytes: 2 * GIB,
    stepsBytes: 18 * MIB,
    scratchBytes: 24 * MIB,
    scratch: 'known',
    runtimeBytes: 256 * MIB,
    modelBytes: 3 * GIB,
  },
  ram: {availableBytes: 60 * GIB, pinnedBytes: 106 * MIB},
  disk: {stepBytes: 10 * MIB},
  places: 2,
  quantized: {bytes: 0, dequantized: []},
  speeds: {
    weightReads: {bytesPerSecond: 3.05e12, source: 'measured'},
    hostToDevice: {bytesPerSecond: 52e9, source: 'measured'},
    disk: {bytesPerSecond: 3e9, source: 'assumed'},
  },
  tokensPerSecond: {one: 12.345, all: 98.7},
  contexts: [
    {
      tokens: 1024,
      sequenceBytes: 128 * MIB,
      fit: {sequences: 8, cacheBytes: GIB, gpuBytes: 2 * GIB, residentLayers: 2, tokensPerSecond: 123.4},
    },
    {tokens: 2048, sequenceBytes: 256 * MIB},
  ],
};

it('joins layers that are alike', () => {
  expect(blocksTable(plan)).toBe(
    [
      'weights       where      each  together',
      'prologue      VRAM   5.00 MiB',
      'layer 0 to 1  VRAM   10.0 MiB  20.0 MiB',
      'layer 2       RAM    10.0 MiB',
      'layer 3       disk   10.0 MiB',
      'epilogue      VRAM   5.00 MiB',
      '',
    ].join('\n'),
  );
  expect(blocksTable({blocks: [layer(0, 'gpu'), layer(1, 'gpu', 3)]})).not.toContain('to 1');
});

it('tells what was measured, and what the model takes of each memory', () => {
  const text = memoryTable(plan);
  expect(text).toMatch(/^NVIDIA H100\n/);
  for (const line of [
    /^weights passing through +20\.0 MiB {2}2 places$/m,
    /^engines' scratch +24\.0 MiB$/m,
    /^together +3\.00 GiB {2}of 9\.00 GiB free$/m,
    /^read from disk in a step +10\.0 MiB$/m,
    /^one stream +12\.3 tok\/s {2}predicted$/m,
    /^8 streams together +98\.7 tok\/s/m,
    /^copies to the GPU +52\.0 GB\/s, measured$/m,
    /^reads from disk +3\.0 GB\/s, assumed$/m,
  ])
    expect(text).toMatch(line);
});

it('leaves out what is not used', () => {
  const text = memoryTable({...plan, places: 0, maxBatch: 1, ram: {...plan.ram, pinnedBytes: 0}, disk: {stepBytes: 0}});
  for (const part of ['passing', 'together ', 'copies', 'disk']) expect(text.replace(/^together.*$/m, '')).not.toContain(part);
});

it('shows what longer sequences take', () => {
  expect(contextsTable(plan)).toBe(
    [
      'context  a sequence     sequences  all of them  GPU memory  layers in VRAM  tok/s',
      '   1024     128 MiB        8 of 8     1.00 GiB    2.00 GiB          2 of 4    123',
      '   2048     256 MiB  does not fit',
      '',
    ].join('\n'),
  );
});

it('says what stays quantized, and what does not', () => {
  expect(quantizedLines({quantized: {bytes: 0, dequantized: []}})).toEqual([]);
  expect(quantizedLines({quantized: {bytes: 3 * 2 ** 20, dequantized: ['layer 0, qkv', 'layer 1, qkv', 'epilogue.head']}})).toEqual([
    '3.00 MiB of weights stay quantized, as they are stored',
    'quantized in the file, floats in memory: layer 0, qkv and 2 others',
  ]);
});
