/** A file read by position. Its size is known from the start, so that a reader can check every length before it allocates. */

import {constants} from 'node:fs';
import {type FileHandle, open} from 'node:fs/promises';

import {FormatError} from '../errors.js';

/** One read call's share; Linux ends a read at 2 GiB whatever was asked for. */
const CHUNK = 2 ** 30;

/** Without O_NONBLOCK, which Windows does not have, opening a pipe waits for somebody to write into it. */
const READ = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0);

export class InputFile implements AsyncDisposable {
  private constructor(
    readonly path: string,
    /** Bytes, when the file was opened. */
    readonly size: number,
    private readonly handle: FileHandle,
  ) {}

  /** Throws FormatError ERR_NOT_FOUND if there is no such file. */
  static async open(path: string): Promise<InputFile> {
    let handle: FileHandle;
    try {
      handle = await open(path, READ);
    } catch (error) {
      throw new FormatError('ERR_NOT_FOUND', path, 'cannot be opened', undefined, {cause: error});
    }
    try {
      const stat = await handle.stat();
      if (!stat.isFile()) throw new FormatError('ERR_NOT_FOUND', path, 'is not a file');
      return new InputFile(path, stat.size, handle);
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  /** Exactly `length` bytes from `position` on, which the caller has checked against `size`. */
  async read(position: number, length: number): Promise<Uint8Array> {
    const bytes = Buffer.allocUnsafeSlow(length);
    await this.readInto(bytes, position);
    return bytes;
  }

  async readInto(bytes: Uint8Array, position: number): Promise<void> {
    for (let done = 0; done < bytes.length; ) {
      const {bytesRead} = await this.handle.read(bytes, done, Math.min(CHUNK, bytes.length - done), position + done);
      if (bytesRead === 0) throw new FormatError('ERR_NOT_FOUND', this.path, `was cut short while it was read, at byte ${position + done}`);
      done += bytesRead;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.handle.close();
  }
}
