// Chooses TensorRT's headers, CUDA's headers and nvcc: the user's variable, then the system's places, then a fetched copy.

import {readFileSync} from 'node:fs';
import path from 'node:path';
import {fileURLToPath} from 'node:url';

import {fetchTensorrt, fetchWheels, wheelsFolder} from './fetch.mjs';
import {cudaHeaders, cudaRoots, nvccAt, tensorrtHeaders, tensorrtPlaces} from './places.mjs';

const checksums = JSON.parse(readFileSync(new URL('checksums.json', import.meta.url), 'utf8'));

/** Where fetched parts are kept: ignored by git, safe to delete. */
export const sdkFolder = fileURLToPath(new URL('../../.sdk', import.meta.url));

/**
 * `{tensorrt: {include, source, version}, cuda: {include, source, version}, nvcc?: {path, source, version}}`.
 * `say` is told what was chosen and why other places were passed over. Rejects with FetchError.
 */
export async function findSdk({nvcc = false, env = process.env, folder = sdkFolder, system = '/', say = () => {}} = {}) {
  const from = {env, folder, system, say};
  const parts = [findTensorrt(from), findCuda(from), ...(nvcc ? [findNvcc(from)] : [])];
  const [tensorrt, cuda, compiler] = await Promise.all(parts);
  return nvcc ? {tensorrt, cuda, nvcc: compiler} : {tensorrt, cuda};
}

async function findTensorrt({env, folder, system, say}) {
  const found = firstThatServes('TensorRT headers', tensorrtPlaces(env, system), tensorrtHeaders, say);
  if (found) return found;
  const {crate, version} = checksums.tensorrt;
  const include = await fetchTensorrt(folder, checksums.tensorrt);
  return chosen('TensorRT headers', include, `crate ${crate} ${version}`, tensorrtHeaders(include).version, say);
}

async function findCuda({env, folder, system, say}) {
  const places = cudaRoots(env, system).flatMap(({source, root}) => [
    {source, include: path.join(root, 'include')},
    {source, include: path.join(root, 'targets', process.arch === 'arm64' ? 'sbsa-linux' : 'x86_64-linux', 'include')},
  ]);
  const found = firstThatServes('CUDA headers', places, cudaHeaders, say);
  if (found) return found;
  const include = path.join(await fetchWheels(folder, 'cuda', checksums.cuda), 'include');
  return chosen('CUDA headers', include, wheelNames(checksums.cuda), cudaHeaders(include).version, say);
}

/** nvcc where it already is, on the system or fetched before: `{path, source, version}`, or undefined. */
export function findNvccWithoutFetching({env = process.env, folder = sdkFolder, system = '/'} = {}) {
  const fetched = {source: wheelNames(nvccWheels), root: path.join(wheelsFolder(folder, 'nvcc', nvccWheels), 'nvidia', 'cu13')};
  for (const {source, root} of [...cudaRoots(env, system), fetched]) {
    const found = nvccAt(root);
    if (found) return {...found, source};
  }
  return undefined;
}

// nvcc looks for the runtime's headers beside itself, so the toolkit holds them too.
const nvccWheels = [...checksums.nvcc, ...checksums.cuda];

async function findNvcc({env, folder, system, say}) {
  for (const {source, root} of cudaRoots(env, system)) {
    const found = nvccAt(root);
    if (found) {
      say(`nvcc ${found.version}: ${found.path} (${source})`);
      return {...found, source};
    }
  }
  const wheels = nvccWheels;
  const found = nvccAt(await fetchWheels(folder, 'nvcc', wheels));
  say(`nvcc ${found.version}: ${found.path} (${wheelNames(wheels)})`);
  return {...found, source: wheelNames(wheels)};
}

function firstThatServes(what, places, examine, say) {
  for (const {source, include} of places) {
    const headers = examine(include);
    if (headers?.version) return chosen(what, include, source, headers.version, say);
    if (headers?.refused) say(`${what}: passed over ${include} (${source}): it ${headers.refused}`);
    // A variable the user set and that leads nowhere is a mistake worth a word, unlike a system folder without CUDA.
    else if (source !== 'system') say(`${what}: none in ${include} (${source})`);
  }
  return undefined;
}

function chosen(what, include, source, version, say) {
  say(`${what} ${version}: ${include} (${source})`);
  return {include, source, version};
}

function wheelNames(wheels) {
  return `pip ${wheels.map((each) => `${each.wheel} ${each.version}`).join(', ')}`;
}
