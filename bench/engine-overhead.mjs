/**
 * What does Node cost? binding.run() and runSync() against the same plan in a bare C++ loop (engine-overhead.cc) in the
 * same run: batch 1, pinned inputs and outputs, a CUDA graph, an otherwise idle event loop; blocks alternate. Then four
 * contexts at once, and run() with plain arrays. Beside them torch.compile on the encoder, and ONNX Runtime's CUDA
 * provider where Python has one.
 *
 *   node bench/engine-overhead.mjs [--model recogniser,classifier] [--precision fp16] [--blocks 5] [--runs 2000] [--contexts 4]
 *                                  [--loop bench/.models/engine-overhead] [--python python3] [--save]
 *
 * Needs a GPU, `npm run build`, `build:addon`, bench/.models, and g++ with CUDA's and TensorRT's headers (npm run sdk)
 * or the loop compiled elsewhere. Overheads are differences of medians over the blocks; the one claimed for p99 is the
 * strict one: p99 of run() less the loop's p50. The loop's wait is the faster of cuStreamQuery and cuStreamSynchronize.
 */

import {execFileSync, spawn} from 'node:child_process';
import {existsSync} from 'node:fs';
import path from 'node:path';
import {createInterface} from 'node:readline';
import {fileURLToPath} from 'node:url';
import {parseArgs} from 'node:util';

import {Engine, inspect} from '../dist/index.js';
import {ensureEngine} from './engines/build.mjs';
import {models} from './engines/models.mjs';
import {modelFile, modelsFolder} from './engines/places.mjs';
import {percentiles, timeRuns, timeSyncRuns} from './lib/latency.mjs';
import {machine} from './lib/machine.mjs';
import {median, Results, say} from './lib/results.mjs';

const {values: options} = parseArgs({
  options: {
    model: {type: 'string', default: 'recogniser,classifier'},
    precision: {type: 'string', default: 'fp16'},
    blocks: {type: 'string', default: '5'},
    runs: {type: 'string', default: '2000'},
    contexts: {type: 'string', default: '4'},
    loop: {type: 'string', default: path.join(modelsFolder, 'engine-overhead')},
    /** The driver's library, for trying this without a GPU. */
    driver: {type: 'string', default: process.env.TENSORRT_NODE_CUDA_DRIVER ?? 'libcuda.so.1'},
    python: {type: 'string', default: 'python3'},
    level: {type: 'string'},
    save: {type: 'boolean'},
  },
});
const [blocks, runs, contexts] = [options.blocks, options.runs, options.contexts].map(Number);
const warmup = Math.ceil(runs / 10);

const results = new Results('engines.jsonl', await machine());
const {library: infer} = (await inspect()).tensorrt;
if (!existsSync(options.loop)) await compileLoop();

const names = options.model.split(',');
// The claims that have targets are the first model's.
for (const name of names) await measure(name, name === names[0] ? '' : `${name}_`);
if (existsSync(modelFile('encoder'))) await measureEncoder();

async function measure(name, prefix) {
  const {latency: shapes} = models[name];
  const {folder} = await ensureEngine(name, options.precision, {level: options.level});
  const loop = await startLoop(path.join(folder, 'model.plan'), shapes);
  const engine = await Engine.load(folder, {backend: 'tensorrt', contexts});
  const bindings = Array.from({length: contexts}, () => engine.bind(shapes));
  const [binding] = bindings;
  const arrays = Object.fromEntries(
    Object.entries(binding.inputs).map(([key, {type, dims, data}]) => [key, {type, dims, data: data.slice()}]),
  );

  const sides = {
    query: () => loop.ask(`latency ${runs} ${warmup} query`),
    run: async () => percentiles(await timeRuns(() => binding.run(), runs, warmup)),
    synchronize: () => loop.ask(`latency ${runs} ${warmup} synchronize`),
    runSync: () => percentiles(timeSyncRuns(() => binding.runSync(), runs, warmup)),
    arrays: async () => percentiles(await timeRuns(() => engine.run(arrays), Math.ceil(runs / 4), Math.ceil(warmup / 4))),
  };
  const measured = Object.fromEntries(Object.keys(sides).map((side) => [side, []]));
  for (let block = 0; block < blocks; block++) {
    for (const [side, call] of Object.entries(sides)) measured[side].push(await call());
  }
  const figure = (side, key) => median(measured[side].map((each) => each[key]));
  const bare = figure('query', 'p50') <= figure('synchronize', 'p50') ? 'query' : 'synchronize';

  const rates = {loop: [], node: []};
  for (let block = 0; block < blocks; block++) {
    rates.loop.push((await loop.ask(`throughput ${runs} ${warmup}`)).runsPerSecond);
    rates.node.push(await throughput(bindings));
  }
  await loop.end();
  const graph = binding.graph;
  await engine.dispose();

  const peer = {loop: 'C++', wait: bare, p50: figure(bare, 'p50'), p99: figure(bare, 'p99')};
  const common = {model: name, precision: options.precision, shapes, graph, blocks, runs, peer};
  const spread = (side) => ({
    p50: figure(side, 'p50'),
    p90: figure(side, 'p90'),
    p99: figure(side, 'p99'),
    max: Math.max(...measured[side].map(({max}) => max)),
  });
  const claim = (key) => `engines.2.${prefix}${key}`;
  results.record({claim: claim('overhead_us_p50'), value: figure('run', 'p50') - peer.p50, unit: 'µs', run: spread('run'), ...common});
  results.record({
    claim: claim('overhead_us_p99'),
    value: figure('run', 'p99') - peer.p50,
    unit: 'µs',
    less_the_loops_p99: figure('run', 'p99') - peer.p99,
    run: spread('run'),
    ...common,
    note: "p99 of run() less the loop's p50, which is more than less its p99",
  });
  results.record({
    claim: claim('run_sync_us_p50'),
    value: figure('runSync', 'p50') - peer.p50,
    unit: 'µs',
    run_sync: spread('runSync'),
    ...common,
  });
  results.record({
    claim: claim('run_arrays_us_p50'),
    value: figure('arrays', 'p50') - peer.p50,
    unit: 'µs',
    run: spread('arrays'),
    ...common,
  });
  results.record({
    claim: claim('throughput_ratio'),
    value: median(rates.node.map((rate, block) => rate / rates.loop[block])),
    unit: 'x',
    contexts,
    node_runs_per_second: median(rates.node),
    model: name,
    precision: options.precision,
    shapes,
    peer: {loop: 'C++', runs_per_second: median(rates.loop)},
  });
}

/** Runs a second of all bindings, each run after its last one's end. */
async function throughput(bindings) {
  const all = async (count) => {
    await Promise.all(
      bindings.map(async (binding) => {
        for (let run = 0; run < count; run++) await binding.run();
      }),
    );
  };
  await all(warmup);
  const start = performance.now();
  await all(runs);
  return (runs * bindings.length) / ((performance.now() - start) / 1000);
}

/** Against torch.compile: the same encoder, token ids from and hidden states to host memory. */
async function measureEncoder() {
  const {latency: shapes} = models.encoder;
  const peers = torch(shapes.input_ids);
  const {folder} = await ensureEngine('encoder', 'fp16', {level: options.level});
  const engine = await Engine.load(folder, {backend: 'tensorrt'});
  const binding = engine.bind(shapes);
  binding.inputs.attention_mask.data.fill(1n);
  const times = percentiles(await timeRuns(() => binding.run(), runs, warmup));
  await engine.dispose();
  results.record({
    claim: 'engines.2.encoder_us_p50',
    value: times.p50,
    unit: 'µs',
    p99: times.p99,
    precision: 'fp16',
    shapes,
    peer: peers,
  });
  if (peers?.torch_compile_us_p50 === undefined) return;
  results.record({claim: 'engines.2.encoder_vs_torch_compile', value: peers.torch_compile_us_p50 / times.p50, unit: 'x', shapes});
}

function torch([batch, sequence]) {
  const script = fileURLToPath(new URL('engines/torch_peer.py', import.meta.url));
  const list = [script, modelsFolder, String(batch), String(sequence), String(runs)];
  try {
    return JSON.parse(
      execFileSync(options.python, list, {encoding: 'utf8', stdio: ['ignore', 'pipe', 2]})
        .trim()
        .split('\n')
        .at(-1),
    );
  } catch (error) {
    say(`without PyTorch: ${error.message.split('\n')[0]}`);
    return undefined;
  }
}

/** The loop's process, that waits for commands: {ask(line), end()}. */
async function startLoop(plan, shapes) {
  const list = Object.entries(shapes).map(([name, dims]) => `${name}=${dims.join('x')}`);
  const child = spawn(options.loop, [options.driver, infer, plan, String(contexts), ...list], {stdio: ['pipe', 'pipe', 'inherit']});
  const lines = createInterface({input: child.stdout})[Symbol.asyncIterator]();
  const ended = new Promise((resolve) => child.on('close', resolve));
  const answer = async () => {
    const {value, done} = await lines.next();
    if (done) throw new Error(`the C++ loop ended with ${await ended}`);
    return JSON.parse(value);
  };
  await answer();
  return {
    ask(command) {
      child.stdin.write(`${command}\n`);
      return answer();
    },
    end() {
      child.stdin.end();
      return ended;
    },
  };
}

async function compileLoop() {
  const {findSdk} = await import('../scripts/sdk/find.mjs');
  const {tensorrt, cuda} = await findSdk();
  const source = fileURLToPath(new URL('engine-overhead.cc', import.meta.url));
  const include = [tensorrt.include, cuda.include].flatMap((folder) => ['-isystem', folder]);
  execFileSync('g++', ['-std=c++20', '-O2', ...include, source, '-o', options.loop, '-ldl', '-pthread'], {stdio: 'inherit'});
}
