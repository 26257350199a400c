/** Where CUPTI may be on this machine. */

import {existsSync} from 'node:fs';
import path from 'node:path';

import {OptionError} from '../errors.js';
import {inSitePackages} from './site_packages.js';

/** Where the libraries of each major version of CUDA are, below a folder of Python packages. */
const pipFolders = new Map([
  [13, 'nvidia/cu13/lib'],
  [12, 'nvidia/cuda_cupti/lib'],
]);

/**
 * Candidates for libcupti, most wanted first: `explicit`, else CUPTI_LIBRARY, else of each major version of CUDA that the
 * driver serves, the newest first: CUDA_HOME's and CUDA_PATH's, the loader's, /usr/local/cuda's and pip's.
 * `driver` is the driver's version: 13000 is CUDA 13.0.
 */
export function cuptiCandidates(explicit: unknown, driver: number, env: NodeJS.ProcessEnv = process.env): string[] {
  if (explicit !== undefined) {
    if (typeof explicit !== 'string' || explicit === '') throw new OptionError('cuptiPath', 'the path of libcupti', explicit);
    return [asPath(explicit)];
  }
  if (env.CUPTI_LIBRARY) return [asPath(env.CUPTI_LIBRARY)];
  return [...pipFolders].filter(([major]) => major * 1000 <= driver).flatMap(([major, folder]) => ofMajor(major, folder, env));
}

function ofMajor(major: number, pipFolder: string, env: NodeJS.ProcessEnv): string[] {
  const name = `libcupti.so.${major}`;
  const inToolkit = (root: string | undefined): string[] =>
    root ? ['extras/CUPTI/lib64', 'lib64', 'lib'].map((folder) => path.resolve(root, folder, name)).filter((file) => existsSync(file)) : [];
  return [
    ...new Set([
      ...inToolkit(env.CUDA_HOME),
      ...inToolkit(env.CUDA_PATH),
      name,
      ...inToolkit('/usr/local/cuda'),
      ...inToolkit(`/usr/local/cuda-${major}`),
      ...inSitePackages(path.join(pipFolder, name), env),
    ]),
  ];
}

/** Without a slash, the loader would not look at a file that is right here. */
function asPath(file: string): string {
  return existsSync(file) ? path.resolve(file) : file;
}
