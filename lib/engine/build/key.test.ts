import {describe, expect, it} from 'vitest';

import {cachePaths, defaultCacheFolder, timingCacheName} from './cache_paths.js';
import {canonicalJson, canonicalOptions, engineKey, type KeyParts} from './key.js';
import type {BuildOptions} from './options.js';
import type {Typing} from './precision.js';

const TYPING: Typing = {precision: 'fp32', stronglyTyped: false, flags: [], needsCalibration: false};
const canonical = (options: BuildOptions) => canonicalOptions(options, TYPING, [], undefined);

describe('canonicalOptions', () => {
  it.each<[BuildOptions, BuildOptions]>([
    [{}, {sparsity: false, hardwareCompatibility: 'none', profilingVerbosity: 'detailed', tiling: 'none', layers: []}],
    [{tacticSources: ['cudnn', 'cublas']}, {tacticSources: ['cublas', 'cudnn', 'cublas']}],
    [{layers: [{pattern: 'a', precision: 'fp32'}]}, {layerConstraints: 'obey', layers: [{precision: 'fp32', pattern: 'a'}]}],
    [{output: 'a', name: 'b', cache: 'c', timingCache: 't', device: 1, onLog() {}, tensorrtPath: 'd'}, {}],
  ])('%j is the same engine as %j', (one, other) => {
    expect(canonicalJson(canonical(one))).toBe(canonicalJson(canonical(other)));
  });

  const different: BuildOptions[] = [
    {},
    {sparsity: true},
    {optimizationLevel: 3},
    {workspace: 1},
    {tacticSources: []},
    {hardwareCompatibility: 'ampere-plus'},
    {versionCompatible: true},
    {versionCompatible: true, excludeLeanRuntime: true},
    {refit: true},
    {strip: true},
    {weightStreaming: true},
    {profilingVerbosity: 'none'},
    {maxAuxStreams: 0},
    {averageTimingIterations: 1},
    {tiling: 'fast'},
    {layers: [{pattern: 'a', precision: 'fp32'}]},
    {layers: [{pattern: 'a', precision: 'fp32'}], layerConstraints: 'prefer'},
    {layers: [{pattern: 'a', outputType: 'fp32'}]},
  ];
  it('tells all others apart', () => {
    expect(new Set(different.map((options) => canonicalJson(canonical(options)))).size).toBe(different.length);
  });
});

describe('engineKey', () => {
  const parts: KeyParts = {
    modelSha256: '0',
    options: {precision: 'fp32'},
    environment: {tensorrtVersion: '10.6.0', gpu: {name: 'H100', computeCapability: '9.0'}},
  };
  it('depends on all that makes the engine', () => {
    const {environment} = parts;
    const keys = [
      parts,
      {...parts, modelSha256: '1'},
      {...parts, options: {precision: 'fp16'}},
      {...parts, calibration: 'key:a'},
      {...parts, calibration: 'key:b'},
      {...parts, environment: {...environment, tensorrtVersion: '10.7.0'}},
      {...parts, environment: {...environment, gpu: {...environment.gpu, name: 'H200'}}},
      {...parts, environment: {...environment, gpu: {...environment.gpu, computeCapability: '8.9'}}},
    ].map(engineKey);
    expect(new Set(keys).size).toBe(keys.length);
    for (const key of keys) expect(key).toMatch(/^[0-9a-f]{64}$/);
  });

  it('does not depend on the order of fields', () => {
    expect(engineKey({...parts, options: {b: 1, a: {d: 1, c: [2, 1]}}})).toBe(engineKey({...parts, options: {a: {c: [2, 1], d: 1}, b: 1}}));
  });
});

describe('the cache folder', () => {
  it.each([
    [{TENSORRT_NODE_CACHE: '/a', XDG_CACHE_HOME: '/b', HOME: '/c'}, '/a'],
    [{XDG_CACHE_HOME: '/b', HOME: '/c'}, '/b/tensorrt-node'],
    [{XDG_CACHE_HOME: 'relative', HOME: '/c'}, '/c/.cache/tensorrt-node'],
    [{TENSORRT_NODE_CACHE: '', XDG_CACHE_HOME: '', HOME: '/c'}, '/c/.cache/tensorrt-node'],
  ])('of %j is %s', (env, folder) => {
    expect(defaultCacheFolder(env)).toBe(folder);
    expect(cachePaths(folder)).toEqual({
      engines: `${folder}/engines`,
      timings: `${folder}/timings`,
      locks: `${folder}/locks`,
      requests: `${folder}/requests`,
    });
  });

  it.each([
    ['NVIDIA H100 80GB HBM3', '9.0', 'tensorrt-10.6.0-nvidia-h100-80gb-hbm3-9.0.timings'],
    ['../../etc', '8.6', 'tensorrt-10.6.0-etc-8.6.timings'],
  ])('keeps timings of %s %s in %s', (name, computeCapability, file) => {
    expect(timingCacheName({tensorrtVersion: '10.6.0', gpu: {name, computeCapability}})).toBe(file);
  });
});
