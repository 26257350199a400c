/**
 * Every figure about generating on TensorRT, one program after the other; a failure ends none of the others.
 *
 *   node bench/generate-all.mjs [--only 135m,8b,parity,stress,start] [--save]
 *
 * Needs a GPU, `npm run build`, `build:addon`, `npm run model`; for the 8B shape 16 GB of disk. The CPU backend's answers,
 * which TensorRT is compared with, are made where bench/.models/parity.json is not there.
 */

import {existsSync} from 'node:fs';
import path from 'node:path';

import {modelsFolder} from './engines/places.mjs';
import {chosenParts, fromRoot, runParts, runProgram} from './lib/run_parts.mjs';

const parity = path.join(modelsFolder, 'parity.json');
const parts = {
  '135m': [['generate.mjs', '--shape', '135m']],
  '8b': [['generate.mjs', '--shape', '8b']],
  parity: [['generate-parity.mjs', '--against', fromRoot(parity)]],
  stress: [['generate-stress.mjs']],
  start: [
    ['generate-start.mjs', '--shape', '135m'],
    ['generate-start.mjs', '--shape', '8b'],
  ],
};

const chosen = chosenParts(parts);
if (chosen.only.includes('parity') && !existsSync(parity)) runProgram(['generate-parity.mjs', '--reference', fromRoot(parity)]);
runParts(parts, chosen);
