import {expect, it} from 'vitest';

import type {Inspection} from './inspect.js';
import {formatInspection} from './inspect_format.js';

const complete: Inspection = {
  node: '22.1.0',
  platform: 'linux-x64',
  addon: {loaded: true, path: '/app/tensorrt-node.node'},
  driver: {path: 'libcuda.so.1', version: '580.95.05', cuda: '13.0'},
  devices: [
    {ordinal: 0, name: 'NVIDIA H100', computeCapability: '9.0', multiprocessors: 132, memory: 80 * 2 ** 30, pciBusId: '0000:3B:00.0'},
  ],
  tensorrt: {version: '10.6.0', library: '/trt/libnvinfer.so.10', parser: '/trt/libnvonnxparser.so.10'},
  onnxruntime: {version: '1.30.0'},
  cpu: {model: 'Some CPU', cores: 1, memoryBytes: 16 * 2 ** 30},
  backends: {tensorrt: {usable: true, why: 'all there'}, cpu: {usable: true, why: 'ONNX Runtime 1.30.0'}},
  advice: [],
};

it('puts one thing a line, and nothing to do where nothing is missing', () => {
  expect(formatInspection(complete)).toBe(
    [
      'Node              22.1.0, linux-x64',
      'CPU               Some CPU, 1 core, 16.0 GiB',
      'Addon             /app/tensorrt-node.node',
      'Driver            580.95.05, CUDA 13.0, libcuda.so.1',
      'GPU 0             NVIDIA H100, compute capability 9.0, 132 multiprocessors, 80.0 GiB, 0000:3B:00.0',
      'TensorRT          10.6.0, /trt/libnvinfer.so.10',
      'ONNX parser       /trt/libnvonnxparser.so.10',
      'ONNX Runtime      1.30.0',
      'Backend cpu       usable: ONNX Runtime 1.30.0',
      'Backend tensorrt  usable: all there',
      '',
    ].join('\n'),
  );
});

it('says what is missing, indented where it takes lines, and what to do', () => {
  const text = formatInspection({
    ...complete,
    addon: {loaded: false, reason: 'not there'},
    driver: {reason: 'no driver'},
    devices: [],
    tensorrt: {reason: 'none serves:\n  one\n  two'},
    onnxruntime: {reason: 'not installed'},
    advice: ['driver: install it'],
  });
  expect(text).toContain('Addon             not loaded: not there\nDriver            no driver\nTensorRT          none serves:\n');
  expect(text).toContain(`\n${' '.repeat(20)}one\n${' '.repeat(20)}two\nONNX Runtime      not installed\n`);
  expect(text).toMatch(/\n\nTo do:\n- driver: install it\n$/);
});
