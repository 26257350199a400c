/** A folder that a command writes: it appears complete under its name, or not at all. */

import {randomUUID} from 'node:crypto';
import type {Stats} from 'node:fs';
import {lstat, mkdir, readdir, realpath, rename, rm, rmdir, stat} from 'node:fs/promises';
import {dirname, join, relative, resolve, sep} from 'node:path';
import {removeAtExit} from './at_exit.js';
import {OptionError} from './errors.js';

export interface TargetOptions {
  /** What the user calls the folder's path, for errors. */
  option: string;
  overwrite: boolean;
  /** A path that must not be lost when the folder is replaced. */
  source?: string;
  /** What may be replaced. */
  replaceable: Replaceable;
}

export interface Replaceable {
  /** As errors say it: 'a folder that an import made, to overwrite it'. */
  what: string;
  test(folder: string): Promise<boolean>;
}

/**
 * Throws OptionError if `target` cannot be a folder or may not be replaced: a file, a mount point, a folder that is not
 * empty without `overwrite`, with it one that is not replaceable, and any that holds the source.
 */
export async function checkTarget(target: string, options: TargetOptions): Promise<void> {
  for (;;) {
    const found = await statTarget(target, options.option);
    if (!found) return;
    try {
      return await checkFound(target, found, options);
    } catch (error) {
      // Unless another import replaced it while it was looked at.
      if ((await statTarget(target, options.option))?.ino === found.ino) throw error;
    }
  }
}

async function checkFound(target: string, found: Stats, {option, overwrite, source, replaceable}: TargetOptions): Promise<void> {
  if (!found.isDirectory()) throw new OptionError(option, FREE, target);
  const real = await realpath(target);
  if (found.dev !== (await stat(dirname(real))).dev) throw new OptionError(option, NO_MOUNT, target);
  if ((await readdir(target)).length === 0) return;
  if (source !== undefined && holds(real, await realpath(source)))
    throw new OptionError(option, 'a folder that does not hold the source', target);
  if (!overwrite) throw new OptionError(option, 'an empty folder or a path where nothing is yet, unless overwrite is true', target);
  if (!(await replaceable.test(target))) throw new OptionError(option, replaceable.what, target);
}

const FREE = 'a folder or a path where nothing is yet';
/** A folder gets its name by a rename, which no mount point takes. */
const NO_MOUNT = 'a folder that is no mount point (one inside it will do)';

/** Undefined if nothing is there. */
async function statTarget(target: string, option: string): Promise<Stats | undefined> {
  try {
    return await stat(target);
  } catch (error) {
    const code = codeOf(error);
    if (code !== 'ENOENT') throw new OptionError(option, `a path where a folder can be (${code})`, target);
  }
  // A link that leads nowhere is something all the same.
  const link = await lstat(target).catch(() => undefined);
  if (link?.isSymbolicLink()) throw new OptionError(option, FREE, target);
  return undefined;
}

/**
 * Runs `fill` with a new folder beside `target`, and gives that folder its name when it is done, if checkTarget still
 * allows it then. Whatever fails, nothing is left of it, and what `target` was before stays.
 */
export async function writeFolder(target: string, options: TargetOptions, fill: (folder: string) => Promise<void>): Promise<void> {
  // A link to a folder stays; its folder is replaced.
  const path = await realpath(target).catch(() => resolve(target));
  const parent = dirname(path);
  const made = await mkdir(parent, {recursive: true});
  // Not called after the target, whose name may be as long as a name can be.
  const beside = (suffix: string) => join(parent, `.tensorrt-node-${randomUUID()}.${suffix}`);
  const folder = beside('tmp');
  const finished = removeAtExit(folder);
  try {
    await mkdir(folder);
    await fill(folder);
    await place(folder, path, beside('old'), options);
  } catch (error) {
    await rm(folder, {recursive: true, force: true});
    if (made !== undefined) await removeEmpty(parent, made);
    throw error;
  } finally {
    finished();
  }
}

/** Others may write to the same path: who comes last replaces what is there, or fails if it may not. */
async function place(folder: string, path: string, old: string, options: TargetOptions): Promise<void> {
  // Works where nothing is, and onto an empty folder.
  while (!(await tryRename(folder, path, options))) {
    await checkTarget(path, options);
    const moved = await tryMoveAway(path, old);
    let placed: boolean;
    try {
      placed = await tryRename(folder, path, options);
    } catch (error) {
      if (moved) await rename(old, path);
      throw error;
    }
    await rm(old, {recursive: true, force: true});
    if (placed) return;
  }
}

/** False if nothing is there any more. */
async function tryMoveAway(path: string, old: string): Promise<boolean> {
  try {
    await rename(path, old);
    return true;
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return false;
    throw error;
  }
}

/** False if something is in the way. */
async function tryRename(folder: string, path: string, {option}: TargetOptions): Promise<boolean> {
  try {
    await rename(folder, path);
    return true;
  } catch (error) {
    const code = codeOf(error) ?? '';
    if (['ENOTEMPTY', 'EEXIST', 'ENOTDIR'].includes(code)) return false;
    // A folder mounted from the same disk, which its device number does not tell.
    if (code === 'EBUSY') throw new OptionError(option, NO_MOUNT, path);
    throw error;
  }
}

function codeOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException).code;
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
