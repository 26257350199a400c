/** scripts/sdk.mjs: which headers it chooses, and what it says when it cannot fetch any. */

import {chmod, mkdir, mkdtemp, readdir, realpath, rm, symlink, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';

import {afterAll, beforeAll, describe, expect, it} from 'vitest';

import {projectFile, run} from './helpers/child.js';

let folder: string;
beforeAll(async () => {
  folder = await realpath(await mkdtemp(path.join(tmpdir(), 'tensorrt-node-sdk-')));
});
afterAll(() => rm(folder, {recursive: true, force: true}));

interface Sdk {
  tensorrt: {include: string; source: string; version: string};
  cuda: {include: string; source: string; version: string};
}

/** Runs findSdk on a file system with nothing but `env` names, and nothing but `tools` (scripts by name) on PATH. */
async function findSdk(name: string, env: Record<string, string>, tools: Record<string, string> = {}) {
  const bin = path.join(folder, name, 'bin');
  await mkdir(bin, {recursive: true});
  for (const command of ['sh', 'mkdir']) await symlink(`/bin/${command}`, path.join(bin, command));
  for (const [tool, body] of Object.entries(tools)) {
    await writeFile(path.join(bin, tool), `#!/bin/sh\n${body}\n`);
    await chmod(path.join(bin, tool), 0o755);
  }
  const sdk = path.join(folder, name, 'sdk');
  const system = path.join(folder, name, 'system');
  const program = `
    import {findSdk} from ${JSON.stringify(projectFile('scripts/sdk/find.mjs'))};
    try {
      const chosen = await findSdk({folder: ${JSON.stringify(sdk)}, system: ${JSON.stringify(system)}, say: (line) => console.error(line)});
      console.log(JSON.stringify(chosen));
    } catch (error) {
      console.log(JSON.stringify({name: error.name, message: error.message}));
    }`;
  const {stdout, stderr} = await run(process.execPath, ['--input-type=module', '--eval', program], {
    PATH: bin,
    TENSORRT_ROOT: '',
    CUDA_HOME: '',
    ...env,
  });
  return {result: JSON.parse(stdout) as Sdk & {name?: string; message?: string}, said: stderr, sdk};
}

async function tensorrtHeaders(name: string, version: string): Promise<string> {
  const include = path.join(folder, name, 'include');
  await mkdir(include, {recursive: true});
  const [major, minor, patch] = version.split('.');
  await writeFile(
    path.join(include, 'NvInferVersion.h'),
    `#define NV_TENSORRT_MAJOR ${major} //!< major\n#define NV_TENSORRT_MINOR ${minor}\n#define NV_TENSORRT_PATCH ${patch}\n`,
  );
  for (const header of ['NvInfer.h', 'NvOnnxParser.h']) await writeFile(path.join(include, header), '');
  return path.dirname(include);
}

async function cudaHeaders(name: string, version: number): Promise<string> {
  const include = path.join(folder, name, 'include');
  await mkdir(include, {recursive: true});
  await writeFile(path.join(include, 'cuda.h'), `#define CUDA_VERSION ${version}\n`);
  await writeFile(path.join(include, 'cuda_runtime_api.h'), '');
  return path.dirname(include);
}

describe('what is installed', () => {
  it('comes from the variables of the user first', async () => {
    const env = {TENSORRT_ROOT: await tensorrtHeaders('trt', '10.9.1'), CUDA_HOME: await cudaHeaders('cuda', 12060)};
    const {result, said} = await findSdk('variables', env);
    expect(result).toEqual({
      tensorrt: {include: path.join(env.TENSORRT_ROOT, 'include'), source: 'TENSORRT_ROOT', version: '10.9.1'},
      cuda: {include: path.join(env.CUDA_HOME, 'include'), source: 'CUDA_HOME', version: '12.6'},
    });
    expect(said).toContain(`TensorRT headers 10.9.1: ${env.TENSORRT_ROOT}/include (TENSORRT_ROOT)`);
  });

  it('is found in the places of the system', async () => {
    const cuda = await cudaHeaders('places/system/usr/local/cuda', 13000);
    const trt = await tensorrtHeaders('places/system/usr', '10.12.0');
    const {result} = await findSdk('places', {});
    expect(result).toMatchObject({
      tensorrt: {include: path.join(trt, 'include'), source: 'system'},
      cuda: {include: path.join(cuda, 'include'), source: 'system'},
    });
  });

  it('is passed over in words when it does not serve', async () => {
    const env = {TENSORRT_ROOT: await tensorrtHeaders('trt8', '8.6.1'), CUDA_HOME: await cudaHeaders('cuda11', 11080)};
    const {said} = await findSdk('refused', env, {cargo: 'exit 1', python3: 'exit 1'});
    expect(said).toContain('it has TensorRT 8.6.1; 10.6 or later in major 10 is needed');
    expect(said).toContain('it has CUDA 11.8; 12.0 or later is needed');
  });
});

describe('what is fetched', () => {
  let env: Record<string, string>;
  beforeAll(async () => {
    env = {CUDA_HOME: await cudaHeaders('cuda-for-fetch', 13000)};
  });

  it.each([
    ['a cargo that fails', {cargo: 'echo "error: no such registry" >&2; exit 101'}, /cargo fetch .* failed: error: no such registry/],
    [
      'another crate than the one known',
      {cargo: `printf '[[package]]\\nname = "trtx-sys"\\nversion = "0.5.0"\\nsource = "x"\\nchecksum = "abc"\\n' > Cargo.lock`},
      /crate trtx-sys 0.5.0 has SHA-256 abc, expected 1efd/,
    ],
  ])('TensorRT: %s is an error in words', async (name, tools, message) => {
    const {result, sdk} = await findSdk(name, env, tools);
    expect(result).toEqual({name: 'FetchError', message: expect.stringMatching(message)});
    expect(await readdir(sdk)).toEqual([]);
  });

  it.each([
    ['no pip', {python3: 'echo "/usr/bin/python3: No module named pip" >&2; exit 1'}, /python3 has no pip\. Install python3 with pip/],
    ['a pip that fails', {python3: 'echo "ERROR: no matching distribution" >&2; exit 1'}, /failed: ERROR: no matching distribution/],
    [
      'another wheel than the one known',
      {python3: 'mkdir wheels; echo changed > wheels/nvidia_cuda_runtime-13.0.96-py3-none-any.whl'},
      /nvidia_cuda_runtime-13\.0\.96-py3-none-any\.whl has SHA-256 [0-9a-f]{64}, expected/,
    ],
  ])('CUDA: %s is an error in words', async (name, tools, message) => {
    const {result, sdk} = await findSdk(name, {TENSORRT_ROOT: await tensorrtHeaders('trt-for-fetch', '10.6.0')}, tools);
    expect(result).toEqual({name: 'FetchError', message: expect.stringMatching(message)});
    expect(await readdir(sdk)).toEqual([]);
  });

  it('a missing tool is named, with what to do', async () => {
    const {result} = await findSdk('no-tools', env);
    expect(result).toEqual({
      name: 'FetchError',
      message: 'cargo is not installed. Install Rust, or set TENSORRT_ROOT to a TensorRT with headers.',
    });
  });
});
