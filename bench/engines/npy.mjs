/** NumPy's .npy files, gzipped or not, as tensors: {type, dims, data}. */

import {readFileSync, writeFileSync} from 'node:fs';
import {gunzipSync, gzipSync} from 'node:zlib';

const TYPES = {
  '<f4': ['float32', Float32Array],
  '<f2': ['float16', Uint16Array],
  '|u1': ['uint8', Uint8Array],
  '|i1': ['int8', Int8Array],
  '<i4': ['int32', Int32Array],
  '<i8': ['int64', BigInt64Array],
  '|b1': ['bool', Uint8Array],
};

export function readNpy(file) {
  const packed = readFileSync(file);
  const bytes = file.endsWith('.gz') ? gunzipSync(packed) : packed;
  if (bytes.toString('latin1', 0, 6) !== '\x93NUMPY') throw new Error(`${file} is not a .npy file`);
  const long = bytes[6] > 1;
  const start = long ? 12 : 10;
  const end = start + (long ? bytes.readUInt32LE(8) : bytes.readUInt16LE(8));
  const header = bytes.toString('latin1', start, end);
  const [, descr] = /'descr': '([^']+)'/.exec(header);
  if (TYPES[descr] === undefined || header.includes("'fortran_order': True")) throw new Error(`${file} holds ${header.trim()}`);
  const [, shape] = /'shape': \(([^)]*)\)/.exec(header);
  const dims = shape
    .split(',')
    .map((each) => each.trim())
    .filter(Boolean)
    .map(Number);
  const [type, ArrayOf] = TYPES[descr];
  // A copy: the elements may start anywhere in the file.
  const buffer = Uint8Array.from(bytes.subarray(end)).buffer;
  return {type, dims, data: new ArrayOf(buffer)};
}

export function writeNpy(file, {type, dims, data}) {
  const descr = Object.keys(TYPES).find((key) => TYPES[key][0] === type);
  const shape = dims.length === 1 ? `${dims[0]},` : dims.join(', ');
  const text = `{'descr': '${descr}', 'fortran_order': False, 'shape': (${shape}), }`;
  const header = `${text.padEnd(Math.ceil((text.length + 11) / 64) * 64 - 11)}\n`;
  const prefix = Buffer.from(`\x93NUMPY\x01\0\0\0${header}`, 'latin1');
  prefix.writeUInt16LE(header.length, 8);
  const bytes = Buffer.concat([prefix, new Uint8Array(data.buffer, data.byteOffset, data.byteLength)]);
  writeFileSync(file, file.endsWith('.gz') ? gzipSync(bytes) : bytes);
}
