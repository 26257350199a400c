import {expect, it} from 'vitest';

import {layerProfile, wantsNames} from './layer_profile.js';

const detail = (name: string, metadata: string, format = 'Row major linear FP16 format') => ({
  Name: name,
  LayerType: 'gemm',
  Inputs: [],
  Outputs: [{Name: 'y', Dimensions: [1], 'Format/Datatype': format}],
  TacticName: `kernel of ${name}`,
  Metadata: metadata,
});
const times = (name: string, ...milliseconds: number[]) => ({name, milliseconds: Float32Array.from(milliseconds)});

it('joins times, what the inspector tells, and ONNX nodes', () => {
  const information = JSON.stringify({
    Layers: [
      detail('fc', '[ONNX Layer: /fc/MatMul]\x1f[ONNX Layer: /fc/Add]'),
      detail('twice', '[ONNX Layer: a]'),
      detail('twice', '[ONNX Layer: b]'),
    ],
  });
  const profile = layerProfile({
    layers: [times('fc', 0.25, 0.75, 0.5), times('twice', 0.5, 0.5, 0.5), times('another', 0, 0, 1), times('fc [profile 1]', 0, 0, 0)],
    runs: Float32Array.of(0.5, 1, 0.75),
    profiledRuns: Float32Array.of(1, 1, 2),
    information,
  });
  expect(profile).toEqual({
    layers: [
      {
        name: 'fc',
        type: 'gemm',
        nodes: ['/fc/MatMul', '/fc/Add'],
        tactic: 'kernel of fc',
        precision: 'FP16',
        medianMicroseconds: 500,
        totalMicroseconds: 1500,
        share: 0.375,
      },
      expect.objectContaining({name: 'twice', nodes: ['a', 'b'], totalMicroseconds: 1500}),
      {name: 'another', nodes: ['another'], medianMicroseconds: 0, totalMicroseconds: 1000, share: 0.25},
      expect.objectContaining({name: 'fc [profile 1]', type: 'gemm', nodes: ['/fc/MatMul', '/fc/Add'], share: 0}),
    ],
    totalMicroseconds: 4000,
    runs: 3,
    runMicroseconds: 750,
    profiledRunMicroseconds: 1000,
  });
});

it('takes nodes from names where the plan tells no more', () => {
  const native = {layers: [times('a + reshape_before_b', 1, 3)], runs: Float32Array.of(1, 2), profiledRuns: Float32Array.of(1, 2)};
  const {layers, runMicroseconds} = layerProfile({...native, information: '{"Layers": ["a + reshape_before_b"]}'}, ['a', 'b', 'c']);
  expect(layers).toEqual([{name: 'a + reshape_before_b', nodes: ['a', 'b'], medianMicroseconds: 2000, totalMicroseconds: 4000, share: 1}]);
  expect(runMicroseconds).toBe(1500);
});

it('needs the names of nodes where some layer has no metadata', () => {
  expect(wantsNames(JSON.stringify({Layers: [detail('a', '[ONNX Layer: a]')]}))).toBe(false);
  expect(wantsNames(JSON.stringify({Layers: [detail('a', '[ONNX Layer: a]'), detail('b', '')]}))).toBe(true);
  expect(wantsNames('{"Layers": ["a"]}')).toBe(true);
});
