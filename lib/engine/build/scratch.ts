/** A temporary folder, made when first asked for. */

import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

export class Scratch implements AsyncDisposable {
  #folder: Promise<string> | undefined;

  readonly folder = (): Promise<string> => {
    this.#folder ??= mkdtemp(join(tmpdir(), 'tensorrt-node-build-'));
    return this.#folder;
  };

  async [Symbol.asyncDispose](): Promise<void> {
    const folder = await this.#folder?.catch(() => undefined);
    if (folder !== undefined) await rm(folder, {recursive: true, force: true});
  }
}
