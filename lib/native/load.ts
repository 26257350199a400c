/** Finds and loads the native addon. Its absence is an outcome, not an exception: everything but the GPU works without it. */

import {createRequire} from 'node:module';
import path from 'node:path';
import {fileURLToPath} from 'node:url';

import {messageOf, TensorrtNodeError} from '../errors.js';
import type {Addon} from './addon.js';

export type LoadedAddon = {addon: Addon; path: string; reason?: undefined} | {addon?: undefined; path?: string; reason: string};

const require = createRequire(import.meta.url);
/** The package's own folder, from dist/native as from lib/native. */
const packageFolder = fileURLToPath(new URL('../..', import.meta.url));

let loaded: LoadedAddon | undefined;

/**
 * The addon: a build of this checkout, else the prebuilt one. The environment variable TENSORRT_NODE_ADDON names
 * another file, or 'off'. Tried once; the outcome is kept.
 */
export function loadAddon(): LoadedAddon {
  loaded ??= load(process.env.TENSORRT_NODE_ADDON);
  return loaded;
}

/** The addon. Throws TensorrtNodeError (ERR_ADDON) with the reason when it cannot be loaded. */
export function requireAddon(): Addon {
  const {addon, reason} = loadAddon();
  if (addon === undefined) throw new TensorrtNodeError('ERR_ADDON', `the native addon is not loaded: ${reason}`, addonHint);
  return addon;
}

/** For an addon that lacks what this package asks of it. */
export function addonTooOld(): TensorrtNodeError {
  return new TensorrtNodeError('ERR_ADDON', 'the native addon is older than this package', addonHint);
}

/** What to do about an addon that is not loaded. */
export const addonHint =
  '`npm rebuild tensorrt-node` builds it where there is a C++ compiler (in a clone: `npm run build:addon`), unless TENSORRT_NODE_ADDON says otherwise';

function load(override: string | undefined): LoadedAddon {
  if (override === 'off') return {reason: 'switched off by TENSORRT_NODE_ADDON=off'};
  let file: string | undefined;
  try {
    file = override ? path.resolve(override) : findBuild();
    return {addon: require(file) as Addon, path: file};
  } catch (error) {
    return {path: file, reason: firstLine(error)};
  }
}

function findBuild(): string {
  const {resolve} = require('node-gyp-build') as {resolve(folder: string): string};
  return resolve(packageFolder);
}

function firstLine(error: unknown): string {
  return messageOf(error).split('\n', 1)[0]!;
}
