#!/usr/bin/env node
// Builds the simulated CUDA driver and TensorRT that tests run on, and prints the driver's path, or with --tensorrt the
// folder of libnvinfer.so.10 and libnvonnxparser.so.10.
//
//   TENSORRT_NODE_CUDA_DRIVER=$(node scripts/build-simulator.mjs) node …

import {execFileSync} from 'node:child_process';
import {createHash} from 'node:crypto';
import {readdirSync, readFileSync} from 'node:fs';
import {availableParallelism} from 'node:os';
import path from 'node:path';
import {fileURLToPath} from 'node:url';

import {findSdk} from './sdk/find.mjs';
import {makeOnce} from './sdk/once.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));

/** Path of libcuda_simulated.so, built if there is none of these sources. Safe when several test files ask at once. */
export async function buildSimulator() {
  const folder = path.join(root, 'build-simulator', sourcesDigest());
  return makeOnce(folder, 'libcuda_simulated.so', async (scratch) => {
    const {cuda, tensorrt} = await findSdk();
    const headers = [`-DCUDA_INCLUDE_DIR=${cuda.include}`, `-DTENSORRT_INCLUDE_DIR=${tensorrt.include}`];
    const settings = ['-DCMAKE_BUILD_TYPE=RelWithDebInfo', ...headers];
    cmake('-S', path.join(root, 'native'), '-B', scratch, ...settings);
    cmake('--build', scratch, '--parallel', String(availableParallelism()), '--target', 'simulator');
  });
}

/** Folder of the simulated TensorRT's libraries, built like the driver. */
export async function buildSimulatedTensorrt() {
  return path.dirname(await buildSimulator());
}

function sourcesDigest() {
  // It has references of the kernels, whose parameters are declared beside them, chooses scales, and writes CUPTI's records.
  const files = ['simulator', 'kernels', 'profile', 'quantize'].flatMap((folder) => {
    const sources = path.join(root, 'native', folder);
    const names = readdirSync(sources, {recursive: true}).filter((name) => /\.(cc|h)$/.test(name));
    return names.map((name) => path.join(sources, name));
  });
  const digest = createHash('sha256');
  for (const file of [path.join(root, 'native', 'CMakeLists.txt'), ...files.sort()]) digest.update(file).update(readFileSync(file));
  return digest.digest('hex').slice(0, 12);
}

function cmake(...args) {
  try {
    execFileSync('cmake', args, {encoding: 'utf8', stdio: 'pipe'});
  } catch (error) {
    throw new Error(`cmake ${args.join(' ')} failed: ${error.stdout ?? ''}${error.stderr ?? error.message}`);
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  console.log(await (process.argv.includes('--tensorrt') ? buildSimulatedTensorrt() : buildSimulator()));
}
