// `npm run test:gpu`: the checks that need a GPU, as plain Node programs, so that a machine with Node and nothing else
// can run them. Ends with 2, having said why, where there is no GPU: not run is not passed.

import {readdirSync} from 'node:fs';
import path from 'node:path';
import {run} from 'node:test';
import {spec} from 'node:test/reporters';
import {fileURLToPath} from 'node:url';

import {inspect} from '../../dist/inspect.js';

const folder = fileURLToPath(new URL('.', import.meta.url));

const {addon, driver, devices} = await inspect();
if (devices.length === 0) {
  console.error(`test:gpu: not run: ${addon.reason ?? driver.reason ?? 'the driver sees no GPU'}`);
  process.exitCode = 2;
} else {
  const files = readdirSync(folder)
    .filter((name) => name.endsWith('.test.mjs'))
    .map((name) => path.join(folder, name));
  // One at a time: they share the GPU.
  const tests = run({files, concurrency: 1});
  tests.on('test:fail', () => {
    process.exitCode = 1;
  });
  tests.compose(spec).pipe(process.stdout);
}
