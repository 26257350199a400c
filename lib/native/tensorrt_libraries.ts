/** Where TensorRT's libraries may be on this machine, and which of them are opened. */

import {existsSync, statSync} from 'node:fs';
import path from 'node:path';

import {OptionError} from '../errors.js';
import type {NativeTensorrt} from './addon.js';
import {translated} from './errors.js';
import {requireAddon} from './load.js';
import {inSitePackages} from './site_packages.js';

const infer = 'libnvinfer.so.10';

/**
 * Opens TensorRT and returns its version and paths; calls nothing of it but getInferLibVersion.
 * `path` is a library or the folder it is in; then no other place is tried.
 * Throws TensorrtError that says of each place why it does not serve.
 */
export function openTensorrt({path, env = process.env}: {path?: string; env?: NodeJS.ProcessEnv} = {}): NativeTensorrt {
  return translated(() => requireAddon().openTensorrt(tensorrtCandidates(path, env)));
}

/** Candidates for libnvinfer, most wanted first: `explicit`, else TENSORRT_ROOT, the loader's path, pip's tensorrt_libs. */
export function tensorrtCandidates(explicit: unknown, env: NodeJS.ProcessEnv): string[] {
  if (explicit !== undefined) {
    if (typeof explicit !== 'string' || explicit === '') {
      throw new OptionError('tensorrtPath', 'the path of libnvinfer or of the folder it is in', explicit);
    }
    if (isFolder(explicit)) return [path.resolve(explicit, infer)];
    // Without a slash, the loader would not look at a file that is right here.
    return [existsSync(explicit) ? path.resolve(explicit) : explicit];
  }
  return [...fromRoot(env.TENSORRT_ROOT), infer, ...inSitePackages(path.join('tensorrt_libs', infer), env)];
}

function fromRoot(root: string | undefined): string[] {
  if (!root) return [];
  const files = ['lib', 'lib64', ''].map((folder) => path.resolve(root, folder, infer));
  const found = files.filter((file) => existsSync(file));
  // When there is none, the first is tried all the same, so that the error names it.
  return found.length > 0 ? found : files.slice(0, 1);
}

function isFolder(file: string): boolean {
  try {
    return statSync(file).isDirectory();
  } catch {
    // The loader says what is wrong with it.
    return false;
  }
}
