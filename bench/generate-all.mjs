/**
 * Every figure about generating on TensorRT, one program after the other; a failure ends none of the others.
 *
 *   node bench/generate-all.mjs [--only 135m,8b,parity,stress,start] [--save]
 *
 * Needs a GPU, `npm run build`, `build:addon`, `npm run model`; for the 8B shape 16 GB of disk. The CPU backend's answers,
 * which TensorRT is compared with, are made where bench/.models/parity.json is not there.
 */

import {spawnSync} from 'node:child_process';
import {existsSync} from 'node:fs';
import path from 'node:path';
import {fileURLToPath} from 'node:url';
import {parseArgs} from 'node:util';

import {modelsFolder} from './engines/places.mjs';
import {say} from './lib/results.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const parity = path.relative(root, path.join(modelsFolder, 'parity.json'));

/** Programs of bench/ with their arguments. */
const PARTS = {
  '135m': [['generate.mjs', '--shape', '135m']],
  '8b': [['generate.mjs', '--shape', '8b']],
  parity: [['generate-parity.mjs', '--against', parity]],
  stress: [['generate-stress.mjs']],
  start: [
    ['generate-start.mjs', '--shape', '135m'],
    ['generate-start.mjs', '--shape', '8b'],
  ],
};

const {values: options} = parseArgs({
  options: {only: {type: 'string', default: Object.keys(PARTS).join(',')}, save: {type: 'boolean'}},
});
const only = options.only.split(',');
const unknown = only.find((name) => PARTS[name] === undefined);
if (unknown !== undefined) {
  say(`generate-all.mjs: nothing is called ${unknown}`);
  process.exit(2);
}

if (only.includes('parity') && !existsSync(path.join(root, parity))) run(['generate-parity.mjs', '--reference', parity]);
const failed = only.flatMap((name) => PARTS[name]).filter((command) => !run([...command, ...(options.save ? ['--save'] : [])]));
for (const command of failed) say(`failed: ${command.join(' ')}`);
process.exitCode = failed.length > 0 ? 1 : 0;

function run([program, ...more]) {
  say(`\n${program} ${more.join(' ')}`);
  const start = performance.now();
  const {status} = spawnSync(process.execPath, [path.join('bench', program), ...more], {cwd: root, stdio: 'inherit'});
  say(`${status === 0 ? 'done' : `ended with ${status}`} after ${((performance.now() - start) / 1000).toFixed(0)} s`);
  return status === 0;
}
