#!/usr/bin/env node
// clang-format over native/: rewrites the files, or with --check fails when one is not as it should be.

import {readdirSync} from 'node:fs';
import path from 'node:path';

import {RunError, root, run} from './lib/run.mjs';

const folder = path.join(root, 'native');
const files = readdirSync(folder, {recursive: true})
  .filter((name) => /\.(cc|h|cu|cuh)$/.test(name))
  .map((name) => path.join(folder, name));
const mode = process.argv.includes('--check') ? ['--dry-run', '-Werror'] : ['-i'];

try {
  await run(path.join(root, 'node_modules', '.bin', 'clang-format'), [...mode, ...files]);
} catch (error) {
  if (!(error instanceof RunError)) throw error;
  console.error(error.output || error.message);
  process.exitCode = 1;
}
