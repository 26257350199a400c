/** A folder of a test file's own, removed after its tests. */

import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import {afterAll, beforeAll} from 'vitest';

/** Call at a test file's top level; the paths the returned function gives are inside the folder. */
export function temporaryFolder(): (...parts: string[]) => string {
  let folder: string | undefined;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'tensorrt-node-'));
  });
  afterAll(async () => {
    if (folder) await rm(folder, {recursive: true});
  });
  return (...parts) => {
    if (folder === undefined) throw new Error('the folder exists only while tests run');
    return join(folder, ...parts);
  };
}
