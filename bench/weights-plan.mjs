/**
 * Does a plan say what then happens? Of a model of random weights in a known shape: the memory that loading takes of the GPU,
 * and the speed of one stream, beside what `planModel` said before. Each placement in a process of its own, as the first
 * model of a process also pays for TensorRT and kernels.
 *
 *   node bench/weights-plan.mjs [--shape 8b|135m] [--folder DIR] [--placements auto,4GiB] [--save]
 *
 * Needs a GPU that nobody else uses, `npm run build`, `build:addon`. The model is made in DIR (bench/.models/SHAPE) if it is
 * not there, 16 GB for 8b, and its engines beside it. Placements are auto, or VRAM for weights.
 */

import {execFileSync} from 'node:child_process';
import path from 'node:path';
import {fileURLToPath} from 'node:url';
import {parseArgs} from 'node:util';

import {buildModel, loadModel, planModel} from '../dist/index.js';
import {Device} from '../dist/native/device.js';
import {modelsFolder} from './engines/places.mjs';
import {ensureShape} from './generate/shapes.mjs';
import {speedOf, timedStream} from './generate/timed_stream.mjs';
import {machine} from './lib/machine.mjs';
import {Results, say} from './lib/results.mjs';

const {values: options} = parseArgs({
  options: {
    shape: {type: 'string', default: '8b'},
    folder: {type: 'string'},
    placements: {type: 'string', default: 'auto,4GiB'},
    /** Of the process that measures one placement. */
    one: {type: 'string'},
    save: {type: 'boolean'},
  },
});
const folder = await ensureShape(options.shape, options.folder ?? path.join(modelsFolder, options.shape));
const engines = `${folder}-engines`;
const LIMITS = {maxContext: 2048, maxBatch: 8};

if (options.one !== undefined) {
  console.log(JSON.stringify(await compare(options.one)));
} else {
  // What engines compute in is known of those that are built.
  await buildModel(folder, {output: engines, ...LIMITS});
  const results = new Results('weights.jsonl', await machine());
  const found = options.placements.split(',').map((placement) => {
    const args = [fileURLToPath(import.meta.url), '--shape', options.shape, '--folder', folder, '--one', placement];
    const each = JSON.parse(execFileSync(process.execPath, args, {encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit']}));
    say(`${placement}: ${JSON.stringify(each)}`);
    return each;
  });
  const worst = (name) => Math.max(...found.map((each) => each[name]));
  const more = {shape: options.shape, placements: found};
  const prefix = options.shape === '8b' ? 'weights.5.' : `weights.5.${options.shape}_`;
  results.record({claim: `${prefix}vram_error`, value: worst('vram_error'), unit: 'fraction', ...more});
  results.record({claim: `${prefix}tok_s_error`, value: worst('tok_s_error'), unit: 'fraction', ...more});
}

async function compare(text) {
  const how = {...LIMITS, placement: text === 'auto' ? 'auto' : {gpu: text}};
  const plan = await planModel(engines, how);
  const device = Device.open(0);
  const before = device.memory().freeBytes;
  const model = await loadModel(engines, {backend: 'tensorrt', ...how});
  const taken = before - device.memory().freeBytes;
  const offloaded = plan.places > 0;
  // Of the first, which brings the weights to their places, nothing is counted.
  await timedStream(model, Uint32Array.of(100, 101, 102), 4);
  const speed = speedOf(
    await timedStream(
      model,
      Uint32Array.from({length: 32}, (_, at) => 200 + at),
      offloaded ? 24 : 128,
    ),
  );
  await model.dispose();
  const {modelBytes, ...gpu} = plan.gpu;
  return {
    placement: text,
    vram_error: Math.abs(modelBytes - taken) / taken,
    planned_bytes: modelBytes,
    taken_bytes: taken,
    gpu,
    tok_s_error: Math.abs(plan.tokensPerSecond.one - speed) / speed,
    planned_tok_s: plan.tokensPerSecond.one,
    tok_s: speed,
    speeds: plan.speeds,
  };
}
