import {describe, expect, it} from 'vitest';

import {OptionError} from '../../errors.js';
import {type BuildOptions, checkOptions} from './options.js';

const RANGE = {min: [1, 4], opt: [2, 4], max: [8, 4]};

describe('checkOptions', () => {
  it.each<[BuildOptions]>([
    [{}],
    [{precision: 'fp8', typing: 'strong', workspace: 0, optimizationLevel: 5}],
    [{profiles: [{x: RANGE}, {x: [1, 4]}, {shape: {min: [-1], opt: [0], max: [5], values: true}}]}],
    [{layers: [{pattern: '*', precision: 'fp32', outputType: 'fp16'}], layerConstraints: 'prefer'}],
    [{calibration: {cache: 'file'}}],
    [{calibration: {batches: []}}],
    [{calibration: {folder: 'f', preprocess: () => ({}), algorithm: 'min-max', batchSize: 1, maxBatches: 1, key: 'k'}}],
    [{versionCompatible: true, excludeLeanRuntime: true, tacticSources: [], cache: false, output: 'o', timingCache: false}],
    [{cache: 'c', timingCache: 't', device: 0, tensorrtPath: 'p', signal: new AbortController().signal, onLog() {}, onProgress() {}}],
  ])('takes %j', (options) => {
    checkOptions(options);
  });

  it.each<[string, unknown, string]>([
    ['output', '', 'a path'],
    ['output', 'a\0b', 'a path'],
    ['name', 5, 'a name'],
    ['precision', 'half', "'fp32' or 'tf32'"],
    ['typing', 'explicit', "'auto' or 'strong' or 'weak'"],
    ['profiles', [], 'at least one profile'],
    ['profiles', {x: RANGE}, 'at least one profile'],
    ['profiles[0]', [null], 'an object'],
    ['profiles[0].x', [{x: 4}], 'an object'],
    ['profiles[0].x.min', [{x: {opt: [1], max: [1]}}], 'a list of integers'],
    ['profiles[0].x.opt', [{x: {...RANGE, opt: [2]}}], 'as long as min, 2'],
    ['profiles[0].x.max', [{x: {...RANGE, max: [2, 4, 1]}}], 'as long as min, 2'],
    ['profiles[0].x.min[0]', [{x: {...RANGE, min: [-1, 4]}}], 'from 0'],
    ['profiles[0].x[1]', [{x: [1, 2.5]}], 'an integer'],
    ['profiles[0].x[0]', [{x: [2 ** 31]}], 'to 2147483647'],
    ['profiles[0].x', [{x: {...RANGE, opt: [9, 4]}}], 'min <= opt <= max in every place, and place 0 has 1, 9, 8'],
    ['profiles[1].x.values', [{x: RANGE}, {x: {...RANGE, values: 1}}], 'true or false'],
    ['layers', 'fp32', 'a list'],
    ['layers[0].pattern', [{precision: 'fp32'}], 'a pattern'],
    ['layers[0].precision', [{pattern: '*', precision: 'fp8'}], "'fp32' or 'fp16'"],
    ['layers[0].outputType', [{pattern: '*', outputType: 'float'}], "'fp32' or 'fp16'"],
    ['layers[0]', [{pattern: '*'}], 'a pattern with precision, outputType or both'],
    ['layerConstraints', 'must', "'obey' or 'prefer'"],
    ['calibration', 'folder', 'an object'],
    ['calibration', {}, 'batches, a folder or a cache'],
    ['calibration.folder', {folder: ''}, 'a path'],
    ['calibration.folder', {folder: 'f', batches: []}, 'left out where batches are given'],
    ['calibration.batches', {batches: 5}, 'an AsyncIterable or Iterable'],
    ['calibration.preprocess', {folder: 'f', preprocess: 'f'}, 'a function'],
    ['calibration.preprocess', {batches: [], preprocess: () => ({})}, 'left out without a folder'],
    ['calibration.algorithm', {cache: 'c', algorithm: 'entropy'}, "'entropy2' or 'min-max'"],
    ['calibration.batchSize', {cache: 'c', batchSize: 0}, 'at least 1'],
    ['calibration.maxBatches', {cache: 'c', maxBatches: 0}, 'at least 1'],
    ['calibration.key', {batches: [], key: 7}, 'a name'],
    ['calibration.batchsize', {batches: [], batchsize: 8}, 'one of batches, folder'],
    ['profiles[0].x.value', [{x: {...RANGE, value: true}}], 'one of min, opt, max, values'],
    ['layers[0].type', [{pattern: '*', precision: 'fp32', type: 'fp32'}], 'one of pattern, precision, outputType'],
    ['sparsity', 'yes', 'true or false'],
    ['optimizationLevel', 6, 'an integer from 0 to 5'],
    ['workspace', -1, 'an integer from 0'],
    ['workspace', '4GiB', 'an integer from 0'],
    ['tacticSources', 'cublas', 'a list'],
    ['tacticSources[1]', ['cublas', 'cudnn9'], "'cublas' or"],
    ['hardwareCompatibility', true, "'none' or 'ampere-plus'"],
    ['versionCompatible', 1, 'true or false'],
    ['excludeLeanRuntime', true, 'false without versionCompatible'],
    ['refit', null, 'true or false'],
    ['strip', 'x', 'true or false'],
    ['weightStreaming', 0, 'true or false'],
    ['profilingVerbosity', 'verbose', "'none' or 'layer-names-only'"],
    ['maxAuxStreams', -1, 'from 0'],
    ['averageTimingIterations', 0, 'from 1'],
    ['tiling', 'max', "'none' or 'fast'"],
    ['timingCache', true, 'a path or false'],
    ['cache', true, 'a path or false'],
    ['device', 1.5, 'from 0'],
    ['tensorrtPath', '', 'a path'],
    ['signal', {}, 'an AbortSignal'],
    ['onProgress', 'f', 'a function'],
    ['onLog', {}, 'a function'],
    ['logLevel', 'debug', "'error' or 'warning'"],
  ])('refuses %s of %j', (option, value, allowed) => {
    const name = option.split(/[.[]/)[0]!;
    const check = () => checkOptions({[name]: value});
    expect(check).toThrow(OptionError);
    expect(check).toThrow(expect.objectContaining({option, allowed: expect.stringContaining(allowed)}));
  });

  it('refuses what it does not know, and no place at all for the engine', () => {
    expect(() => checkOptions({fp16: true} as BuildOptions)).toThrow(/options\.fp16 must be one of output, name, precision/);
    expect(() => checkOptions({cache: false})).toThrow(/output must be a folder where cache is false/);
    expect(() => checkOptions(null as unknown as BuildOptions)).toThrow(OptionError);
  });
});
