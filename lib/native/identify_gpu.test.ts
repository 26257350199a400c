import {describe, expect, it, vi} from 'vitest';

import type {NativeGpuModel} from './addon.js';
import {identifyGpu} from './identify_gpu.js';

const H100 = {name: 'NVIDIA H100', computeMajor: 9, computeMinor: 0, divided: false};
const L4 = {name: 'NVIDIA L4', computeMajor: 8, computeMinor: 9, divided: false};

const identify = (gpus: NativeGpuModel[] | undefined, ordinal = 0, environment = {}) =>
  identifyGpu({gpuModels: () => gpus}, ordinal, environment);

describe('identifyGpu', () => {
  it('knows GPUs that are all alike', () => {
    expect(identify([H100])).toEqual(H100);
    expect(identify([H100, {...H100}], 1)).toEqual(H100);
  });

  it('leaves to CUDA what NVML cannot tell', () => {
    expect(identify(undefined)).toBeUndefined();
    expect(identify([])).toBeUndefined();
    expect(identify([H100], 1)).toBeUndefined();
    expect(identify([H100, L4])).toBeUndefined();
    expect(identify([H100, {...H100, divided: true}])).toBeUndefined();
  });

  it('does not ask where variables change what CUDA sees', () => {
    const gpuModels = vi.fn(() => [H100]);
    for (const environment of [{CUDA_VISIBLE_DEVICES: '0'}, {CUDA_VISIBLE_DEVICES: ''}, {TENSORRT_NODE_CUDA_DRIVER: '/a.so'}]) {
      expect(identifyGpu({gpuModels}, 0, environment)).toBeUndefined();
    }
    expect(gpuModels).not.toHaveBeenCalled();
  });
});
