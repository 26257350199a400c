/**
 * Reads a GGUF header: metadata and where each tensor lies (github.com/ggml-org/ggml/blob/master/docs/gguf.md).
 *
 * A reader of our own rather than `@huggingface/gguf`: that one takes local files through a network-shaped buffer of
 * at most 50 MB, cuts strings silently where the file ends, and checks neither offsets, nor alignment, nor duplicates,
 * nor tensors' extents against the file. Here every count, length and offset is checked against the file's size
 * before anything of that size is allocated, and errors say at which byte.
 */

import {FormatError, UnsupportedError} from '../../errors.js';
import type {TensorType} from '../checkpoint.js';
import type {InputFile} from '../input_file.js';
import {BLOCKS, byteLength} from '../numeric/blocks.js';
import {quote, refuseOverlaps, type TensorInfo} from '../tensor_info.js';
import {Cursor} from './cursor.js';
import {type Metadata, readMetadata} from './metadata.js';

export interface Header {
  metadata: Metadata;
  tensors: TensorInfo[];
}

const MAGIC = 0x46554747; // 'GGUF'
const MAX_DIMENSIONS = 4; // GGML_MAX_DIMS
const DEFAULT_ALIGNMENT = 32;

/** Smallest possible metadata entry: an empty key, a type, one byte. */
const ENTRY_BYTES = 8 + 4 + 1;
/** Smallest possible tensor entry: an empty name, a dimension count, a type, an offset. */
const TENSOR_BYTES = 8 + 4 + 4 + 8;
/** Models have some tens of metadata entries and a few thousand tensors at most. */
const MAX_ENTRIES = 1 << 16;

/** `enum ggml_type`, for the types read and for the names of the others. */
const TYPES: Readonly<Record<number, string>> = {
  0: 'F32',
  1: 'F16',
  2: 'Q4_0',
  3: 'Q4_1',
  6: 'Q5_0',
  7: 'Q5_1',
  8: 'Q8_0',
  9: 'Q8_1',
  10: 'Q2_K',
  11: 'Q3_K',
  12: 'Q4_K',
  13: 'Q5_K',
  14: 'Q6_K',
  15: 'Q8_K',
  16: 'IQ2_XXS',
  17: 'IQ2_XS',
  18: 'IQ3_XXS',
  19: 'IQ1_S',
  20: 'IQ4_NL',
  21: 'IQ3_S',
  22: 'IQ2_S',
  23: 'IQ4_XS',
  24: 'I8',
  25: 'I16',
  26: 'I32',
  27: 'I64',
  28: 'F64',
  29: 'IQ1_M',
  30: 'BF16',
  34: 'TQ1_0',
  35: 'TQ2_0',
  39: 'MXFP4',
  40: 'NVFP4',
};

/** Throws FormatError ERR_GGUF for a damaged file, UnsupportedError for a tensor type that is not read. */
export async function readHeader(file: InputFile): Promise<Header> {
  const cursor = new Cursor(file);
  await readVersion(cursor);
  const tensorCount = await cursor.count('tensors', TENSOR_BYTES, MAX_ENTRIES);
  const entryCount = await cursor.count('metadata entries', ENTRY_BYTES, MAX_ENTRIES);
  const metadata = await readMetadata(cursor, entryCount);
  const alignment = readAlignment(cursor, metadata);

  const tensors: TensorInfo[] = [];
  const names = new Set<string>();
  for (let i = 0; i < tensorCount; i++) {
    const position = cursor.position;
    const tensor = await readTensor(cursor, alignment);
    if (names.has(tensor.name)) throw cursor.error(`tensor ${quote(tensor.name)} is there twice, again`, position);
    names.add(tensor.name);
    tensors.push(tensor);
  }
  place(tensors, Math.ceil(cursor.position / alignment) * alignment, file);
  return {metadata, tensors};
}

async function readVersion(cursor: Cursor): Promise<void> {
  await cursor.need(8, 'the magic and version');
  const magic = cursor.takeUint32();
  if (magic !== MAGIC) throw cursor.error('not a GGUF file: the magic is not "GGUF"', 0);
  const version = cursor.takeUint32();
  if (version === 2 || version === 3) return;
  const swapped = version !== 0 && version % 0x10000 === 0;
  throw cursor.error(swapped ? 'big-endian GGUF is not read: version' : `GGUF version ${version} is not read, only 2 and 3: version`, 4);
}

function readAlignment(cursor: Cursor, metadata: Metadata): number {
  const alignment = metadata.integer('general.alignment') ?? DEFAULT_ALIGNMENT;
  // As ggml: a power of two.
  if (alignment < 1 || alignment > 2 ** 31 || (alignment & (alignment - 1)) !== 0) {
    throw cursor.error(`general.alignment is ${alignment}, not a power of two; metadata ends`);
  }
  return alignment;
}

/** One tensor's entry; `position` is still relative to the data. */
async function readTensor(cursor: Cursor, alignment: number): Promise<TensorInfo> {
  const start = cursor.position;
  const name = await cursor.string('a tensor name', true);
  const fail = (problem: string) => cursor.error(`tensor ${quote(name)} ${problem}, entry`, start);

  await cursor.need(4, `tensor ${quote(name)}`);
  const dimensions = cursor.takeUint32();
  if (dimensions < 1 || dimensions > MAX_DIMENSIONS) throw fail(`has ${dimensions} dimensions, not 1 to ${MAX_DIMENSIONS}`);
  await cursor.need(dimensions * 8 + 12, `tensor ${quote(name)}`);

  const shape: number[] = [];
  let elements = 1n;
  for (let i = 0; i < dimensions; i++) {
    const size = cursor.takeUint64();
    elements *= size;
    if (size === 0n || elements > BigInt(Number.MAX_SAFE_INTEGER)) throw fail(`has an impossible size of ${size} in dimension ${i}`);
    shape.unshift(Number(size));
  }

  const typeId = cursor.takeUint32();
  const typeName = TYPES[typeId] ?? `number ${typeId}`;
  if (!isTensorType(typeName)) {
    throw new UnsupportedError(
      `tensor ${quote(name)} has the GGUF type ${typeName}, which is not read`,
      `types read: ${Object.keys(BLOCKS).join(', ')}`,
    );
  }
  if (shape.at(-1)! % BLOCKS[typeName].elements !== 0) {
    throw fail(`has rows of ${shape.at(-1)} elements, not whole ${typeName} blocks of ${BLOCKS[typeName].elements}`);
  }

  const offset = cursor.takeUint64();
  if (offset > BigInt(Number.MAX_SAFE_INTEGER)) throw fail(`has the impossible offset ${offset}`);
  if (Number(offset) % alignment !== 0) throw fail(`has the offset ${offset}, not a multiple of the alignment ${alignment}`);
  return {name, type: typeName, shape, position: Number(offset), byteLength: byteLength(typeName, Number(elements))};
}

/** Makes positions absolute, and checks that tensors lie in the file and apart from each other. */
function place(tensors: TensorInfo[], dataStart: number, file: InputFile): void {
  const error = (problem: string) => new FormatError('ERR_GGUF', file.path, problem);
  for (const tensor of tensors) {
    tensor.position += dataStart;
    const end = tensor.position + tensor.byteLength;
    if (end > file.size) {
      throw error(
        `truncated: tensor ${quote(tensor.name)} takes ${tensor.byteLength} bytes at byte ${tensor.position}, the file ends at byte ${file.size}`,
      );
    }
  }
  refuseOverlaps(tensors, error);
}

function isTensorType(name: string): name is TensorType {
  return Object.hasOwn(BLOCKS, name);
}
