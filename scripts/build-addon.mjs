#!/usr/bin/env node
// Builds the native addon for this machine, into build/Release/tensorrt_node.node.
//
//   node scripts/build-addon.mjs [--optional] [--debug] [--gyp]
//
// cmake-js does it where CMake is there, node-gyp otherwise (or with --gyp). With --optional, a machine that cannot
// build it gets one line saying why and exit status 0: everything but the GPU works without the addon.

import {spawnSync} from 'node:child_process';
import {existsSync} from 'node:fs';
import {createRequire} from 'node:module';
import path from 'node:path';
import {fileURLToPath} from 'node:url';
import {parseArgs} from 'node:util';

import {buildKernels} from './build-kernels.mjs';
import {nodeGypEnvironment, nodeGypScript} from './node-gyp.mjs';
import {FetchError} from './sdk/fetch.mjs';
import {findSdk} from './sdk/find.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const require = createRequire(import.meta.url);
const {values} = parseArgs({options: {optional: {type: 'boolean'}, debug: {type: 'boolean'}, gyp: {type: 'boolean'}}});

/** A reason that this machine cannot build the addon. */
class CannotBuild extends Error {}

try {
  await build();
} catch (error) {
  if (!(error instanceof CannotBuild || error instanceof FetchError)) throw error;
  console.error(`addon: not built: ${error.message}${values.optional ? ' Everything but the GPU works without it.' : ''}`);
  process.exitCode = values.optional ? 0 : 1;
}

async function build() {
  if (process.platform !== 'linux') throw new CannotBuild(`it is for Linux, and this is ${process.platform}.`);
  const compilers = process.env.CXX ? [process.env.CXX] : ['g++', 'clang++', 'c++'];
  if (!compilers.some(runs)) throw new CannotBuild(`there is no C++ compiler (${compilers.join(', ')}).`);
  const sdk = await findSdk({say: (line) => console.error(`sdk: ${line}`)});

  const configuration = values.debug ? 'Debug' : 'Release';
  if (!values.gyp && runs('cmake')) await withCmake(sdk, configuration);
  else withNodeGyp(configuration);

  const addon = path.join(root, 'build', configuration, 'tensorrt_node.node');
  if (!existsSync(addon)) throw new CannotBuild(`the build reported no error and left no ${addon}.`);
  console.error(`addon: ${path.relative(process.cwd(), addon)}`);
}

async function withCmake(sdk, configuration) {
  const settings = {
    KERNEL_IMAGES: await buildKernels({fetch: !values.optional, say: (line) => console.error(`kernels: ${line}`)}),
    NODE_ADDON_API_INCLUDE: path.resolve(require('node-addon-api').include_dir),
    TENSORRT_INCLUDE: sdk.tensorrt.include,
    CUDA_INCLUDE: sdk.cuda.include,
  };
  const script = require.resolve('cmake-js/bin/cmake-js');
  const args = ['--log-level', 'warn', '--config', configuration, '--directory', root];
  for (const [name, value] of Object.entries(settings)) args.push(`--CD${name}=${value}`);
  // `compile` alone configures a folder once and never again, neither for other headers nor for --debug. What fails to be
  // configured it cleans and begins anew.
  execute(script, ['configure', ...args], process.env);
  run(script, ['compile', ...args], process.env);
}

function withNodeGyp(configuration) {
  const args = ['rebuild', configuration === 'Debug' ? '--debug' : '--release'];
  const script = nodeGypScript();
  if (script === undefined) throw new CannotBuild('there is no node-gyp.');
  run(script, args, nodeGypEnvironment());
}

function execute(script, args, env) {
  return spawnSync(process.execPath, [script, ...args], {cwd: root, env, encoding: 'utf8', maxBuffer: 64 << 20});
}

function run(script, args, env) {
  const {status, stdout, stderr} = execute(script, args, env);
  if (status === 0) return;
  const output = stdout + stderr;
  const first = output
    .split('\n')
    .find((line) => /\berror\b/i.test(line))
    ?.trim();
  // The tools' chatter is worth reading only by who wants the addon.
  if (!values.optional) process.stderr.write(output);
  throw new CannotBuild(`${path.basename(script)} failed: ${first ?? `status ${status}`}.`);
}

function runs(command) {
  return spawnSync(command, ['--version'], {stdio: 'ignore'}).status === 0;
}
