/**
 * Reads a safetensors header (github.com/huggingface/safetensors#format): eight bytes of length, JSON, then the
 * tensors' bytes. Lengths and offsets are checked against the file's size before anything is allocated.
 */

import {FormatError, UnsupportedError} from '../../errors.js';
import type {TensorType} from '../checkpoint.js';
import type {InputFile} from '../input_file.js';
import {isObject, parseObject} from '../json_file.js';
import {byteLength} from '../numeric/blocks.js';
import {quote, refuseOverlaps, type TensorInfo} from '../tensor_info.js';

/** The limit of the format's reference implementation. */
const MAX_HEADER = 100_000_000;

const TYPES: readonly TensorType[] = ['F32', 'F16', 'BF16'];

/** The tensors of a file, by name. Throws FormatError ERR_SAFETENSORS, and UnsupportedError for a type that is not read. */
export async function readHeader(file: InputFile): Promise<Map<string, TensorInfo>> {
  const error = (problem: string) => new FormatError('ERR_SAFETENSORS', file.path, problem);
  if (file.size < 8) throw error(`truncated: ${file.size} bytes, the header's length alone takes 8`);
  const length = Buffer.from(await file.read(0, 8)).readBigUInt64LE();
  if (length > BigInt(MAX_HEADER)) throw error(`not a safetensors file: a header of ${length} bytes, more than the ${MAX_HEADER} allowed`);
  if (Number(length) > file.size - 8) throw error(`truncated: the header takes ${length} bytes, ${file.size - 8} are left`);

  const text = Buffer.from(await file.read(8, Number(length))).toString('utf8');
  const header = parseObject(text, file.path, 'ERR_SAFETENSORS');
  const start = 8 + Number(length);
  const tensors = new Map<string, TensorInfo>();
  for (const [name, entry] of Object.entries(header)) {
    if (name !== '__metadata__') tensors.set(name, readEntry(name, entry, start, file.size, error));
  }

  refuseOverlaps(tensors.values(), error);
  return tensors;
}

function readEntry(name: string, entry: unknown, start: number, fileSize: number, error: (problem: string) => FormatError): TensorInfo {
  const what = `tensor ${quote(name)}`;
  if (!isObject(entry)) throw error(`${what} has no entry of dtype, shape and data_offsets`);
  const {dtype, shape, data_offsets: offsets} = entry;
  if (typeof dtype !== 'string') throw error(`${what} has no dtype`);
  if (!isSizes(shape)) throw error(`${what} has the shape ${JSON.stringify(shape)?.slice(0, 80)}, not a list of sizes`);
  if (!isSizes(offsets) || offsets.length !== 2) {
    throw error(`${what} has the data_offsets ${JSON.stringify(offsets)?.slice(0, 80)}, not a begin and an end`);
  }
  const type = TYPES.find((each) => each === dtype);
  if (!type) {
    throw new UnsupportedError(
      `${what} has the safetensors type ${JSON.stringify(dtype)}, which is not read`,
      `types read: ${TYPES.join(', ')}`,
    );
  }

  const elements = shape.reduce((product, size) => product * size, 1);
  if (!Number.isSafeInteger(elements) || elements === 0)
    throw error(`${what} has the impossible shape ${JSON.stringify(shape).slice(0, 80)}`);
  const [begin, end] = offsets as [number, number];
  const bytes = byteLength(type, elements);
  if (end - begin !== bytes) throw error(`${what} of ${bytes} bytes has the data_offsets ${begin} to ${end}`);
  if (start + end > fileSize) throw error(`truncated: ${what} ends at byte ${start + end}, the file at byte ${fileSize}`);
  return {name, type, shape, position: start + begin, byteLength: bytes};
}

function isSizes(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((each) => Number.isSafeInteger(each) && each >= 0);
}
