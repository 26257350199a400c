// Where a machine may already have TensorRT's headers, CUDA's headers and nvcc, and which of them serve.

import {accessSync, constants, readFileSync} from 'node:fs';
import path from 'node:path';

/** Debian's name of this architecture's include folder. */
const triplet = process.arch === 'arm64' ? 'aarch64-linux-gnu' : 'x86_64-linux-gnu';

/** Folders to look in, most wanted first; `source` says which place it is. `system` is the root of the file system. */
export function tensorrtPlaces(env, system) {
  return [
    ...(env.TENSORRT_ROOT
      ? [
          {source: 'TENSORRT_ROOT', include: path.join(env.TENSORRT_ROOT, 'include')},
          {source: 'TENSORRT_ROOT', include: path.join(env.TENSORRT_ROOT, 'include', triplet)},
        ]
      : []),
    ...[`usr/include/${triplet}`, 'usr/include', 'usr/local/tensorrt/include'].map((folder) => ({
      source: 'system',
      include: path.join(system, folder),
    })),
  ];
}

/** Roots of CUDA toolkits, most wanted first. */
export function cudaRoots(env, system) {
  return [
    ...(env.CUDA_HOME ? [{source: 'CUDA_HOME', root: env.CUDA_HOME}] : []),
    ...['usr/local/cuda', 'opt/cuda', 'usr'].map((folder) => ({source: 'system', root: path.join(system, folder)})),
  ];
}

/** TensorRT's version if the headers in `include` serve: `{version}`, or `{refused}` saying why not; undefined if there are none. */
export function tensorrtHeaders(include) {
  const text = readIfThere(path.join(include, 'NvInferVersion.h'));
  if (text === undefined || !isReadable(path.join(include, 'NvInfer.h'))) return undefined;
  // 10.16 names the numbers TRT_MAJOR_ENTERPRISE and aliases the older names to them.
  const number = (part) => define(text, `TRT_${part}_ENTERPRISE`) ?? define(text, `NV_TENSORRT_${part}`);
  const [major, minor, patch] = ['MAJOR', 'MINOR', 'PATCH'].map(number);
  const version = `${major}.${minor}.${patch}`;
  if (major !== 10 || minor < 6) return {refused: `has TensorRT ${version}; 10.6 or later in major 10 is needed`};
  if (!isReadable(path.join(include, 'NvOnnxParser.h'))) return {refused: `has TensorRT ${version} without NvOnnxParser.h`};
  return {version};
}

export function cudaHeaders(include) {
  const text = readIfThere(path.join(include, 'cuda.h'));
  if (text === undefined) return undefined;
  const number = define(text, 'CUDA_VERSION') ?? 0;
  const version = `${Math.floor(number / 1000)}.${Math.floor((number % 1000) / 10)}`;
  if (number < 12000) return {refused: `has CUDA ${version}; 12.0 or later is needed`};
  // TensorRT's headers include the runtime's, which include crt's.
  if (!isReadable(path.join(include, 'cuda_runtime_api.h'))) return {refused: `has CUDA ${version} without cuda_runtime_api.h`};
  return {version};
}

/** nvcc under a toolkit's root, with its version. */
export function nvccAt(root) {
  const file = path.join(root, 'bin', 'nvcc');
  if (!isReadable(file, constants.X_OK)) return undefined;
  const headers = cudaHeaders(path.join(root, 'include'));
  return headers?.version ? {path: file, version: headers.version} : undefined;
}

function define(text, name) {
  const match = new RegExp(`^#define ${name} (\\d+)`, 'm').exec(text);
  return match ? Number(match[1]) : undefined;
}

function readIfThere(file) {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}

function isReadable(file, mode = constants.R_OK) {
  try {
    accessSync(file, mode);
    return true;
  } catch {
    return false;
  }
}
