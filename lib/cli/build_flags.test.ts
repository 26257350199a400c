import {InvalidArgumentError} from 'commander';
import {describe, expect, it} from 'vitest';

import {rebuildCommand} from '../engine/build/command_line.js';
import type {EngineManifest} from '../engine/manifest.js';
import {bytes, calibrationOptions, layer, list, profile} from './build_flags.js';
import {UsageError} from './errors.js';

describe('bytes', () => {
  it.each([
    ['1024', 1024],
    ['4GiB', 4 * 2 ** 30],
    ['1.5 MiB', 1.5 * 2 ** 20],
    ['500MB', 5e8],
    ['0', 0],
  ])('%s', (text, expected) => {
    expect(bytes(text)).toBe(expected);
  });
  it.each([[''], ['GiB'], ['-1'], ['4gib'], ['1e9'], ['4 constructor']])('refuses %j', (text) => {
    expect(() => bytes(text)).toThrow(InvalidArgumentError);
  });
});

describe('profile', () => {
  const same = (dims: number[]) => ({min: dims, opt: dims, max: dims});
  it.each([
    ['x=1x3:2x3:4x3', {x: {min: [1, 3], opt: [2, 3], max: [4, 3]}}],
    ['x=1x3', {x: same([1, 3])}],
    ['a=1,b:0=2x2,/c.d=3', {a: same([1]), 'b:0': same([2, 2]), '/c.d': same([3])}],
    ['shape:=1x-1:2x0:3x8', {shape: {min: [1, -1], opt: [2, 0], max: [3, 8], values: true}}],
    ['a=b=1', {'a=b': same([1])}],
  ])('%s', (text, expected) => {
    expect(profile(text)).toEqual([expected]);
    expect(profile(text, [{y: [1]}])).toEqual([{y: [1]}, expected]);
  });
  it.each([['x'], ['=1'], ['x=1x'], ['x=1:2'], ['x=1:2:3:4'], ['x=a'], ['x=1,y'], ['x=1.5']])('refuses %j', (text) => {
    expect(() => profile(text)).toThrow(InvalidArgumentError);
  });
});

describe('layer', () => {
  it.each([
    ['/head/*=fp32', {pattern: '/head/*', precision: 'fp32', outputType: undefined}],
    ['a=b=fp16:fp32', {pattern: 'a=b', precision: 'fp16', outputType: 'fp32'}],
    ['a=:fp32', {pattern: 'a', precision: undefined, outputType: 'fp32'}],
  ])('%s', (text, expected) => {
    expect(layer(text)).toEqual([expected]);
  });
  it.each([['a'], ['=fp32'], ['a=fp32:fp32:fp32']])('refuses %j', (text) => {
    expect(() => layer(text)).toThrow(InvalidArgumentError);
  });
});

describe('calibrationOptions', () => {
  it('is nothing without flags', async () => {
    expect(await calibrationOptions({})).toBeUndefined();
    expect(list('cublas,,cudnn')).toEqual(['cublas', 'cudnn']);
  });

  it('names a preprocessing module that is not there or has no function', async () => {
    await expect(calibrationOptions({preprocess: '/nonexistent.mjs'})).rejects.toThrow(UsageError);
    await expect(calibrationOptions({preprocess: 'vitest.config.ts'})).rejects.toThrow(/has no function as its default export/);
  });
});

describe('the command of a manifest', () => {
  it('gives back the options it was made of', () => {
    const options = {
      precision: 'int8',
      typing: 'weak',
      profiles: profile('x=1x4:2x4:8x4,shape:=1:2:3'),
      layers: layer('a=fp32:fp16', layer('b=:fp16')),
      layerConstraints: 'prefer',
      workspace: 1024,
      tacticSources: ['cublas', 'cudnn'],
      hardwareCompatibility: 'none',
      refit: true,
      sparsity: false,
      calibration: {algorithm: 'entropy2'},
    };
    const command = rebuildCommand('.', {source: {file: 'm.onnx'}, options} as unknown as EngineManifest);
    expect(command).toBe(
      'npx tensorrt-node build m.onnx . --precision int8 --typing weak --profile x=1x4:2x4:8x4,shape:=1:2:3 ' +
        '--layer b=:fp16 --layer a=fp32:fp16 --layer-constraints prefer --workspace 1024 --tactic-sources cublas,cudnn ' +
        '--refit --calibration-folder SAMPLES',
    );
    expect(profile('x=1x4:2x4:8x4,shape:=1:2:3')).toEqual(options.profiles);
  });

  it('survives a manifest whose options are anything', () => {
    const options = {precision: {}, profiles: [null, 5, {x: {}}], layers: [null, 'x'], tacticSources: 'x', refit: 'yes', __proto__: null};
    expect(rebuildCommand('.', {source: {}, options} as unknown as EngineManifest)).toMatch(/^npx tensorrt-node build MODEL\.onnx \. /);
  });
});
