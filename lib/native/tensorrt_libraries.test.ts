import {mkdir, mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';

import {afterAll, beforeAll, describe, expect, it} from 'vitest';

import {OptionError} from '../errors.js';
import {tensorrtCandidates} from './tensorrt_libraries.js';

const infer = 'libnvinfer.so.10';
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'tensorrt-node-candidates-'));
  await mkdir(path.join(folder, 'lib'));
  await writeFile(path.join(folder, 'lib', infer), '');
  await writeFile(path.join(folder, 'other.so'), '');
});
afterAll(() => rm(folder, {recursive: true, force: true}));

describe('an explicit path', () => {
  it.each<[string, (name: string) => string, () => string]>([
    ['a folder', (name) => path.join(name, 'lib'), () => path.join(folder, 'lib', infer)],
    ['a folder, relative', (name) => path.relative('.', path.join(name, 'lib')), () => path.join(folder, 'lib', infer)],
    // A bare name would send the loader to its own path.
    ['the working folder', () => '.', () => path.resolve(infer)],
    ['a file', (name) => path.join(name, 'other.so'), () => path.join(folder, 'other.so')],
    ['a file in the working folder', () => 'package.json', () => path.resolve('package.json')],
    ['a name for the loader', () => infer, () => infer],
    ['below a file', (name) => path.join(name, 'other.so', 'x'), () => path.join(folder, 'other.so', 'x')],
    ['with a zero', () => 'a\0b', () => 'a\0b'],
    ['too long', () => 'x'.repeat(100_000), () => 'x'.repeat(100_000)],
  ])('%s', (_name, given, expected) => {
    expect(tensorrtCandidates(given(folder), {})).toEqual([expected()]);
  });

  it.each([[''], [null], [5], [{}]])('%j is refused', (given) => {
    expect(() => tensorrtCandidates(given, {})).toThrow(OptionError);
    expect(() => tensorrtCandidates(given, {})).toThrow(/^tensorrtPath must be the path of libnvinfer/);
  });
});

describe('TENSORRT_ROOT', () => {
  it.each([
    ['holds it', () => folder, () => path.join(folder, 'lib', infer)],
    ['leads nowhere', () => '/nonexistent', () => path.join('/nonexistent/lib', infer)],
    ['is relative', () => path.relative('.', folder), () => path.join(folder, 'lib', infer)],
  ])('%s', (_name, root, expected) => {
    expect(tensorrtCandidates(undefined, {TENSORRT_ROOT: root()}).slice(0, 2)).toEqual([expected(), infer]);
  });

  it('is the folder of the library itself, relative', () => {
    const root = path.relative('.', path.join(folder, 'lib'));
    expect(tensorrtCandidates(undefined, {TENSORRT_ROOT: root})[0]).toBe(path.join(folder, 'lib', infer));
  });
});
