/** Gives a file new content at once: whoever reads it sees all of the old or all of the new. */

import {randomUUID} from 'node:crypto';
import {rename, rm} from 'node:fs/promises';
import {basename, dirname, join} from 'node:path';

/** `write` makes the file under another name in the same folder, which must exist. Rejects with what failed; nothing is left. */
export async function replaceFile(path: string, write: (temporary: string) => Promise<void>): Promise<void> {
  const temporary = join(dirname(path), `.${basename(path)}.${randomUUID()}.tmp`);
  try {
    await write(temporary);
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, {force: true});
    throw error;
  }
}
