import {mkdir, mkdtemp, readFile, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import {afterEach, beforeEach, describe, expect, it} from 'vitest';

import {OptionError} from '../../../errors.js';
import {writeNpy} from '../../../npy/npy.js';
import type {Progress} from '../../../progress.js';
import type {Tensor} from '../../tensor.js';
import type {ModelInput} from '../model_source.js';
import type {Batch} from './batch_source.js';
import {type ExpectedInput, IterableBatches} from './batches.js';
import {Calibration} from './calibration.js';
import {folderBatches, hashFolder} from './folder.js';
import {decodeImage, loadSharp, type Sharp} from './image.js';
import type {CalibrationOptions} from './options.js';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tensorrt-node-calibration-'));
});
afterEach(() => rm(folder, {recursive: true}));

const float = (dims: number[], ...values: number[]): Tensor => ({type: 'float32', dims, data: Float32Array.from(values)});
const X: ExpectedInput = {name: 'x', type: 'float32', dims: [2, 2]};

async function valuesOf(batches: AsyncIterable<Readonly<Record<string, Tensor>>>): Promise<{dims: readonly number[]; values: number[]}[]> {
  const found = [];
  for await (const {x} of batches) found.push({dims: x!.dims, values: [...(x!.data as Float32Array)]});
  return found;
}

function bytesOf(batch: Batch | null): number[] {
  const {buffer, byteOffset, byteLength} = batch!.x!;
  return [...new Float32Array(buffer.slice(byteOffset, byteOffset + byteLength))];
}

describe('IterableBatches', () => {
  it('asks for one batch more than was taken, up to the last', async () => {
    const asked: number[] = [];
    const progress: Progress[] = [];
    function* batches() {
      for (let index = 0; ; index++) {
        asked.push(index);
        yield {x: float([2, 2], index, 0, 0, 0)};
      }
    }
    const source = new IterableBatches(batches(), [X], 3, (each) => progress.push(each));
    expect(asked).toEqual([]);
    expect(bytesOf(await source.next())).toEqual([0, 0, 0, 0]);
    await new Promise(setImmediate);
    expect(asked).toEqual([0, 1]);
    expect(bytesOf(await source.next())).toEqual([1, 0, 0, 0]);
    expect(bytesOf(await source.next())).toEqual([2, 0, 0, 0]);
    expect(await source.next()).toBeNull();
    expect(await source.next()).toBeNull();
    expect(asked).toEqual([0, 1, 2]);
    expect(progress.map(({done}) => done)).toEqual([1, 2, 3]);
  });

  it('gives a part of a larger buffer as one of its own, as messages carry whole buffers', async () => {
    const all = Float32Array.of(9, 9, 1, 2, 3, 4, 9, 9);
    const source = new IterableBatches([{x: {type: 'float32', dims: [2, 2], data: all.subarray(2, 6)}}], [X], 1, undefined);
    const {x} = (await source.next())!;
    expect([...new Float32Array(x!.buffer)]).toEqual([1, 2, 3, 4]);
    expect(x).toMatchObject({byteOffset: 0, byteLength: 16, dims: [2, 2]});
  });

  it('ends an iterable that it leaves, and does not wait for one that hangs', async () => {
    let ended = false;
    async function* batches() {
      try {
        yield {x: float([2, 2], 1, 2, 3, 4)};
        await new Promise(setImmediate);
        yield {x: float([2, 2], 1, 2, 3, 4)};
      } finally {
        ended = true;
      }
    }
    const source = new IterableBatches(batches(), [X], 9, undefined);
    await source.next();
    await source.close();
    while (!ended) await new Promise(setImmediate);
    const hanging = new IterableBatches({[Symbol.asyncIterator]: () => ({next: () => new Promise<never>(() => {})})}, [X], 9, undefined);
    void hanging.next();
    await hanging.close();
  });

  it('does not lose an error of the batch ahead', async () => {
    async function* batches() {
      yield {x: float([2, 2], 1, 2, 3, 4)};
      throw new RangeError('gone');
    }
    const source = new IterableBatches(batches(), [X], 9, undefined);
    await source.next();
    await new Promise(setImmediate);
    await expect(source.next()).rejects.toThrow(new RangeError('gone'));
  });

  it.each<[string, unknown, string]>([
    ['no object', 5, 'calibration.batches[0]'],
    ['no such input', {y: float([2, 2], 1, 2, 3, 4)}, 'calibration.batches[0].y'],
    ['no tensor', {}, 'calibration.batches[0].x'],
    ['another shape', {x: float([1, 2], 1, 2)}, 'calibration.batches[0].x'],
    ['another type', {x: {type: 'int32', dims: [2, 2], data: new Int32Array(4)}}, 'calibration.batches[0].x.type'],
    ['another array', {x: {type: 'float32', dims: [2, 2], data: [1, 2, 3, 4]}}, 'calibration.batches[0].x.data'],
    ['too few elements', {x: float([2, 2], 1, 2)}, 'calibration.batches[0].x.data'],
  ])('refuses %s by its place', async (_name, batch, option) => {
    const source = new IterableBatches([batch as {x: Tensor}], [X], 9, undefined);
    await expect(source.next()).rejects.toMatchObject({name: 'OptionError', option});
  });
});

describe('a folder of .npy files', () => {
  const put = (name: string, tensor: Tensor) => writeNpy(join(folder, name), tensor);

  it('is one sample a file or several, in batches by name, without what is left over', async () => {
    await put('b.npy', float([3, 2], 3, 4, 5, 6, 7, 8));
    await put('a.npy', float([2], 1, 2));
    await put('c.npy', float([1, 2], 9, 10));
    await writeFile(join(folder, 'readme.txt'), '');
    expect(await valuesOf(await folderBatches(folder, undefined, [X], 2))).toEqual([
      {dims: [2, 2], values: [1, 2, 3, 4]},
      {dims: [2, 2], values: [5, 6, 7, 8]},
    ]);
  });

  it.each<[string, () => Promise<void>, ExpectedInput[], string]>([
    ['nothing in it', async () => {}, [X], 'a folder with .npy files'],
    ['pictures alone', () => writeFile(join(folder, 'a.png'), ''), [X], 'given, as the folder has pictures'],
    ['another type', () => put('a.npy', {type: 'int32', dims: [2], data: new Int32Array(2)}), [X], 'float32 [2], or several of them'],
    ['another shape', () => put('a.npy', float([3], 1, 2, 3)), [X], "for input 'x'"],
    ['too little for a batch', () => put('a.npy', float([2], 1, 2)), [X], 'at least 2 samples'],
    ['a model of two inputs', () => put('a.npy', float([2], 1, 2)), [X, {...X, name: 'y'}], 'the model has 2 inputs'],
  ])('with %s is refused', async (_name, fill, expected, allowed) => {
    await fill();
    const take = async () => valuesOf(await folderBatches(folder, undefined, expected, 2));
    await expect(take()).rejects.toThrow(expect.objectContaining({code: 'ERR_OPTION', allowed: expect.stringContaining(allowed)}));
  });

  it('is known by names and contents of the files that count', async () => {
    const hash = () => hashFolder(folder, false, undefined);
    await put('a.npy', float([2], 1, 2));
    const first = await hash();
    await writeFile(join(folder, 'notes.txt'), 'x');
    expect(await hash()).toBe(first);
    await put('a.npy', float([2], 1, 3));
    const second = await hash();
    await put('b.npy', float([2], 1, 3));
    expect(new Set([first, second, await hash()]).size).toBe(3);
    await expect(hashFolder(join(folder, 'none'), false, undefined)).rejects.toThrow(/a folder that can be read \(ENOENT\)/);
  });
});

describe('a folder of pictures', () => {
  /** One that takes a file's text for its width and grey value. */
  const sharp = ((path: string) => {
    const image = {
      rotate: () => image,
      removeAlpha: () => image,
      toColourspace: () => image,
      raw: () => image,
      async toBuffer() {
        const value = Number(await readFile(path, 'utf8'));
        if (Number.isNaN(value)) throw new Error('unsupported image format');
        return {data: new Uint8Array(3).fill(value), info: {width: 1, height: 1, channels: 3}};
      },
    };
    return image;
  }) as unknown as Sharp;

  it('goes through the hook, a sample each', async () => {
    for (const value of [1, 2, 3, 4]) await writeFile(join(folder, `${value}.${value % 2 ? 'png' : 'JPG'}`), String(value));
    const seen: string[] = [];
    const preprocess = async ({path, width, height, channels, pixels}: Parameters<NonNullable<CalibrationOptions['preprocess']>>[0]) => {
      seen.push(path);
      return float([1, 2], pixels[0]!, width * height * channels);
    };
    const batches = await folderBatches(folder, preprocess, [X], 2, sharp);
    expect(await valuesOf(batches)).toEqual([
      {dims: [2, 2], values: [1, 3, 2, 3]},
      {dims: [2, 2], values: [3, 3, 4, 3]},
    ]);
    expect(seen).toEqual(['1.png', '2.JPG', '3.png', '4.JPG'].map((name) => join(folder, name)));
  });

  it('may make tensors for several inputs; one of a fixed shape stands for the batch', async () => {
    for (const value of [1, 2]) await writeFile(join(folder, `${value}.png`), String(value));
    const rate: ExpectedInput = {name: 'rate', type: 'float32', dims: []};
    const batches = await folderBatches(
      folder,
      ({pixels}) => ({x: float([1, 2], pixels[0]!, 0), rate: float([], 16)}),
      [X, rate],
      2,
      sharp,
    );
    const found = [];
    for await (const batch of batches) found.push(batch);
    expect(found).toEqual([{x: float([2, 2], 1, 0, 2, 0), rate: float([], 16)}]);
  });

  it.each<[string, () => unknown, string]>([
    ['nothing', () => undefined, 'a tensor or tensors by input'],
    ['no tensor for an input', () => ({}), "with a tensor for input 'x'"],
    ['two samples at once', () => float([2, 2], 1, 2, 3, 4), 'tensors of one type and shape, [1, 2]'],
  ])('refuses a hook that makes %s', async (_name, make, allowed) => {
    for (const value of [1, 2]) await writeFile(join(folder, `${value}.png`), String(value));
    const take = async () => valuesOf(await folderBatches(folder, make as () => Tensor, [X], 2, sharp));
    await expect(take()).rejects.toThrow(expect.objectContaining({code: 'ERR_OPTION', allowed: expect.stringContaining(allowed)}));
  });

  it('names a file that is no picture, and the package that is missing', async () => {
    const path = join(folder, 'a.png');
    await writeFile(path, 'text');
    await expect(decodeImage(sharp, path)).rejects.toMatchObject({
      code: 'ERR_IMAGE',
      path,
      message: expect.stringContaining('unsupported'),
    });
    const missing = () => Promise.reject(new Error("Cannot find package 'sharp'"));
    await expect(loadSharp(missing)).rejects.toMatchObject({code: 'ERR_NOT_FOUND', hint: 'npm install sharp'});
    expect(await loadSharp(async () => ({default: sharp}))).toBe(sharp);
  });
});

describe('Calibration', () => {
  const input = (name: string, ...dims: (number | string)[]): ModelInput => ({name, type: 'float32', dims});
  const inputs = [input('x', 'n', 4)];
  const profile = {x: {min: [1, 4], opt: [2, 4], max: [8, 4]}};
  const open = (options: CalibrationOptions, of = inputs) => Calibration.open(options, of, of === inputs ? profile : undefined, undefined);

  it('takes the batch size from the profile, the model, or the options', async () => {
    expect((await open({batches: []})).options).toEqual({algorithm: 'entropy2', batchSize: 2, maxBatches: 500});
    expect((await open({batches: [], batchSize: 5, algorithm: 'min-max'})).options).toMatchObject({batchSize: 5, algorithm: 'min-max'});
    expect((await open({batches: []}, [input('x', 16, 4)])).options.batchSize).toBe(16);
    expect((await open({batches: []}, [input('x')])).options.batchSize).toBe(1);
    await expect(open({batches: [], batchSize: 3}, [input('x', 16, 4)])).rejects.toThrow(/calibration.batchSize must be 16/);
  });

  it('is known by what it calibrates with, or not at all', async () => {
    const cache = join(folder, 'ranges');
    const arrays = join(folder, 'arrays');
    await mkdir(arrays);
    await writeNpy(join(arrays, 'a.npy'), float([4], 1, 2, 3, 4));
    await writeFile(join(arrays, 'a.png'), '');
    const preprocess = () => float([1, 4], 1, 2, 3, 4);
    const identity = async (options: CalibrationOptions) => (await open(options)).identity;
    expect(await identity({batches: []})).toBeUndefined();
    expect(await identity({folder: arrays, preprocess})).toBeUndefined();
    const known = [
      await identity({batches: [], key: 'a'}),
      await identity({batches: [], key: 'b'}),
      await identity({folder: arrays}),
      await identity({folder: arrays, preprocess, key: 'a'}),
      await identity({folder: arrays, preprocess, key: 'b'}),
    ];
    await expect(identity({cache})).rejects.toThrow(OptionError);
    await writeFile(cache, 'ranges');
    known.push(await identity({cache}), await identity({folder: arrays, cache}));
    expect(new Set(known).size).toBe(6);
    expect(known[5]).toBe(known[6]);
  });

  it('takes the algorithm from the calibration cache, and refuses another', async () => {
    const cache = join(folder, 'min-max');
    await writeFile(cache, 'TRT-100600-MinMaxCalibration\nx: 3c010a14\n');
    expect((await open({cache})).options.algorithm).toBe('min-max');
    expect((await open({cache, algorithm: 'min-max'})).options.algorithm).toBe('min-max');
    await expect(open({cache, algorithm: 'entropy2'})).rejects.toThrow(/calibration\.algorithm.*'min-max', which made .*entropy2/);
  });

  it('uses a calibration cache that is there, and writes one that is not', async () => {
    const cache = join(folder, 'ranges');
    const scratch = join(folder, 'scratch');
    const first = await open({batches: [], key: 'k', cache});
    expect(first.native(scratch)).toEqual({algorithm: 'entropy2', batchSize: 2, cache: undefined, cacheOut: scratch});
    expect(await first.keepCache(scratch)).toBeUndefined();
    await writeFile(scratch, 'ranges');
    const known = await first.keepCache(scratch);
    expect(await readFile(cache, 'utf8')).toBe('ranges');
    const second = await open({batches: [], key: 'k', cache});
    expect(second.identity).toBe(known);
    expect(second.native(scratch)).toEqual({algorithm: 'entropy2', batchSize: 2, cache, cacheOut: undefined});
    expect(await second.start(undefined)).toBeUndefined();
  });
});
