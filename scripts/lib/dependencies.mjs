// Installs what package-lock.json asks for, when that is not what node_modules holds.

import {readFile} from 'node:fs/promises';
import path from 'node:path';

import {root, run} from './run.mjs';

/** Whether anything was installed. Rejects with RunError. */
export async function ensureDependencies() {
  if (await isInstalled()) return false;
  // No package needs its install script here: onnxruntime-node's fetches a CUDA build that nothing uses,
  // and the addon is built by a script of its own.
  await run('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund']);
  return true;
}

/** npm writes what it installed into a lock file of the same form inside node_modules. */
async function isInstalled() {
  const wanted = await readPackages(path.join(root, 'package-lock.json'));
  const installed = await readPackages(path.join(root, 'node_modules', '.package-lock.json'));
  if (installed === undefined) return false;
  // Optional packages are for other platforms as a rule.
  return Object.entries(wanted ?? {}).every(
    ([name, {version, optional}]) => name === '' || optional || installed[name]?.version === version,
  );
}

async function readPackages(file) {
  try {
    return JSON.parse(await readFile(file, 'utf8')).packages;
  } catch (error) {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  }
}
