/** Engine folders: where they may be written, and how they come out of the cache. */

import {constants, copyFile, link, mkdir, readdir, rename, rm, writeFile} from 'node:fs/promises';
import {dirname, join, relative} from 'node:path';

import {FormatError} from '../../errors.js';
import {replaceFile} from '../../replace_file.js';
import type {Replaceable, TargetOptions} from '../../target_folder.js';
import {type EngineManifest, MANIFEST_FILE, PLAN_FILE, readManifest, serializeManifest} from '../manifest.js';
import {readPlan} from '../plan.js';

/** What `output` may replace. Other files in an engine folder would be lost with it. */
const REPLACEABLE: Replaceable = {
  what: 'a folder that holds an engine and nothing else, to replace it',
  async test(folder) {
    const names = await readdir(folder);
    return names.includes(MANIFEST_FILE) && names.every((name) => name === MANIFEST_FILE || name === PLAN_FILE);
  },
};

/** `source`: the model's path, which must not be lost. */
export function outputTarget(source: string | undefined): TargetOptions {
  return {option: 'output', overwrite: true, source, replaceable: REPLACEABLE};
}

export async function writeManifest(folder: string, manifest: EngineManifest): Promise<void> {
  // Somebody may be reading the old one.
  await replaceFile(join(folder, MANIFEST_FILE), (temporary) => writeFile(temporary, serializeManifest(manifest)));
}

/** The engine in `folder` if all of it is sound, else why not; undefined where there is none. */
export async function readEngine(folder: string, signal: AbortSignal | undefined): Promise<EngineManifest | FormatError | undefined> {
  try {
    const manifest = await readManifest(folder);
    await readPlan(folder, manifest, signal);
    return manifest;
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    return error.code === 'ERR_NOT_FOUND' && error.path.endsWith(MANIFEST_FILE) ? undefined : error;
  }
}

/** Puts the plan of one folder into another: the same bytes on the disk where the file system can. */
export async function sharePlan(from: string, to: string): Promise<void> {
  const [source, target] = [join(from, PLAN_FILE), join(to, PLAN_FILE)];
  // Across file systems and on those without links.
  await link(source, target).catch(() => copyFile(source, target, constants.COPYFILE_FICLONE));
}

/** Gives the engine in `folder` its place in the cache, whose lock is held. */
export async function placeInCache(folder: string, place: string): Promise<void> {
  await mkdir(dirname(place), {recursive: true});
  await rm(place, {recursive: true, force: true});
  await rename(folder, place);
}

/** The path that a manifest in `folder` names a model by. */
export function sourceFileFrom(folder: string, model: string): string {
  return relative(folder, model);
}
