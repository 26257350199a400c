// Folders that are made once and then used by everybody, also when two start to make one at the same time.

import {existsSync} from 'node:fs';
import {mkdir, mkdtemp, rename, rm} from 'node:fs/promises';
import path from 'node:path';

/**
 * Returns `folder/inside`, having made it if it was not there: `fill` fills a scratch folder, which is then renamed to
 * `folder`. A run that is cut short leaves nothing that looks finished, and of two that run at once the later one
 * takes what the earlier one made.
 */
export async function makeOnce(folder, inside, fill) {
  const result = path.join(folder, inside);
  if (existsSync(result)) return result;
  await mkdir(path.dirname(folder), {recursive: true});
  const scratch = await mkdtemp(`${folder}.partial-`);
  try {
    await fill(scratch);
    await rename(scratch, folder);
  } catch (error) {
    if (!existsSync(result)) throw error;
  } finally {
    await rm(scratch, {recursive: true, force: true});
  }
  return result;
}
