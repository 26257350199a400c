#!/usr/bin/env node
// Builds the simulated CUDA driver that tests run on, and prints its path.
//
//   TENSORRT_NODE_CUDA_DRIVER=$(node scripts/build-simulator.mjs) node …

import {execFileSync} from 'node:child_process';
import path from 'node:path';
import {fileURLToPath} from 'node:url';

import {findSdk} from './sdk/find.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));

/** Path of libcuda_simulated.so, built anew where its sources changed. */
export async function buildSimulator() {
  const folder = path.join(root, 'build-simulator');
  const {cuda} = await findSdk();
  const settings = ['-DCMAKE_BUILD_TYPE=RelWithDebInfo', `-DCUDA_INCLUDE_DIR=${cuda.include}`];
  cmake('-S', path.join(root, 'native'), '-B', folder, ...settings);
  cmake('--build', folder, '--target', 'cuda_simulated');
  return path.join(folder, 'libcuda_simulated.so');
}

function cmake(...args) {
  try {
    execFileSync('cmake', args, {encoding: 'utf8', stdio: 'pipe'});
  } catch (error) {
    throw new Error(`cmake ${args.join(' ')} failed: ${error.stdout ?? ''}${error.stderr ?? error.message}`);
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) console.log(await buildSimulator());
