#!/usr/bin/env node
// Builds the addon that is shipped: prebuilds/linux-x64/tensorrt-node.node, good for every Node that has Node-API 8.
//
//   node scripts/prebuild.mjs

import {spawnSync} from 'node:child_process';
import {cpSync, existsSync, mkdtempSync, rmSync, symlinkSync} from 'node:fs';
import {createRequire} from 'node:module';
import path from 'node:path';
import {fileURLToPath} from 'node:url';

import {kernelsFolder} from './build-kernels.mjs';
import {nodeGypEnvironment} from './node-gyp.mjs';
import {FetchError} from './sdk/fetch.mjs';
import {findSdk, sdkFolder} from './sdk/find.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const require = createRequire(import.meta.url);

// node-gyp empties build/ first, and this tree's holds the development build: so it works on a copy.
const scratch = mkdtempSync(path.join(root, 'build-prebuild-'));
try {
  await findSdk({nvcc: true, say: (line) => console.error(`sdk: ${line}`)});
  for (const part of ['binding.gyp', 'package.json', 'native', 'scripts']) {
    cpSync(path.join(root, part), path.join(scratch, part), {recursive: true});
  }
  symlinkSync(path.join(root, 'node_modules'), path.join(scratch, 'node_modules'));
  if (existsSync(sdkFolder)) symlinkSync(sdkFolder, path.join(scratch, '.sdk'));
  // Compiled kernels are kept by a hash of all that goes into them.
  if (existsSync(kernelsFolder)) cpSync(kernelsFolder, path.join(scratch, path.basename(kernelsFolder)), {recursive: true});
  const args = [require.resolve('prebuildify/bin.js'), '--napi', '--strip', '--cwd', scratch, '--out', root];
  process.exitCode = spawnSync(process.execPath, args, {cwd: scratch, env: nodeGypEnvironment(), stdio: 'inherit'}).status ?? 1;
} catch (error) {
  if (!(error instanceof FetchError)) throw error;
  console.error(`prebuild: ${error.message}`);
  process.exitCode = 1;
} finally {
  rmSync(scratch, {recursive: true, force: true});
}
