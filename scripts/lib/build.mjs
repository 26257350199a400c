// TypeScript to dist/, with the script of a trace's page, from a clean slate: a file whose source is gone must not be found by a test.

import {rm} from 'node:fs/promises';
import path from 'node:path';

import {buildPage} from '../build-page.mjs';
import {root, run} from './run.mjs';

export async function buildTypeScript() {
  await rm(path.join(root, 'dist'), {recursive: true, force: true});
  await run(process.execPath, [path.join(root, 'node_modules', 'typescript', 'bin', 'tsc'), '-p', 'tsconfig.build.json']);
  await buildPage();
}
