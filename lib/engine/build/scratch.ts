/** A temporary folder, made when first asked for. */

import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import {removeAtExit} from '../../at_exit.js';

export class Scratch implements AsyncDisposable {
  #folder: Promise<{path: string; forget: () => void}> | undefined;

  readonly folder = async (): Promise<string> => {
    this.#folder ??= make();
    return (await this.#folder).path;
  };

  async [Symbol.asyncDispose](): Promise<void> {
    const folder = await this.#folder?.catch(() => undefined);
    if (folder === undefined) return;
    await rm(folder.path, {recursive: true, force: true});
    folder.forget();
  }
}

async function make(): Promise<{path: string; forget: () => void}> {
  const path = await mkdtemp(join(tmpdir(), 'tensorrt-node-build-'));
  return {path, forget: removeAtExit(path)};
}
