/**
 * Is what a trace tells true? The times of kernels against Nsight Compute's for the same kernels, the bytes of copies
 * against those that were asked for.
 *
 *   node bench/profile-truth.mjs [--shape 8b] [--folder bench/.models/8b] [--engine recogniser] [--prompt 128] [--steps 12] [--runs 4]
 *                                [--most 4000] [--ncu FILE] [--save]
 *
 * Needs a GPU, CUPTI, `npm run build`, `build:addon`; for the first ncu, which is part of the CUDA toolkit, and the right
 * to use the GPU's counters: without, that is said. ncu runs kernels one at a time, so those that began before the one
 * before them had ended are left out of the sums, and counted.
 */

import {spawn} from 'node:child_process';
import {existsSync, mkdtempSync, rmSync} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import {fileURLToPath} from 'node:url';
import {parseArgs} from 'node:util';

import {profiler} from '../dist/index.js';
import {Device} from '../dist/native/device.js';
import {readTrace} from '../dist/profile/trace_reader.js';
import {ensureEngine} from './engines/build.mjs';
import {models} from './engines/models.mjs';
import {modelFile, modelsFolder} from './engines/places.mjs';
import {ensureShape} from './generate/shapes.mjs';
import {machine} from './lib/machine.mjs';
import {Results, say} from './lib/results.mjs';
import {compareKernels} from './profile/compare_kernels.mjs';
import {findNcu, kernelsByNcu} from './profile/ncu.mjs';

const {values: options} = parseArgs({
  options: {
    /** Of bench/generate/shapes.mjs. Of small models' kernels, which take some microseconds, ncu tells one more for each. */
    shape: {type: 'string', default: '8b'},
    folder: {type: 'string'},
    /** Of bench/engines/models.mjs; 'none' for the model alone. */
    engine: {type: 'string', default: 'recogniser'},
    prompt: {type: 'string', default: '128'},
    steps: {type: 'string', default: '12'},
    runs: {type: 'string', default: '4'},
    /** Kernels that ncu times. */
    most: {type: 'string', default: '4000'},
    ncu: {type: 'string', default: findNcu() ?? ''},
    save: {type: 'boolean'},
  },
});
const WORK = fileURLToPath(new URL('profile/truth_work.mjs', import.meta.url));
/** Bytes of copies to the device; those back are one less. */
const COPIES = [1, 4096, 300_001, 2 ** 24];

const results = new Results('profile.jsonl', await machine());
const traces = mkdtempSync(path.join(os.tmpdir(), 'tensorrt-node-profile-'));
process.once('exit', () => rmSync(traces, {recursive: true, force: true}));

await copies();
await kernels(await theEngine());

async function copies() {
  const file = path.join(traces, 'copies.json');
  const device = Device.open(0);
  const recording = await profiler.start({file, gpu: true});
  const [up, down] = [device.createStream('truth up'), device.createStream('truth down')];
  const size = Math.max(...COPIES);
  const memory = device.allocate(size, up);
  const host = device.allocatePinned(size);
  for (const bytes of COPIES) {
    up.copyToDevice(memory, host, {byteLength: bytes});
    await up.done();
    down.copyToHost(host, memory, {byteLength: bytes - 1 || 1});
    await down.done();
  }
  await recording.stop();
  const {activities} = await readTrace(file);
  const bytesOf = (direction, streamName) =>
    activities
      .filter((each) => each.kind === 'copy' && each.direction === direction && each.streamName === streamName)
      .reduce((sum, {bytes}) => sum + bytes, 0);
  const asked = {
    toDevice: COPIES.reduce((sum, bytes) => sum + bytes, 0),
    toHost: COPIES.reduce((sum, bytes) => sum + (bytes - 1 || 1), 0),
  };
  const told = {toDevice: bytesOf('toDevice', 'truth up'), toHost: bytesOf('toHost', 'truth down')};
  record('copied_bytes_ratio', (told.toDevice + told.toHost) / (asked.toDevice + asked.toHost), 'fraction', {asked, told});
}

async function theEngine() {
  const name = options.engine;
  if (name === 'none' || !existsSync(modelFile(name))) return undefined;
  try {
    const {folder} = await ensureEngine(name, 'fp16');
    return {name, folder, shapes: models[name].latency};
  } catch (error) {
    say(error.message);
    return undefined;
  }
}

async function kernels(engine) {
  if (options.ncu === '') return say('not told: kernel_time_ratio, as there is no ncu (--ncu names it)');
  const work = {
    folder: await ensureShape(options.shape, options.folder ?? path.join(modelsFolder, options.shape)),
    prompt: Number(options.prompt),
    steps: Number(options.steps),
    engine: engine && {folder: engine.folder, shapes: engine.shapes},
    runs: Number(options.runs),
  };
  // Built and cached before either looks.
  await run(work);
  const trace = path.join(traces, 'work.json');
  await run({...work, trace});
  const {activities, state} = await readTrace(trace);
  let theirs;
  try {
    theirs = await kernelsByNcu(options.ncu, WORK, JSON.stringify(work), {log: path.join(traces, 'ncu.csv'), most: Number(options.most)});
  } catch (error) {
    say(/ERR_NVGPUCTRPERM/.test(error.message) ? 'not told: ncu may not use the counters here (ERR_NVGPUCTRPERM)' : error.message);
    return;
  }
  const {ratio, names, ...counts} = compareKernels(activities, theirs);
  record('kernel_time_ratio', ratio, 'fraction', {
    ...counts,
    ncu_kernels: theirs.length,
    dropped: state?.dropped,
    kernels: names.slice(0, 12).map(({name, count, ours, theirs: other}) => ({
      name: name.length > 60 ? `${name.slice(0, 57)}...` : name,
      count,
      ratio: rounded(ours / other),
      us: rounded(ours / count / 1000),
    })),
    note: 'overlapping: they began before the kernel before them had ended, and are not in the sums; alone: on one side only',
  });
}

function run(work) {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [WORK, JSON.stringify(work)], {stdio: ['ignore', 'inherit', 'inherit']});
    child.once('error', reject);
    child.once('exit', (code) => (code === 0 ? resolve() : reject(new Error(`the work ended with ${code}`))));
  });
}

function rounded(value) {
  return Number(value.toFixed(3));
}

function record(claim, value, unit, more) {
  say(`2.${claim}: ${value.toFixed(4)} ${unit}`);
  results.record({claim: `profile.2.${claim}`, value, unit, ...more});
}
