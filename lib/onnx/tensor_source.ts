/** Where a tensor's bytes come from: memory, a range of a file, or work done while they are asked for. */

import {open} from 'node:fs/promises';

import {FormatError} from '../errors.js';

/** Bytes in the tensor's own layout, delivered piece by piece so that large tensors need not be in memory. */
export interface TensorSource {
  readonly byteLength: number;
  /** Pieces in order, together `byteLength` bytes. A piece may be overwritten once the next is asked for. */
  chunks(): AsyncIterable<Uint8Array>;
}

export class BytesSource implements TensorSource {
  constructor(readonly bytes: Uint8Array) {}

  get byteLength(): number {
    return this.bytes.byteLength;
  }

  async *chunks(): AsyncGenerator<Uint8Array> {
    if (this.bytes.byteLength > 0) yield this.bytes;
  }
}

/** Large enough to keep a disk busy, small enough for many at once. */
const CHUNK_BYTES = 4 * 1024 * 1024;

export class FileSource implements TensorSource {
  constructor(
    /** Absolute path. */
    readonly file: string,
    readonly offset: number,
    readonly byteLength: number,
  ) {}

  async *chunks(): AsyncGenerator<Uint8Array> {
    if (this.byteLength === 0) return;
    await using file = await open(this.file, 'r');
    const buffer = Buffer.allocUnsafeSlow(Math.min(CHUNK_BYTES, this.byteLength));
    for (let done = 0; done < this.byteLength; ) {
      const {bytesRead} = await file.read(buffer, 0, Math.min(buffer.byteLength, this.byteLength - done), this.offset + done);
      if (bytesRead === 0) throw new FormatError('ERR_ONNX', this.file, `ends at byte ${this.offset + done}, inside a tensor`);
      yield buffer.subarray(0, bytesRead);
      done += bytesRead;
    }
  }
}

/** All of a source's bytes in one buffer, outside the JavaScript heap. */
export async function readSource(source: TensorSource): Promise<Uint8Array> {
  if (source instanceof BytesSource) return source.bytes;
  const bytes = new Uint8Array(source.byteLength);
  let done = 0;
  for await (const chunk of source.chunks()) {
    bytes.set(chunk, done);
    done += chunk.byteLength;
  }
  if (done !== bytes.byteLength) throw new RangeError(`a tensor source gave ${done} bytes and promised ${bytes.byteLength}`);
  return bytes;
}
