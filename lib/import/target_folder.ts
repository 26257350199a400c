/** The folder an import writes: it appears complete under its name, or not at all. */

import {randomUUID} from 'node:crypto';
import {mkdir, readdir, readFile, realpath, rename, rm, rmdir, stat} from 'node:fs/promises';
import {basename, dirname, join, relative, resolve, sep} from 'node:path';

import {OptionError} from '../errors.js';

export interface TargetOptions {
  /** What the user calls the folder's path, for errors. */
  option: string;
  overwrite: boolean;
  /** A path that must not be lost when the folder is replaced. */
  source: string;
}

/**
 * Throws OptionError if `target` is there and may not be replaced: a file, a folder that is not empty without
 * `overwrite`, with it one that no import made, and any that holds the source.
 */
export async function checkTarget(target: string, {option, overwrite, source}: TargetOptions): Promise<void> {
  const found = await stat(target).catch(() => undefined);
  if (!found) return;
  if (!found.isDirectory()) throw new OptionError(option, 'a folder or a path where nothing is yet', target);
  if ((await readdir(target)).length === 0) return;
  if (holds(await realpath(target), await realpath(source)))
    throw new OptionError(option, 'a folder that does not hold the source', target);
  if (!overwrite) throw new OptionError(option, 'an empty folder or a path where nothing is yet, unless overwrite is true', target);
  if (!(await isImported(target))) throw new OptionError(option, 'a folder that an import made, to overwrite it', target);
}

/**
 * Runs `fill` with a new folder beside `target`, and gives that folder its name when it is done. Whatever fails,
 * nothing is left of it, and what `target` was before stays.
 */
export async function writeFolder(target: string, fill: (folder: string) => Promise<void>): Promise<void> {
  const path = resolve(target);
  const parent = dirname(path);
  const made = await mkdir(parent, {recursive: true});
  const beside = (suffix: string) => join(parent, `.${basename(path)}.${suffix}-${randomUUID()}`);
  const folder = beside('tmp');
  try {
    await mkdir(folder);
    await fill(folder);
    await replace(folder, path, beside('old'));
  } catch (error) {
    await rm(folder, {recursive: true, force: true});
    if (made !== undefined) await removeEmpty(parent, made);
    throw error;
  }
}

async function replace(folder: string, path: string, old: string): Promise<void> {
  const occupied = await readdir(path).catch(() => []);
  if (occupied.length === 0) return rename(folder, path);
  await rename(path, old);
  try {
    await rename(folder, path);
  } catch (error) {
    await rename(old, path);
    throw error;
  }
  await rm(old, {recursive: true, force: true});
}

/** Removes the folders that were made for the target, from the innermost out, as long as they are empty. */
async function removeEmpty(innermost: string, outermost: string): Promise<void> {
  for (let folder = innermost; holds(outermost, folder); folder = dirname(folder)) {
    try {
      await rmdir(folder);
    } catch {
      return; // someone else has put something there
    }
  }
}

function holds(folder: string, path: string): boolean {
  const inside = relative(folder, path);
  return inside !== '..' && !inside.startsWith(`..${sep}`);
}

async function isImported(folder: string): Promise<boolean> {
  try {
    return typeof JSON.parse(await readFile(join(folder, 'config.json'), 'utf8')).tensorrt_node === 'object';
  } catch {
    return false;
  }
}
