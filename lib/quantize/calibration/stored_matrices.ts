/** Matrices on disk from when they are rounded until the model is written: a large model's are not in memory all at once. */

import {type FileHandle, open, rm} from 'node:fs/promises';

import {FileSource, type TensorSource} from '../../onnx/tensor_source.js';
import type {Format, QuantizedRows} from '../native.js';

export interface StoredMatrix {
  format: Format;
  codes: TensorSource;
  scales: TensorSource;
  zeroPoints: TensorSource | undefined;
}

/** Disposing of it removes the file. */
export class StoredMatrices implements AsyncDisposable {
  readonly matrices = new Map<string, StoredMatrix>();
  #end = 0;

  private constructor(
    private readonly path: string,
    private readonly file: FileHandle,
  ) {}

  /** Throws what the system says where no file can be made. */
  static async create(path: string): Promise<StoredMatrices> {
    return new StoredMatrices(path, await open(path, 'wx'));
  }

  async add(name: string, format: Format, {codes, scales, zeroPoints}: QuantizedRows): Promise<void> {
    this.matrices.set(name, {
      format,
      codes: await this.#append(codes),
      scales: await this.#append(scales),
      zeroPoints: zeroPoints.byteLength > 0 ? await this.#append(zeroPoints) : undefined,
    });
  }

  async #append(bytes: Uint8Array): Promise<FileSource> {
    const offset = this.#end;
    for (let done = 0; done < bytes.byteLength; ) {
      const {bytesWritten} = await this.file.write(bytes, done, bytes.byteLength - done, offset + done);
      done += bytesWritten;
    }
    this.#end += bytes.byteLength;
    return new FileSource(this.path, offset, bytes.byteLength);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.file.close();
    await rm(this.path, {force: true});
  }
}
