/**
 * Does a long recording stay bounded? A trace of SmolLM2 answering request after request, which on an H100 makes some
 * 2,000 tokens and 10,000 activities a second (300,000 with --graph-nodes): memory of the process, size of the file, what
 * was dropped. Then recordings that are killed at random moments, whose files have to be read all the same.
 *
 *   node bench/profile-long.mjs [--seconds 600] [--graph-nodes] [--synthetic] [--folder bench/.models/135m] [--kills 20] [--save]
 *
 * Without a GPU, or with --synthetic, the activities are made up by the clock as fast as those of the H100 were, and all
 * that follows is what a recording does. Needs `npm run build`; on a GPU `build:addon` and the model's folder.
 */

import {spawn} from 'node:child_process';
import {existsSync, mkdtempSync, readFileSync, rmSync, statSync} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import {setTimeout} from 'node:timers/promises';
import {parseArgs} from 'node:util';
import {getHeapStatistics} from 'node:v8';

import {modelsFolder} from './engines/places.mjs';
import {Results, say} from './lib/results.mjs';
import {slope} from './lib/slope.mjs';
import {replies, syntheticRequests, useSyntheticAddon} from './profile/recorded_load.mjs';

const {values: options} = parseArgs({
  options: {
    seconds: {type: 'string', default: '600'},
    'graph-nodes': {type: 'boolean', default: false},
    synthetic: {type: 'boolean', default: false},
    /** Activities a second of those that are made up. */
    rate: {type: 'string'},
    folder: {type: 'string', default: path.join(modelsFolder, '135m')},
    'max-bytes': {type: 'string'},
    kills: {type: 'string', default: '20'},
    /** Of a process that is to be killed: the file to record to. */
    record: {type: 'string'},
    save: {type: 'boolean'},
  },
});
const seconds = Number(options.seconds);
const graphNodes = options['graph-nodes'];
const MB = 1e6;

const synthetic = options.synthetic || !(await hasGpu());
if (synthetic) useSyntheticAddon({nodes: graphNodes, rate: options.rate === undefined ? undefined : Number(options.rate)});
const {inspect, loadModel, profiler} = await import('../dist/index.js');
const {ensureShape} = await import('./generate/shapes.mjs');
const {readTrace} = await import('../dist/profile/trace_reader.js');

if (options.record !== undefined) {
  await beginRecording(options.record);
  process.stdout.write('recording\n');
} else {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'tensorrt-node-profile-'));
  process.once('exit', () => rmSync(folder, {recursive: true, force: true}));
  await measure(folder);
}

async function measure(folder) {
  const results = new Results('profile.jsonl', await about());
  const file = path.join(folder, 'trace.json');
  const {recording, stop} = await beginRecording(file);
  const samples = [];
  const began = performance.now();
  for (let second = 1; second <= seconds; second++) {
    await setTimeout(began + second * 1000 - performance.now());
    samples.push({second, rss: process.memoryUsage.rss() / MB, heap: getHeapStatistics().used_heap_size / MB, file: bytesOf(file) / MB});
    if (second % 60 === 0) say(`${second} s: ${text(samples.at(-1))}`);
  }
  const tokensPerSecond = await stop();
  const {events, dropped, lost} = await recording.stop();
  const half = samples.slice(Math.floor(samples.length / 2));
  const growth = (name) => slopeOf(half, name) * 60;
  const common = {
    source: synthetic ? 'made up' : 'SmolLM2-135M',
    graph_nodes: graphNodes,
    seconds,
    activities_per_second: Math.round((events + dropped) / seconds),
    tok_s: tokensPerSecond,
  };
  record(results, 'rss_growth_mb', growth('rss') * (half.length / 60), 'MB', {
    ...common,
    mb_per_minute: rounded(growth('rss')),
    heap_mb_per_minute: rounded(growth('heap')),
    rss_mb: {first: rounded(half[0].rss), last: rounded(half.at(-1).rss), most: rounded(Math.max(...samples.map(({rss}) => rss)))},
    note: 'in the second half of the run, by least squares',
  });
  record(results, 'file_mb', Math.max(...samples.map((each) => each.file)), 'MB', {
    ...common,
    note: 'the most, what takes its place included',
  });
  record(results, 'dropped', lost, 'events', {
    ...common,
    events,
    left_out: dropped - lost,
    note: 'not counting the oldest, which go for the size',
  });
  if (Number(options.kills) > 0) await kills(results, folder, common);
}

async function beginRecording(file) {
  const maxBytes = options['max-bytes'] === undefined ? undefined : Number(options['max-bytes']);
  const recording = await profiler.start({file, graphNodes, maxBytes, gpu: true});
  if (synthetic) return {recording, stop: await syntheticRequests()};
  const model = await loadModel(await ensureShape('135m', options.folder), {backend: 'tensorrt'});
  const stop = replies(model);
  return {
    recording,
    async stop() {
      const speed = await stop();
      await model.dispose();
      return speed;
    },
  };
}

/** Processes that are killed while they record: how many of their files are read, and how many are JSON as they are. */
async function kills(results, folder, common) {
  const count = Number(options.kills);
  let [read, whole] = [0, 0];
  for (let index = 0; index < count; index++) {
    const file = path.join(folder, `killed-${index}.json`);
    await killed(file, 300 + 1700 * Math.random());
    try {
      await readTrace(file);
      read++;
    } catch (error) {
      say(`after a kill: ${error.message}`);
    }
    if (isJson(file)) whole++;
    rmSync(file);
  }
  record(results, 'read_after_kill', read / count, 'fraction', {...common, kills: count, whole_json: whole / count});
}

function killed(file, milliseconds) {
  const args = process.argv.slice(2).filter((each) => each !== '--save');
  const child = spawn(process.execPath, [process.argv[1], ...args, '--record', file], {stdio: ['ignore', 'pipe', 'inherit']});
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code) => (code === null ? resolve() : reject(new Error(`it ended with ${code} before it was killed`))));
    child.stdout.once('data', async () => {
      await setTimeout(milliseconds);
      child.kill('SIGKILL');
    });
  });
}

function isJson(file) {
  try {
    JSON.parse(readFileSync(file, 'utf8'));
    return true;
  } catch {
    return false;
  }
}

/** The file and what is to take its place. */
function bytesOf(file) {
  return [file, `${file}.${process.pid}.tmp`].reduce((sum, each) => sum + (statSync(each, {throwIfNoEntry: false})?.size ?? 0), 0);
}

async function hasGpu() {
  return existsSync('/dev/nvidiactl') || process.env.TENSORRT_NODE_CUDA_DRIVER !== undefined;
}

async function about() {
  if (synthetic) return {};
  const {driver, devices, tensorrt} = await inspect();
  return {gpu: devices[0].name, driver: driver.version, versions: {cuda: driver.cuda, tensorrt: tensorrt.version}};
}

function slopeOf(points, name) {
  return slope(
    points.map((each) => ({...each, requests: each.second})),
    name,
  );
}

function text(sample) {
  return `RSS ${sample.rss.toFixed(0)} MB, heap ${sample.heap.toFixed(1)} MB, file ${sample.file.toFixed(0)} MB`;
}

function rounded(value) {
  return Number(value.toFixed(3));
}

function record(results, claim, value, unit, {note, ...more}) {
  say(`4.${claim}: ${value.toFixed(3)} ${unit}`);
  const source = synthetic ? 'activities made up, as many a second as an H100 made of SmolLM2' : undefined;
  results.record({claim: `profile.4.${claim}`, value, unit, ...more, note: [note, source].filter(Boolean).join('; ') || undefined});
}
