/**
 * What does watching cost? Tokens per second of SmolLM2, one stream, greedy: after a recording that was stopped, while
 * one is under way, and with metrics, spans and logs on; each against a process that never did any of it. And such a
 * process against one of a build without the profiler's hooks.
 *
 *   node bench/profile-cost.mjs [--folder bench/.models/135m] [--rounds 6] [--generations 2] [--tokens 1000]
 *                               [--sides stopped,stopped_later,timeline,nodes,metrics] [--without FOLDER] [--save]
 *
 * Needs a GPU, CUPTI, `npm run build`, `build:addon`. A process for each side, all with the model loaded, of which one
 * generates at a time, in turns whose order changes; then all of it again with new processes that begin in another order,
 * as the first to begin is up to half a percent faster whatever it does. Values are means over the generations of the
 * median over the rounds of a side's speed by the mean of two processes that never did any of it; how far these are apart
 * is told as `equals_ratio`. Speeds are the scheduler's, without what JavaScript takes. Some 50 s on an H100.
 * FOLDER is this package, built with steps, their marks and ranges of NVTX that do nothing (native/profile/step.cc,
 * step_timer.cc, nvtx.h), and graphs that are launched without a look at who traces (native/cuda/graph.cc).
 */

import {fork} from 'node:child_process';
import {mkdtempSync, rmSync} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import {parseArgs} from 'node:util';

import {modelsFolder} from './engines/places.mjs';
import {ensureShape} from './generate/shapes.mjs';
import {percentile} from './generate/timed_stream.mjs';
import {machine} from './lib/machine.mjs';
import {median, Results, say} from './lib/results.mjs';

/** Of each side its claim. `stopped` has its graphs captured while it was recorded, `stopped_later` before. */
const CLAIMS = {
  stopped: 'stopped_ratio',
  stopped_later: 'stopped_later_ratio',
  timeline: 'timeline_ratio',
  nodes: 'timeline_nodes_ratio',
  metrics: 'metrics_ratio',
};
const WARM_UP = 1;

const {values: options} = parseArgs({
  options: {
    folder: {type: 'string', default: path.join(modelsFolder, '135m')},
    rounds: {type: 'string', default: '6'},
    /** Processes of each side, one after another. */
    generations: {type: 'string', default: '2'},
    tokens: {type: 'string', default: '1000'},
    sides: {type: 'string', default: 'stopped,timeline,nodes,metrics'},
    without: {type: 'string'},
    save: {type: 'boolean'},
  },
});
const [rounds, generations, tokens] = [options.rounds, options.generations, options.tokens].map(Number);
const unknown = options.sides.split(',').find((side) => CLAIMS[side] === undefined);
if (unknown !== undefined) {
  say(`profile-cost.mjs: sides are ${Object.keys(CLAIMS).join(', ')}, not ${unknown}`);
  process.exit(2);
}

const results = new Results('profile.jsonl', await machine());
const folder = await ensureShape('135m', options.folder);
const traces = mkdtempSync(path.join(os.tmpdir(), 'tensorrt-node-profile-'));
process.once('exit', () => rmSync(traces, {recursive: true, force: true}));

/** Two of each that others are compared with. */
const NEVER = ['never', 'again'];
const WITHOUT = options.without === undefined ? [] : ['without', 'without_again'];
const names = [...NEVER, ...WITHOUT, ...options.sides.split(',')];
/** By side: speeds of each round, and by how much they are those of the processes that never did any of it. */
const measured = new Map(names.map((name) => [name, {speeds: [], ratios: [], medians: []}]));
for (let generation = 0; generation < generations; generation++) await measureGeneration(generation);

const never = median(NEVER.flatMap((name) => measured.get(name).speeds));
if (WITHOUT.length > 0) recordOff();
for (const [name, {speeds, ratios, medians, recorded, tokens: count}] of measured) {
  if (CLAIMS[name] === undefined) continue;
  const value = mean(medians);
  say(`3.${CLAIMS[name]}: ${value.toFixed(4)}: ${median(speeds).toFixed(1)} tok/s`);
  results.record({
    claim: `profile.3.${CLAIMS[name]}`,
    value,
    unit: 'fraction',
    tok_s: rounded(median(speeds)),
    never_tok_s: rounded(never),
    of_medians: median(speeds) / never,
    p10: percentile(ratios, 0.1),
    p90: percentile(ratios, 0.9),
    equals_ratio: median(measured.get('again').speeds) / median(measured.get('never').speeds),
    processes: generations,
    rounds,
    tokens: count,
    ...(recorded === undefined ? {} : {recorded_events: recorded.events, dropped: recorded.dropped, lost: recorded.lost}),
  });
}

function recordOff() {
  // Of each generation: what processes without the hooks reached of the speed of those with them.
  const generationsOfBoth = WITHOUT.map((name) => measured.get(name).medians);
  const ratios = generationsOfBoth[0].map((_, index) => 1 / mean(generationsOfBoth.map((medians) => medians[index])));
  const without = median(WITHOUT.flatMap((name) => measured.get(name).speeds));
  say(`3.off_ratio: ${mean(ratios).toFixed(4)}: ${never.toFixed(1)} tok/s, without the profiler ${without.toFixed(1)}`);
  results.record({
    claim: 'profile.3.off_ratio',
    value: mean(ratios),
    unit: 'fraction',
    tok_s: rounded(never),
    without_tok_s: rounded(without),
    of_generations: ratios,
    equals_ratio: median(measured.get('again').speeds) / median(measured.get('never').speeds),
    without_equals_ratio: median(measured.get('without_again').speeds) / median(measured.get('without').speeds),
    processes: generations,
    rounds,
    tokens: measured.get('never').tokens,
  });
}

function mean(values) {
  return values.reduce((sum, each) => sum + each, 0) / values.length;
}

/** With processes of its own: what two of them differ in for good would otherwise count as the cost. */
async function measureGeneration(generation) {
  const sides = [];
  const begun = names.map((_, index) => names[(index + generation) % names.length]);
  // One after another, as the first may have to build what the others find.
  for (const name of begun) sides.push(await begin(name));
  for (let round = -WARM_UP; round < rounds; round++) {
    const speeds = new Map();
    for (const index of sides.keys()) {
      const {name, child} = sides[(index + round + WARM_UP) % sides.length];
      const {speed, tokens: count} = await ask(child, {tokens});
      speeds.set(name, speed);
      measured.get(name).tokens = count;
    }
    if (round < 0) continue;
    const base = mean(NEVER.map((name) => speeds.get(name)));
    for (const [name, speed] of speeds) {
      measured.get(name).speeds.push(speed);
      measured.get(name).ratios.push(speed / base);
    }
  }
  for (const each of measured.values()) each.medians.push(median(each.ratios.slice(-rounds)));
  for (const {name, child} of sides) {
    measured.get(name).recorded = (await ask(child, {})).result;
    child.unref();
  }
}

async function begin(name) {
  const bench = WITHOUT.includes(name) ? path.resolve(options.without, 'bench') : import.meta.dirname;
  const child = fork(path.join(bench, 'profile', 'cost_side.mjs'), [name, folder, traces]);
  const {ready} = await answer(child);
  say(`${name}: ${ready}`);
  return {name, child};
}

function ask(child, message) {
  child.send(message);
  return answer(child);
}

function answer(child) {
  return new Promise((resolve, reject) => {
    const ended = (code, signal) => reject(new Error(`a side ended with ${code ?? signal}`));
    child.once('exit', ended);
    child.once('message', (message) => {
      child.off('exit', ended);
      resolve(message);
    });
  });
}

function rounded(value) {
  return Number(value.toFixed(1));
}
