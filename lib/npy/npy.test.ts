import {readFile, writeFile} from 'node:fs/promises';

import {describe, expect, it} from 'vitest';

import {temporaryFolder} from '../../test/support/temporary_folder.js';
import {type Tensor, tensorArray} from '../engine/tensor.js';
// Written by NumPy 2: np.lib.format.write_array of the arrays below, in base64.
import files from './fixtures/numpy.json' with {type: 'json'};
import {readNpy, writeNpy} from './npy.js';

const folder = temporaryFolder();

function tensor(type: Tensor['type'], dims: number[], bytes: ArrayBufferView): Tensor {
  const buffer = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) as ArrayBuffer;
  return {type, dims, data: tensorArray(type, dims, buffer)};
}

const numpys: [keyof typeof files, Tensor][] = [
  ['float32', tensor('float32', [2, 3], Float32Array.of(1.5, -2, 3, 4, 5, 6.25))],
  ['float16', tensor('float16', [3], Uint16Array.of(0x3c00, 0x3800, 0xfbff))],
  ['int64 scalar', tensor('int64', [], BigInt64Array.of(-7n))],
  ['bool', tensor('bool', [2, 1], Uint8Array.of(1, 0))],
  [
    'fortran',
    tensor(
      'int32',
      [2, 3, 4],
      Int32Array.from({length: 24}, (_, index) => index),
    ),
  ],
  ['big endian', tensor('int32', [3], Int32Array.of(1, 2, -3))],
  ['version 3', tensor('uint8', [2], Uint8Array.of(1, 2))],
  ['empty', tensor('int8', [0, 4], new Int8Array())],
];

describe('what NumPy wrote', () => {
  it.each(numpys)('%s', async (name, expected) => {
    const file = folder('numpy.npy');
    await writeFile(file, files[name], 'base64');
    expect(await readNpy(file)).toEqual(expected);
  });

  it.each(numpys.filter(([name]) => !['fortran', 'big endian', 'version 3'].includes(name)))(
    'is what is written: %s',
    async (name, given) => {
      const file = folder('written.npy');
      await writeNpy(file, given);
      expect(await readFile(file, 'base64')).toBe(files[name]);
    },
  );
});

describe('types that NumPy has not', () => {
  it.each<[Tensor, Tensor]>([
    [tensor('bfloat16', [1, 2], Uint16Array.of(0x3f80, 0xc000)), tensor('bfloat16', [1, 2], Uint16Array.of(0x3f80, 0xc000))],
    [tensor('float8e4m3fn', [2], Uint8Array.of(0x38, 0xb8)), tensor('uint8', [2], Uint8Array.of(0x38, 0xb8))],
    [tensor('int4', [1, 3], Uint8Array.of(0x21, 0x03)), tensor('uint8', [2], Uint8Array.of(0x21, 0x03))],
  ])('%j is written as its bits', async (given, read) => {
    const file = folder('bits.npy');
    await writeNpy(file, given);
    expect(await readNpy(file)).toEqual(read);
  });
});

describe('refuses', () => {
  const sound = Buffer.from(files.float32, 'base64');
  const changed = (from: string, to: string) => Buffer.from(sound.toString('latin1').replace(from, to), 'latin1');

  it.each<[string, Buffer, RegExp]>([
    ['an empty file', Buffer.alloc(0), /is not a \.npy file/],
    ['another file', Buffer.from('PK\x03\x04 a zip, such as .npz files are'), /is not a \.npy file/],
    ['a header cut short', sound.subarray(0, 60), /ends within its header/],
    ['data cut short', sound.subarray(0, -1), /has 23 bytes of data where \[2, 3\] needs 24/],
    ['data too long', Buffer.concat([sound, Buffer.alloc(1)]), /has 25 bytes of data/],
    ['an unknown version', changed('\x01\x00', '\x09\x00'), /has a header of version 9/],
    ['a header of gigabytes', changed('\x01\x00v\x00', '\x02\x00\xff\xff'), /has a header of version 2/],
    ['no shape', changed("'shape'", "'shade'"), /has a header without type, order or shape/],
    ['a shape below zero', changed('(2, 3)', '(-2,3)'), /has a header without type, order or shape/],
    ['a shape beyond all memory', changed('(2, 3), }               ', '(99999999, 99999999999),'), /has the shape/],
    ['float64', Buffer.from(files.float64, 'base64'), /holds elements of type '<f8', which engines have not \(save it with \.astype/],
    ['a structure', Buffer.from(files.structure, 'base64'), /has a header without type, order or shape/],
  ])('%s', async (_name, bytes, message) => {
    const file = folder('refused.npy');
    await writeFile(file, bytes);
    await expect(readNpy(file)).rejects.toMatchObject({
      name: 'FormatError',
      code: 'ERR_NPY',
      path: file,
      message: expect.stringMatching(message),
    });
  });

  it('a file that is not there, and a folder', async () => {
    await expect(readNpy(folder('missing.npy'))).rejects.toMatchObject({code: 'ERR_NOT_FOUND'});
    await expect(readNpy(folder())).rejects.toMatchObject({code: 'ERR_NPY', message: expect.stringContaining('is not a file')});
  });
});
