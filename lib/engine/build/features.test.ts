import {describe, expect, it} from 'vitest';

import {type Feature, requireFeature} from './features.js';

describe('requireFeature', () => {
  it.each<[Feature, string, string | undefined]>([
    ['tiling', '10.6.0', 'tiling needs TensorRT 10.8 or later, and 10.6.0 is loaded'],
    ['tiling', '10.8.0', undefined],
    ['tiling', '10.16.1', undefined],
    ['tiling', '11.0.0', undefined],
    ["hardwareCompatibility: 'same-compute-capability'", '10.8.9', 'needs TensorRT 10.9 or later'],
    ["hardwareCompatibility: 'same-compute-capability'", '10.9.0', undefined],
  ])('%s with %s', (feature, version, message) => {
    if (message === undefined) requireFeature(feature, version);
    else
      expect(() => requireFeature(feature, version)).toThrow(
        expect.objectContaining({code: 'ERR_UNSUPPORTED', message: expect.stringContaining(message)}),
      );
  });
});
