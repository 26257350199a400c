/** NumPy's .npy files as tensors. Format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html */

import {type FileHandle, open} from 'node:fs/promises';
import {resolve} from 'node:path';

import {elementCount, type Tensor, type TensorType, tensorArray, tensorBytes} from '../engine/tensor.js';
import {FormatError} from '../errors.js';

/** NumPy has no bfloat16, float8 and int4: their bits are written as integers. */
const DESCRIPTIONS: Readonly<Record<TensorType, string>> = {
  float32: '<f4',
  float16: '<f2',
  bfloat16: '<u2',
  float8e4m3fn: '|u1',
  int8: '|i1',
  uint8: '|u1',
  int32: '<i4',
  int64: '<i8',
  bool: '|b1',
  int4: '|u1',
};

/** What a file's type is read as; 16-bit integers have no other use than bfloat16's bits. */
const TYPES: ReadonlyMap<string, TensorType> = new Map([
  ['f4', 'float32'],
  ['f2', 'float16'],
  ['u2', 'bfloat16'],
  ['i1', 'int8'],
  ['u1', 'uint8'],
  ['i4', 'int32'],
  ['i8', 'int64'],
  ['b1', 'bool'],
]);

const MAGIC = '\x93NUMPY';
/** NumPy's own limit. */
const MAX_HEADER_BYTES = 10_000;
/** A read or write of a system call ends at 2 GiB. */
const PIECE_BYTES = 2 ** 30;

/** Writes a tensor; its folder must exist. 4-bit elements become a vector of their packed bytes. */
export async function writeNpy(file: string, tensor: Pick<Tensor, 'type' | 'dims' | 'data'>): Promise<void> {
  await using handle = await open(file, 'w');
  const header = serializeNpyHeader(tensor);
  await handle.write(header);
  const {buffer, byteOffset, byteLength} = tensor.data;
  for (let done = 0; done < byteLength; ) {
    const piece = new Uint8Array(buffer, byteOffset + done, Math.min(byteLength - done, PIECE_BYTES));
    const {bytesWritten} = await handle.write(piece, 0, piece.length, header.length + done);
    done += bytesWritten;
  }
}

/**
 * Reads a tensor, in C order and little endian whatever the file's are. Unsigned 16-bit integers come as bfloat16.
 * Throws FormatError: ERR_NOT_FOUND, ERR_NPY for what is no .npy file, is cut short, or has elements of another type.
 */
export async function readNpy(file: string): Promise<Tensor> {
  const path = resolve(file);
  await using handle = await open(path, 'r').catch((cause: NodeJS.ErrnoException) => {
    if (cause.code !== 'ENOENT') throw cause;
    throw new FormatError('ERR_NOT_FOUND', path, 'no such file', undefined, {cause});
  });
  const found = await handle.stat();
  if (!found.isFile()) throw new FormatError('ERR_NPY', path, 'is not a file');
  const {type, dims, fortranOrder, bigEndian, dataStart} = await readHeader(handle, path);
  const bytes = tensorBytes(type, dims);
  if (found.size !== dataStart + bytes) {
    throw new FormatError('ERR_NPY', path, `has ${found.size - dataStart} bytes of data where [${dims.join(', ')}] needs ${bytes}`);
  }
  const buffer = new ArrayBuffer(bytes);
  for (let done = 0; done < bytes; ) {
    const {bytesRead} = await handle.read(new Uint8Array(buffer, done, Math.min(bytes - done, PIECE_BYTES)), {position: dataStart + done});
    if (bytesRead === 0) throw new FormatError('ERR_NPY', path, 'ended while it was read');
    done += bytesRead;
  }
  const data = tensorArray(type, dims, buffer);
  if (bigEndian) swapBytes(buffer, data.BYTES_PER_ELEMENT);
  if (fortranOrder) transpose(data, dims);
  return {type, dims, data};
}

function serializeNpyHeader({type, dims}: Pick<Tensor, 'type' | 'dims'>): Uint8Array {
  const shape = type === 'int4' ? [tensorBytes(type, dims)] : dims;
  const tuple = shape.length === 1 ? `${shape[0]},` : shape.join(', ');
  const text = `{'descr': '${DESCRIPTIONS[type]}', 'fortran_order': False, 'shape': (${tuple}), }`;
  // Data begins at a multiple of 64, so that it can be mapped.
  const padded = `${text.padEnd(Math.ceil((10 + text.length + 1) / 64) * 64 - 11)}\n`;
  const header = Buffer.alloc(10 + padded.length);
  header.write(`${MAGIC}\x01\x00`, 'latin1');
  header.writeUInt16LE(padded.length, 8);
  header.write(padded, 10, 'latin1');
  return header;
}

interface Header {
  type: TensorType;
  dims: number[];
  fortranOrder: boolean;
  bigEndian: boolean;
  dataStart: number;
}

async function readHeader(handle: FileHandle, path: string): Promise<Header> {
  const problem = (text: string) => new FormatError('ERR_NPY', path, text);
  const start = Buffer.alloc(12);
  const {bytesRead} = await handle.read(start, {position: 0});
  if (bytesRead < 10 || start.toString('latin1', 0, 6) !== MAGIC) throw problem('is not a .npy file');
  // Version 1 has a length of 2 bytes; 2 and 3 have one of 4.
  const [length, headerStart] = start[6] === 1 ? [start.readUInt16LE(8), 10] : [start.readUInt32LE(8), 12];
  if (start[6]! > 3 || length > MAX_HEADER_BYTES) throw problem(`has a header of version ${start[6]}, ${length} bytes`);
  const header = Buffer.alloc(length);
  if ((await handle.read(header, {position: headerStart})).bytesRead < length) throw problem('ends within its header');
  const text = header.toString('utf8');
  // A literal of Python's, always with these three keys.
  const descr = /'descr':\s*'([^']*)'/.exec(text)?.[1];
  const order = /'fortran_order':\s*(True|False)/.exec(text)?.[1];
  const shape = /'shape':\s*\(([\d\s,]*)\)/.exec(text)?.[1];
  if (descr === undefined || order === undefined || shape === undefined) throw problem('has a header without type, order or shape');
  const type = TYPES.get(descr.slice(1));
  if (type === undefined) {
    throw new FormatError(
      'ERR_NPY',
      path,
      `holds elements of type '${descr}', which engines have not`,
      'save it with .astype of the type the input has',
    );
  }
  const dims = (shape.match(/\d+/g) ?? []).map(Number);
  if (!Number.isSafeInteger(elementCount(dims) * 8)) throw problem(`has the shape (${shape})`);
  return {type, dims, fortranOrder: order === 'True', bigEndian: descr.startsWith('>'), dataStart: headerStart + length};
}

function swapBytes(buffer: ArrayBuffer, elementBytes: number): void {
  const bytes = Buffer.from(buffer);
  if (elementBytes === 2) bytes.swap16();
  else if (elementBytes === 4) bytes.swap32();
  else if (elementBytes === 8) bytes.swap64();
}

/** Column-major to row-major. */
function transpose(data: Tensor['data'], dims: readonly number[]): void {
  const source = data.slice();
  const strides = dims.map((_, axis) => elementCount(dims.slice(0, axis)));
  const index = dims.map(() => 0);
  for (let target = 0; target < data.length; target++) {
    data[target] = source[index.reduce((sum, each, axis) => sum + each * strides[axis]!, 0)]!;
    for (let axis = dims.length - 1; axis >= 0 && ++index[axis]! === dims[axis]; axis--) index[axis] = 0;
  }
}
