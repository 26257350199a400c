/**
 * How long does quantising take, and how much memory? A model of random weights in a known shape, from fp16 to 4 bits in blocks
 * of 32.
 *
 *   node bench/bits-quantize.mjs [--shape 8b|135m|tiny] [--methods rtn,gptq] [--folder DIR] [--save]
 *
 * Memory is to stay under twice the largest block and 2 GB: `rss_over_limit` is what was resident at most, of that. For 8b 16 GB
 * of disk, and 5 for the result, which is removed.
 */

import {execFileSync} from 'node:child_process';
import {rmSync} from 'node:fs';
import path from 'node:path';
import {fileURLToPath} from 'node:url';
import {parseArgs} from 'node:util';

import {inspect} from '../dist/index.js';
import {modelsFolder} from './engines/places.mjs';
import {ensureShape, SHAPES} from './generate/shapes.mjs';
import {Results, say} from './lib/results.mjs';

const {values: options} = parseArgs({
  options: {
    shape: {type: 'string', default: '8b'},
    methods: {type: 'string', default: 'rtn,gptq'},
    folder: {type: 'string'},
    save: {type: 'boolean'},
  },
});
const {shape} = options;
if (SHAPES[shape] === undefined) {
  say(`bits-quantize.mjs: shapes are ${Object.keys(SHAPES).join(', ')}`);
  process.exit(2);
}

const {driver, devices} = await inspect();
const gpu = devices.length === 0 ? {} : {gpu: devices[0].name, driver: driver.version};
const results = new Results('bits.jsonl', gpu);
const source = await ensureShape(shape, options.folder ?? path.join(modelsFolder, shape));
const limit = 2 * largestBlock(SHAPES[shape]) + 2e9;
const side = fileURLToPath(new URL('bits/quantize_side.mjs', import.meta.url));
const out = path.join(modelsFolder, `${shape}-quantized`);
for (const method of options.methods.split(',')) {
  try {
    const argument = JSON.stringify({source, out, options: {bits: 4, block: 32, method, overwrite: true}});
    const {seconds, rssBytes} = JSON.parse(execFileSync(process.execPath, [side, argument], {stdio: ['ignore', 'pipe', 'inherit']}));
    record(`${shape}_${method}_s`, seconds, 's');
    record(`${shape}_${method}_rss_over_limit`, rssBytes / limit, 'x', {rss_bytes: rssBytes, limit_bytes: limit});
  } finally {
    rmSync(out, {recursive: true, force: true});
  }
}

/** Bytes of a layer's matrices in halves, or of the embedding where that is larger. */
function largestBlock({hiddenSize, intermediateSize, headCount, kvHeadCount, headDim, vocabSize}) {
  const layer = hiddenSize * ((2 * headCount + 2 * kvHeadCount) * headDim + 3 * intermediateSize);
  return 2 * Math.max(layer, vocabSize * hiddenSize);
}

function record(claim, value, unit, more) {
  say(`6.${claim}: ${value.toFixed(3)} ${unit}`);
  results.record({claim: `bits.6.${claim}`, value, unit, ...more});
}
