/** Libraries that pip installed, where no loader looks. */

import {existsSync, readdirSync} from 'node:fs';
import path from 'node:path';

/**
 * Those of `file` that are there, below the folders of packages of the active environment, of the user, of the system and
 * of each Python on PATH. Python itself is not asked.
 */
export function inSitePackages(file: string, env: NodeJS.ProcessEnv): string[] {
  const prefixes = [
    env.VIRTUAL_ENV,
    env.CONDA_PREFIX,
    env.HOME && path.join(env.HOME, '.local'),
    ...(env.PATH ?? '')
      .split(path.delimiter)
      .filter((folder) => existsSync(path.join(folder, 'python3')))
      .map((folder) => path.dirname(folder)),
    '/usr/local',
    '/usr',
  ];
  const files = new Set<string>();
  for (const prefix of prefixes) {
    if (!prefix) continue;
    const lib = path.join(prefix, 'lib');
    for (const python of list(lib).filter((name) => /^python3(\.\d+)?$/.test(name))) {
      for (const packages of ['site-packages', 'dist-packages']) {
        const found = path.join(lib, python, packages, file);
        if (existsSync(found)) files.add(found);
      }
    }
  }
  return [...files];
}

function list(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
