/**
 * Writes a GGUF file again with every tensor as F32: the same numbers without a quantised kernel in the way.
 * Written against the GGUF specification, apart from the importer under test, so that an error in one shows as a
 * difference between the two.
 */

import {open} from 'node:fs/promises';

/** ggml's type numbers, their block sizes and how a row of blocks becomes floats. */
const TYPES = new Map([
  [0, {name: 'F32', block: 1, bytes: 4, dequantize: f32}],
  [1, {name: 'F16', block: 1, bytes: 2, dequantize: f16}],
  [2, {name: 'Q4_0', block: 32, bytes: 18, dequantize: q4_0}],
  [3, {name: 'Q4_1', block: 32, bytes: 20, dequantize: q4_1}],
  [8, {name: 'Q8_0', block: 32, bytes: 34, dequantize: q8_0}],
]);

const ALIGNMENT = 32;

/** Copies metadata as it is (but for general.file_type, which becomes "all F32"). Returns the count of tensors of each type read. */
export async function writeF32(source, target) {
  const input = await open(source);
  const output = await open(target, 'w');
  try {
    const header = await readHeader(input);
    const infos = header.tensors.map((tensor) => ({...tensor, elements: tensor.dimensions.reduce((product, n) => product * n, 1)}));

    const metadata = Buffer.from(header.metadata);
    if (header.fileTypeAt !== undefined) metadata.writeUInt32LE(0, header.fileTypeAt);

    let offset = 0;
    const records = infos.map((tensor) => {
      const record = infoRecord(tensor, offset);
      offset = align(offset + tensor.elements * 4);
      return record;
    });
    const head = Buffer.concat([metadata, ...records]);
    const padded = Buffer.alloc(align(head.length));
    head.copy(padded);
    await output.write(padded);

    const counts = {};
    for (const tensor of infos) {
      const type = TYPES.get(tensor.type);
      counts[type.name] = (counts[type.name] ?? 0) + 1;
      const raw = Buffer.alloc((tensor.elements / type.block) * type.bytes);
      await input.read(raw, 0, raw.length, header.dataAt + tensor.offset);
      const floats = new Float32Array(align(tensor.elements * 4) / 4);
      type.dequantize(raw, floats, tensor.elements);
      await output.write(Buffer.from(floats.buffer));
    }
    return counts;
  } finally {
    await input.close();
    await output.close();
  }
}

async function readHeader(file) {
  const {size} = await file.stat();
  const bytes = Buffer.alloc(Math.min(size, 64 << 20));
  await file.read(bytes, 0, bytes.length, 0);
  if (bytes.toString('latin1', 0, 4) !== 'GGUF' || bytes.readUInt32LE(4) !== 3) throw new Error('not a GGUF file of version 3');
  const tensorCount = Number(bytes.readBigUInt64LE(8));
  const pairCount = Number(bytes.readBigUInt64LE(16));

  let at = 24;
  let fileTypeAt;
  const text = () => {
    const length = Number(bytes.readBigUInt64LE(at));
    const value = bytes.toString('utf8', at + 8, at + 8 + length);
    at += 8 + length;
    return value;
  };
  // Sizes of the metadata value types; 8 is a string, 9 an array.
  const sizes = [1, 1, 2, 2, 4, 4, 4, 1, undefined, undefined, 8, 8, 8];
  const skip = (type) => {
    if (type === 8) text();
    else if (type === 9) {
      const inner = bytes.readUInt32LE(at);
      const count = Number(bytes.readBigUInt64LE(at + 4));
      at += 12;
      if (inner === 8 || inner === 9) for (let i = 0; i < count; i++) skip(inner);
      else at += count * sizes[inner];
    } else at += sizes[type];
  };
  for (let i = 0; i < pairCount; i++) {
    const key = text();
    const type = bytes.readUInt32LE(at);
    at += 4;
    if (key === 'general.file_type') fileTypeAt = at;
    if (key === 'general.alignment') throw new Error('general.alignment is not handled here');
    skip(type);
  }
  const metadata = bytes.subarray(0, at);

  const tensors = [];
  for (let i = 0; i < tensorCount; i++) {
    const name = text();
    const rank = bytes.readUInt32LE(at);
    at += 4;
    const dimensions = [];
    for (let d = 0; d < rank; d++, at += 8) dimensions.push(Number(bytes.readBigUInt64LE(at)));
    const type = bytes.readUInt32LE(at);
    const offset = Number(bytes.readBigUInt64LE(at + 4));
    at += 12;
    if (!TYPES.has(type)) throw new Error(`${name}: ggml type ${type} is not handled here`);
    tensors.push({name, dimensions, type, offset});
  }
  return {metadata, fileTypeAt, tensors, dataAt: align(at)};
}

function infoRecord({name, dimensions}, offset) {
  const label = Buffer.from(name);
  const record = Buffer.alloc(8 + label.length + 4 + 8 * dimensions.length + 4 + 8);
  record.writeBigUInt64LE(BigInt(label.length), 0);
  label.copy(record, 8);
  let at = 8 + label.length;
  record.writeUInt32LE(dimensions.length, at);
  at += 4;
  for (const n of dimensions) at = record.writeBigUInt64LE(BigInt(n), at);
  record.writeUInt32LE(0, at);
  record.writeBigUInt64LE(BigInt(offset), at + 4);
  return record;
}

function align(n) {
  return Math.ceil(n / ALIGNMENT) * ALIGNMENT;
}

function f32(raw, floats, elements) {
  for (let i = 0; i < elements; i++) floats[i] = raw.readFloatLE(4 * i);
}

function f16(raw, floats, elements) {
  for (let i = 0; i < elements; i++) floats[i] = half(raw.readUInt16LE(2 * i));
}

// Block layouts: ggml-common.h. The low nibbles hold the first 16 values of a block, the high ones the last 16.
function q4_0(raw, floats, elements) {
  for (let block = 0, at = 0; block < elements; block += 32, at += 18) {
    const d = half(raw.readUInt16LE(at));
    for (let i = 0; i < 16; i++) {
      const pair = raw[at + 2 + i];
      floats[block + i] = d * ((pair & 15) - 8);
      floats[block + 16 + i] = d * ((pair >> 4) - 8);
    }
  }
}

function q4_1(raw, floats, elements) {
  for (let block = 0, at = 0; block < elements; block += 32, at += 20) {
    const d = half(raw.readUInt16LE(at));
    const m = half(raw.readUInt16LE(at + 2));
    for (let i = 0; i < 16; i++) {
      const pair = raw[at + 4 + i];
      floats[block + i] = d * (pair & 15) + m;
      floats[block + 16 + i] = d * (pair >> 4) + m;
    }
  }
}

function q8_0(raw, floats, elements) {
  for (let block = 0, at = 0; block < elements; block += 32, at += 34) {
    const d = half(raw.readUInt16LE(at));
    for (let i = 0; i < 32; i++) floats[block + i] = d * raw.readInt8(at + 2 + i);
  }
}

function half(bits) {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction ? Number.NaN : sign * Infinity;
  return sign * (exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25));
}
