/**
 * What does it cost that weights are not all in the GPU's memory? On TensorRT, of a model of random weights in a known shape.
 *
 *   node bench/weights.mjs --measure offload|disk|swap|turns|batch [--shape 8b|135m] [--folder DIR] [--save]
 *
 * offload: one stream with 4 GiB of VRAM for weights and the rest in pinned RAM, beside pinned copies in the same run; and
 * with all in VRAM. disk: all layers from disk, beside dd with direct reads of the same file. swap: out of VRAM into pinned
 * RAM, and back to the first token. turns: ten models of SmolLM2 in a budget for two. batch: streams at once, offloaded.
 * Needs a GPU, `npm run build`, `build:addon`; turns needs `npm run model` too. The model is made in DIR
 * (bench/.models/SHAPE) if it is not there: 16 GB for 8b, which `disk` wants on the disk that is meant.
 */

import path from 'node:path';
import {parseArgs} from 'node:util';

import {checkPlacement} from '../dist/weights/placement_option.js';
import {modelFolder} from '../scripts/model.mjs';
import {modelsFolder} from './engines/places.mjs';
import {openModel} from './generate/open_model.mjs';
import {ensureShape, SHAPES} from './generate/shapes.mjs';
import {speedOf, timedStream} from './generate/timed_stream.mjs';
import {machine} from './lib/machine.mjs';
import {prompts} from './lib/prompts.mjs';
import {median, Results, say} from './lib/results.mjs';
import {copySpeed, directReadSpeed} from './weights/machine_speeds.mjs';
import {movedDuring} from './weights/moved.mjs';
import {standingFigure} from './weights/standing.mjs';
import {takeTurns} from './weights/turns.mjs';

/** transformers with accelerate's cpu_offload, 8B shape fp16, on an H100: seconds a token, measured before and not here. */
const ACCELERATE_SECONDS = 2.15;

const MEASURES = {offload, disk, swap, turns, batch};

const {values: options} = parseArgs({
  options: {
    measure: {type: 'string'},
    shape: {type: 'string', default: '8b'},
    folder: {type: 'string'},
    /** VRAM for weights, of offload and batch. */
    gpu: {type: 'string', default: '4GiB'},
    rounds: {type: 'string', default: '3'},
    tokens: {type: 'string', default: '32'},
    requests: {type: 'string', default: '500'},
    /** Of turns. */
    model: {type: 'string', default: modelFolder},
    save: {type: 'boolean'},
  },
});
const {shape} = options;
const [rounds, newTokens, requests] = [options.rounds, options.tokens, options.requests].map(Number);
if (SHAPES[shape] === undefined) usage(`shapes are ${Object.keys(SHAPES).join(', ')}`);
if (MEASURES[options.measure] === undefined) usage(`--measure is one of ${Object.keys(MEASURES).join(', ')}`);

const results = new Results('weights.jsonl', await machine());
const text = prompts()
  .map((each) => each.text)
  .join(' ');
const shapeFolder = () => ensureShape(shape, options.folder ?? path.join(modelsFolder, shape));

await MEASURES[options.measure]();

async function offload() {
  const link = await copySpeed();
  const moving = await open({gpu: options.gpu});
  const {speeds, moved} = await streams(moving, newTokens);
  const {bytesCopied, seconds, ...waits} = moved;
  const memory = moving.decoder.memory();
  await moving.model.dispose();
  const bytesPerSecond = bytesCopied / seconds;
  record('1.pinned_share', bytesPerSecond / link, 'fraction', {
    shape,
    gb_s: bytesPerSecond / 1e9,
    pinned_copy_gb_s: link / 1e9,
    seconds,
    bytes: bytesCopied,
    waits,
    memory,
  });
  record('1.offloaded_tok_s', median(speeds), 'tok/s', {shape, vram: options.gpu, rounds: speeds});
  record('1.over_accelerate', median(speeds) * ACCELERATE_SECONDS, 'x', {
    shape,
    note: `accelerate's cpu_offload took ${ACCELERATE_SECONDS} s a token of the 8b shape on an H100, in an earlier run`,
  });
  const resident = await open(() => 'gpu');
  const found = await streams(resident, 4 * newTokens);
  await resident.model.dispose();
  record('1.resident_tok_s', median(found.speeds), 'tok/s', {shape, rounds: found.speeds, moved: found.moved});
  // As it was when weights could not move.
  const before = standingFigure(shape);
  if (before !== undefined) {
    record('1.resident_ratio', median(found.speeds) / before, 'fraction', {shape, before_tok_s: before});
  }
}

async function disk() {
  const folder = await shapeFolder();
  const before = await directReadSpeed(path.join(folder, 'model.onnx_data'));
  const cold = await open(() => 'disk');
  // A token of the 8b shape reads 14 GB.
  const {speeds, moved} = await streams(cold, Math.max(4, newTokens / 8), 1);
  await cold.model.dispose();
  const after = await directReadSpeed(path.join(folder, 'model.onnx_data'));
  const {bytesRead, seconds, ...waits} = moved;
  // Disks of virtual machines change within a run.
  const direct = (before + after) / 2;
  record('2.disk_share', bytesRead / seconds / direct, 'fraction', {
    shape,
    gb_s: bytesRead / seconds / 1e9,
    dd_gb_s: [before, after].map((each) => each / 1e9),
    seconds,
    bytes: bytesRead,
    waits,
  });
  record('2.disk_tok_s', median(speeds), 'tok/s', {shape, rounds: speeds});
}

async function swap() {
  const {model, backend, decoder} = await open(() => 'gpu');
  const asked = () => model.generateText(promptOf(model, 1, 32), {maxNewTokens: 8, temperature: 0});
  const before = await asked();
  const out = [];
  const back = [];
  let suspended;
  for (let round = -1; round < Math.max(rounds, 5); round++) {
    let start = performance.now();
    await backend.suspend();
    const left = performance.now() - start;
    suspended = decoder.memory();
    // Another prompt each time: nothing of it is in the cache.
    start = performance.now();
    await backend.resume();
    const {first} = await timedStream(model, promptOf(model, 100 + round, 32), 1);
    const seconds = (performance.now() - start) / 1000;
    say(
      `out in ${(left / 1000).toFixed(2)} s, first token after ${seconds.toFixed(3)} s, ${first.toFixed(0)} ms of it once it was asked for`,
    );
    if (round < 0) continue;
    out.push(left / 1000);
    back.push(seconds);
  }
  const after = await asked();
  await model.dispose();
  const same = before.tokens.join() === after.tokens.join();
  const vram = suspended.weightsBytes + suspended.placesBytes + suspended.cacheBytes;
  record('3.swap_s', median(back), 's', {shape, rounds: back, pinned_bytes: suspended.pinnedWeightsBytes});
  record('3.suspend_s', median(out), 's', {shape, rounds: out});
  record('3.suspended_vram_bytes', vram, 'bytes', {shape, scratch_bytes: suspended.scratchBytes});
  record('3.swapped_equal', same ? 1 : 0, 'bool', {shape});
}

async function turns() {
  const found = await takeTurns({source: options.model, requests, folder: path.join(modelsFolder, 'turns')});
  const more = {models: found.models, loads: found.loads, budget_bytes: found.budgetBytes, most_held_bytes: found.mostHeldBytes};
  record('3.turns_requests', found.requests, 'requests', {...more, seconds: found.seconds});
  record('3.turns_wrong', found.wrong, 'requests', {failures: found.failures});
  record('3.turns_vram_slope_bytes', found.slopes.vram, 'bytes a request', {samples: found.samples.length});
  record('3.turns_rss_slope_bytes', found.slopes.rss, 'bytes a request');
}

async function batch() {
  const moving = await open({gpu: options.gpu}, 32);
  const speeds = {};
  for (const streamsAtOnce of [1, 2, 4, 8, 16, 32]) {
    const all = () =>
      Promise.all(
        Array.from({length: streamsAtOnce}, (_, index) =>
          timedStream(moving.model, promptOf(moving.model, 1000 * streamsAtOnce + index, 32), newTokens),
        ),
      );
    const {value, moved} = await movedDuring(moving.decoder, all);
    // All their tokens but the first ones, which come together.
    const counted = value.reduce((sum, each) => sum + each.counted, 0);
    const firsts = value.map(({first}) => first);
    const lasts = value.map(({last}) => last);
    speeds[streamsAtOnce] = (1000 * counted) / (Math.max(...lasts) - Math.min(...firsts));
    record(`4.batch${streamsAtOnce}_tok_s`, speeds[streamsAtOnce], 'tok/s', {shape, vram: options.gpu, waits: moved});
  }
  await moving.model.dispose();
  record('4.batch32_over_1', speeds[32] / speeds[1], 'x', {shape, tok_s: speeds});
}

async function open(placement, maxBatch = 4) {
  const start = performance.now();
  let read;
  const opened = await openModel(await shapeFolder(), {
    maxContext: 2048,
    maxBatch,
    placement: checkPlacement(placement),
    onProgress: (progress) => {
      if (progress.phase === 'read') read = progress;
    },
  });
  const seconds = (performance.now() - start) / 1000;
  const {weightsBytes, placesBytes, pinnedWeightsBytes, diskBytes} = opened.decoder.memory();
  const [vram, places, pinned, onDisk] = [weightsBytes, placesBytes, pinnedWeightsBytes, diskBytes].map((bytes) =>
    (bytes / 2 ** 30).toFixed(2),
  );
  say(
    `loaded in ${seconds.toFixed(1)} s, ${((read?.done ?? 0) / 1e9).toFixed(1)} GB read; GiB: ${vram} VRAM, ${places} places, ${pinned} pinned, ${onDisk} on disk`,
  );
  return opened;
}

/** One stream at a time, the first of which does not count; and what moved during all others. */
async function streams({model, decoder}, tokens, times = rounds) {
  await timedStream(model, promptOf(model, 0, 32), 2);
  const speeds = [];
  const {moved} = await movedDuring(decoder, async () => {
    for (let round = 0; round < times; round++) speeds.push(speedOf(await timedStream(model, promptOf(model, round + 1, 32), tokens)));
  });
  return {speeds, moved};
}

/** Tokens of real text; no two prompts begin alike, so nothing of one is in the cache. */
function promptOf(model, index, length) {
  promptOf.tokens ??= model.tokenizer.encode(text);
  const {tokens} = promptOf;
  const list = Uint32Array.from({length}, (_, at) => tokens[(index * 37 + at) % tokens.length]);
  list[0] = 100 + (index % 40000);
  return list;
}

function record(claim, value, unit, more) {
  say(`${claim}: ${value.toFixed(3)} ${unit}`);
  results.record({claim: `weights.${claim}`, value, unit, ...more});
}

function usage(why) {
  say(`weights.mjs: ${why}`);
  process.exit(2);
}
