/**
 * Every figure about 8 and 4 bits on TensorRT, one program after the other; a failure ends none of the others.
 *
 *   node bench/bits-all.mjs [--only 8b,smollm2,parity,quality,quantize] [--save]
 *
 * Needs a GPU, `npm run build`, `build:addon`, `npm run model`; for the 8B shape 35 GB of disk. The CPU backend's answers and
 * llama.cpp's, which TensorRT is compared with, are made where bench/.models/parity-bits.json is not there.
 */

import {existsSync} from 'node:fs';
import path from 'node:path';

import {modelsFolder} from './engines/places.mjs';
import {chosenParts, fromRoot, runParts, runProgram} from './lib/run_parts.mjs';

const parity = path.join(modelsFolder, 'parity-bits.json');
const parts = {
  '8b': [
    ['bits.mjs', '--shape', '8b', '--bits', '4'],
    ['bits.mjs', '--shape', '8b', '--bits', '8'],
  ],
  smollm2: [['bits.mjs', '--shape', 'smollm2']],
  parity: [['generate-parity.mjs', '--against', fromRoot(parity), '--claims', 'bits.2']],
  quality: [['bits-quality.mjs', '--backend', 'tensorrt']],
  quantize: [['bits-quantize.mjs']],
};

const chosen = chosenParts(parts);
if (chosen.only.includes('parity') && !existsSync(parity)) runProgram(['generate-parity.mjs', '--reference', fromRoot(parity), '--peer']);
runParts(parts, chosen);
