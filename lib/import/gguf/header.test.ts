import {open, writeFile} from 'node:fs/promises';

import {describe, expect, it} from 'vitest';

import {
  bool,
  bytes32,
  f32,
  f32s,
  falseArray,
  type GgufFile,
  type GgufTensor,
  type GgufValue,
  ggufBytes,
  i32s,
  string,
  strings,
  u32,
  u64,
} from '../../../test/support/gguf_file.js';
import {temporaryFolder} from '../../../test/support/temporary_folder.js';
import {FormatError, UnsupportedError} from '../../errors.js';
import {InputFile} from '../input_file.js';
import {type Header, readHeader} from './header.js';

const folder = temporaryFolder();

async function read(file: GgufFile | Buffer): Promise<Header> {
  const path = folder('model.gguf');
  await writeFile(path, Buffer.isBuffer(file) ? file : ggufBytes(file));
  const input = await InputFile.open(path);
  try {
    return await readHeader(input);
  } finally {
    await input[Symbol.asyncDispose]();
  }
}

const tensor: GgufTensor = {name: 'a', type: 'F32', dimensions: [4, 2], data: new Uint8Array(32)};
const huge = 2n ** 60n;

describe('readHeader', () => {
  it('reads metadata of every type', async () => {
    const metadata = {
      int: u32(7),
      large: u64(5),
      larger: u64(2n ** 63n),
      float: f32(0.5),
      yes: bool(true),
      text: string('é'),
      texts: strings(['a', '', 'ü']),
      ints: i32s([1, -1]),
      floats: f32s([0.25]),
    };
    const header = await read({metadata});
    expect(header.metadata.integer('int')).toBe(7);
    expect(header.metadata.integer('large')).toBe(5);
    expect(header.metadata.get('larger')).toBe(2n ** 63n);
    expect(header.metadata.number('float')).toBe(0.5);
    expect(header.metadata.boolean('yes')).toBe(true);
    expect(header.metadata.string('text')).toBe('é');
    expect(header.metadata.strings('texts')).toEqual(['a', '', 'ü']);
    expect(header.metadata.numbers('ints')).toEqual(Int32Array.of(1, -1));
    expect(header.metadata.numbers('floats')).toEqual(Float32Array.of(0.25));
    expect(header.metadata.string('none')).toBeUndefined();
  });

  it('reads an array of strings that spans its buffer', async () => {
    const texts = Array.from({length: 200_000}, (_, i) => `token ${i}`);
    const header = await read({metadata: {texts: strings(texts)}});
    expect(header.metadata.strings('texts')).toEqual(texts);
  });

  it.each([2, 3])('reads where the tensors of version %i lie, outermost size first', async (version) => {
    const quantised: GgufTensor = {name: 'b', type: 'Q4_1', dimensions: [64, 3], data: new Uint8Array(120)};
    const {tensors} = await read({version, tensors: [tensor, quantised]});
    expect(tensors).toEqual([
      {name: 'a', type: 'F32', shape: [2, 4], position: 128, byteLength: 32},
      {name: 'b', type: 'Q4_1', shape: [3, 64], position: 160, byteLength: 120},
    ]);
  });

  it('honours general.alignment', async () => {
    const {tensors} = await read({alignment: 256, metadata: {'general.alignment': u32(256)}, tensors: [tensor]});
    expect(tensors[0]!.position).toBe(256);
  });

  const metadataCases: [string, GgufValue, string][] = [
    ['a boolean of 2', {type: 7, bytes: Buffer.of(2)}, 'metadata key is a boolean of value 2 at byte 39'],
    ['an unknown type', {type: 13, bytes: Buffer.alloc(8)}, 'metadata key has the unknown type 13 at byte 35'],
    ['a huge string', {type: 8, bytes: u64(huge).bytes}, `${huge} bytes of metadata key cannot fit in the 0 bytes that follow at byte 39`],
    ['a huge array', falseArray(4, huge), `${huge} elements of metadata key cannot fit in the 0 bytes that follow at byte 43`],
    ['a huge array of strings', falseArray(8, 2n ** 63n), 'cannot fit in the 0 bytes that follow at byte 43'],
    ['an array of an unknown type', falseArray(99, 1), 'metadata key has the unknown type 99 at byte 39'],
    [
      'arrays of arrays',
      {type: 9, bytes: Buffer.concat([falseArray(9, 1).bytes, i32s([3]).bytes])},
      'metadata key is an array of arrays at byte 39',
    ],
    [
      'more elements than any array',
      {type: 9, bytes: Buffer.concat([falseArray(0, 2 ** 22 + 1).bytes, Buffer.alloc(2 ** 22 + 1)])},
      '4194305 elements of metadata key are more than the 4194304 allowed at byte 43',
    ],
    [
      'a string longer than any',
      {type: 8, bytes: Buffer.concat([u64(2 ** 24 + 1).bytes, Buffer.alloc(2 ** 24 + 1)])},
      '16777217 bytes of metadata key are more than the 16777216 allowed at byte 39',
    ],
  ];
  it.each(metadataCases)('refuses %s', async (_, value, message) => {
    await expect(read({metadata: {key: value}})).rejects.toThrow(message);
  });

  it('refuses a header that does not end', async () => {
    // Nine strings of 16 MB each; the file is a hole but for their lengths.
    const path = folder('endless.gguf');
    await writeFile(path, ggufBytes({entryCount: 9}));
    await using file = await open(path, 'r+');
    let at = 24;
    for (let key = 0; key < 9; key++) {
      const entry = Buffer.concat([string(`${key}`).bytes, bytes32(8), u64(2 ** 24).bytes]);
      await file.write(entry, 0, entry.length, at);
      at += entry.length + 2 ** 24;
    }
    await file.truncate(at);
    await using input = await InputFile.open(path);
    await expect(readHeader(input)).rejects.toThrow('the header does not end within the 134217728 bytes allowed; metadata 7 at byte');
  });

  const fileCases: [string, GgufFile | Buffer, string][] = [
    ['an empty file', Buffer.alloc(0), 'truncated: the magic and version takes 8 bytes, 0 are left at byte 0'],
    ['another magic', {magic: 'GGML'}, 'not a GGUF file: the magic is not "GGUF" at byte 0'],
    ['version 1', {version: 1}, 'GGUF version 1 is not read, only 2 and 3: version at byte 4'],
    ['version 4', {version: 4}, 'GGUF version 4 is not read'],
    ['a big-endian file', {version: 0x03000000}, 'big-endian GGUF is not read'],
    ['more tensors than bytes', {tensorCount: huge}, `${huge} tensors cannot fit in the 8 bytes that follow at byte 8`],
    ['more metadata than bytes', {entryCount: 2n ** 64n - 1n}, 'metadata entries cannot fit in the 0 bytes that follow at byte 16'],
    [
      'more metadata than any model',
      Buffer.concat([ggufBytes({entryCount: 2 ** 16 + 1}), Buffer.alloc(2 ** 20)]),
      '65537 metadata entries are more than the 65536 allowed at byte 16',
    ],
    [
      'more tensors than any model',
      Buffer.concat([ggufBytes({tensorCount: 2 ** 16 + 1}), Buffer.alloc(2 ** 21)]),
      '65537 tensors are more than the 65536 allowed at byte 8',
    ],
    ['one metadata entry too few', {metadata: {a: u32(1)}, entryCount: 2}, '2 metadata entries cannot fit in the 17 bytes'],
    [
      'a key twice',
      {
        metadata: [
          ['a', u32(1)],
          ['a', u32(2)],
        ],
      },
      'metadata "a" is there twice, again at byte 41',
    ],
    ['an alignment of 0', {metadata: {'general.alignment': u32(0)}}, 'general.alignment is 0, not a power of two'],
    ['an alignment of 48', {metadata: {'general.alignment': u32(48)}}, 'general.alignment is 48, not a power of two'],
    ['a name that is not UTF-8', ggufBytes({tensors: [tensor]}).fill(0xff, 32, 33), 'a tensor name is not UTF-8 at byte 24'],
    ['no dimensions', {tensors: [{...tensor, dimensions: []}]}, 'tensor "a" has 0 dimensions, not 1 to 4, entry at byte 24'],
    ['five dimensions', {tensors: [{...tensor, dimensions: [1, 1, 1, 1, 1]}]}, 'tensor "a" has 5 dimensions'],
    ['a dimension of 0', {tensors: [{...tensor, dimensions: [4, 0]}]}, 'tensor "a" has an impossible size of 0 in dimension 1'],
    ['sizes that overflow', {tensors: [{...tensor, dimensions: [2n ** 32n, 2n ** 32n]}]}, 'tensor "a" has an impossible size'],
    ['sizes that overflow to a small number', {tensors: [{...tensor, dimensions: [2n ** 63n, 2]}]}, 'tensor "a" has an impossible size'],
    ['an absurd size', {tensors: [{...tensor, dimensions: [2 ** 40]}]}, `truncated: tensor "a" takes ${2 ** 42} bytes at byte 64`],
    [
      'rows that are no blocks',
      {tensors: [{...tensor, type: 'Q8_0', dimensions: [33]}]},
      'rows of 33 elements, not whole Q8_0 blocks of 32',
    ],
    ['an offset between places', {tensors: [{...tensor, offset: 8}]}, 'tensor "a" has the offset 8, not a multiple of the alignment 32'],
    ['an offset past the end', {tensors: [{...tensor, offset: huge}]}, `tensor "a" has the impossible offset ${huge}`],
    ['an offset beyond the file', {tensors: [{...tensor, offset: 2n ** 40n}]}, 'truncated: tensor "a" takes 32 bytes'],
    ['a tensor twice', {tensors: [tensor, tensor]}, 'tensor "a" is there twice, again at byte 65'],
    ['tensors that overlap', {tensors: [tensor, {...tensor, name: 'b', offset: 0}]}, 'tensors "a" and "b" overlap at byte'],
  ];
  it.each(fileCases)('refuses %s', async (_, file, message) => {
    const error = await read(file).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(FormatError);
    expect(error).toMatchObject({code: 'ERR_GGUF', path: folder('model.gguf')});
    expect((error as Error).message).toContain(message);
  });

  it.each([
    [6, 'Q5_0'],
    [10, 'Q2_K'],
    [23, 'IQ4_XS'],
    [39, 'MXFP4'],
    [26, 'I32'],
    [4, 'number 4'],
    [1000, 'number 1000'],
  ])('names the type %i it does not read', async (type, name) => {
    const error = await read({tensors: [{...tensor, type, dimensions: [256]}]}).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(UnsupportedError);
    expect((error as Error).message).toContain(`tensor "a" has the GGUF type ${name}, which is not read`);
  });

  it.each([
    ['integer', 'text', 'must be an integer, got "x"'],
    ['string', 'int', 'must be a string, got "1"'],
    ['strings', 'ints', 'must be an array of strings, got an array'],
    ['numbers', 'text', 'must be an array of numbers, got "x"'],
    ['boolean', 'int', 'must be a boolean'],
    ['number', 'nan', 'must be a finite number, got "NaN"'],
    ['integer', 'half', 'must be an integer, got "0.5"'],
  ] as const)('checks the type that %s of %s returns', async (getter, key, message) => {
    const {metadata} = await read({metadata: {text: string('x'), int: u32(1), ints: i32s([1]), nan: f32(Number.NaN), half: f32(0.5)}});
    expect(() => metadata[getter](key)).toThrow(`metadata ${key} ${message}`);
  });
});
