/** Files that appear under their names complete and together, or not at all. */

import {randomUUID} from 'node:crypto';
import {type FileHandle, open, rename, rm, stat} from 'node:fs/promises';
import {basename, dirname, join} from 'node:path';

import {FormatError} from '../errors.js';

interface Pending {
  path: string;
  temporary: string;
  handle: FileHandle;
}

/** Disposing of it removes what was not committed. */
export class AtomicFiles implements AsyncDisposable {
  #pending: Pending[] = [];

  /** A new file, open for writing, that will be called `path`; the folder must exist. Replaces what is there, on commit. */
  async create(path: string): Promise<FileHandle> {
    // A rename onto a folder would fail only after other files had been renamed.
    const found = await stat(path).catch(() => undefined);
    if (found && !found.isFile()) throw new FormatError('ERR_ONNX', path, 'cannot be written: it exists and is not a file');
    const temporary = join(dirname(path), `.${basename(path)}.${randomUUID()}.tmp`);
    const handle = await open(temporary, 'wx');
    this.#pending.push({path, temporary, handle});
    return handle;
  }

  /** Everything reaches the disk before the first file gets its name; names are given in the order of creation. */
  async commit(): Promise<void> {
    for (const {handle} of this.#pending) await handle.sync();
    const folders = new Set<string>();
    while (this.#pending.length > 0) {
      const {path, temporary, handle} = this.#pending[0]!;
      await handle.close();
      await rename(temporary, path);
      folders.add(dirname(path));
      this.#pending.shift();
    }
    for (const folder of folders) await syncFolder(folder);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const left = this.#pending;
    this.#pending = [];
    for (const {temporary, handle} of left) {
      await handle.close().catch(() => undefined);
      await rm(temporary, {force: true});
    }
  }
}

/** So that the new name survives a power cut too. Not every file system can; the names are given all the same. */
async function syncFolder(folder: string): Promise<void> {
  try {
    await using handle = await open(folder, 'r');
    await handle.sync();
  } catch {
    // As said above.
  }
}
