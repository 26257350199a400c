import {expect, test} from 'vitest';

import type {LayerTime} from '../engine/layer_profile.js';
import {compareLayers} from './compare_layers.js';
import {formatLayerComparison} from './compare_text.js';
import {formatLayers} from './layers_text.js';

const layer = (name: string, medianMicroseconds: number, more: Partial<LayerTime> = {}): LayerTime => ({
  name,
  nodes: [name],
  medianMicroseconds,
  totalMicroseconds: 2 * medianMicroseconds,
  share: 0,
  ...more,
});

test('layers that came, went and changed are told, the largest change first', () => {
  const before = [layer('same', 5), layer('slower', 10, {tactic: 'a'}), layer('gone', 30), layer('myl0_3', 7, {nodes: ['x', 'y']})];
  const after = [layer('same', 5), layer('slower', 15, {tactic: 'b'}), layer('new', 1), layer('myl0_9', 4, {nodes: ['y', 'x']})];
  const comparison = compareLayers({runMicroseconds: 52, layers: before}, {runMicroseconds: 25, layers: after});
  expect(comparison).toEqual({
    run: {before: 52, after: 25},
    layers: [
      {name: 'gone', nodes: ['gone'], microseconds: {before: 30, after: 0}, went: true},
      {name: 'slower', nodes: ['slower'], microseconds: {before: 10, after: 15}, tactic: {before: 'a', after: 'b'}},
      {name: 'myl0_9', nameBefore: 'myl0_3', nodes: ['y', 'x'], microseconds: {before: 7, after: 4}},
      {name: 'new', nodes: ['new'], microseconds: {before: 0, after: 1}, came: true},
    ],
  });
  const text = formatLayerComparison(comparison);
  expect(text).toMatch(/^A run: 52\.0 µs -> 25\.0 µs, -51\.9%\n/);
  expect(text).toMatch(/gone +30\.0 µs -> 0 ns +gone\n/);
  expect(text).toMatch(/slower +10\.0 µs -> 15\.0 µs +\+50\.0% +a -> b\n/);
  expect(text).toMatch(/myl0_9 +7\.00 µs -> 4\.00 µs +-42\.9% +was myl0_3\n/);
});

test('layers without nodes are the same by their names alone', () => {
  const of = (name: string) => ({runMicroseconds: 1, layers: [layer(name, 1, {nodes: []})]});
  expect(compareLayers(of('a'), of('b')).layers).toHaveLength(2);
  expect(compareLayers(of('a'), of('a')).layers).toEqual([]);
});

test('a layer that only has another kernel is told', () => {
  const of = (tactic: string) => ({runMicroseconds: 1, layers: [layer('a', 1, {tactic})]});
  expect(compareLayers(of('x'), of('y')).layers).toEqual([
    {name: 'a', nodes: ['a'], microseconds: {before: 1, after: 1}, tactic: {before: 'x', after: 'y'}},
  ]);
});

test('times of layers for people begin with the largest, and say what is left out', () => {
  const layers = [
    layer('small', 1, {share: 0.1}),
    layer('large', 8, {share: 0.8, type: 'gemm', nodes: ['a', 'b']}),
    layer('tiny', 1, {share: 0.1}),
  ];
  const text = formatLayers({layers, totalMicroseconds: 20, runs: 2, runMicroseconds: 9, profiledRunMicroseconds: 12}, 2);
  expect(text).toMatch(
    /^share +time +layer +type +ONNX nodes\n80\.0% +8\.00 µs +large +gemm +a b\n10\.0% +1\.00 µs +small +small\n1 more layers: 10\.0%\n/,
  );
  expect(text).toContain('A run, of 2 runs: 9.00 µs; with the profiler 12.0 µs, its layers 10.0 µs\n');
});
