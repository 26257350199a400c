/**
 * What does watching cost? Tokens per second of SmolLM2, one stream, greedy: after a recording that was stopped, while
 * one is under way, and with metrics, spans and logs on; each against a process that never did any of it.
 *
 *   node bench/profile-cost.mjs [--folder bench/.models/135m] [--rounds 12] [--tokens 1000] [--sides stopped,timeline,…] [--save]
 *
 * Needs a GPU, CUPTI, `npm run build`, `build:addon`. A process for each side, all with the model loaded, of which one
 * generates at a time, in turns whose order changes; ratios are medians over the rounds of a side's speed by that of the
 * process that never did any of it. `again` is that process a second time: how far equals are apart. Speeds are the
 * scheduler's, without what JavaScript takes. Some 50 s on an H100.
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
  stopped: 'off_ratio',
  stopped_later: 'off_later_ratio',
  timeline: 'timeline_ratio',
  nodes: 'timeline_nodes_ratio',
  metrics: 'metrics_ratio',
};
const WARM_UP = 2;

const {values: options} = parseArgs({
  options: {
    folder: {type: 'string', default: path.join(modelsFolder, '135m')},
    rounds: {type: 'string', default: '12'},
    tokens: {type: 'string', default: '1000'},
    sides: {type: 'string', default: Object.keys(CLAIMS).join(',')},
    save: {type: 'boolean'},
  },
});
const [rounds, tokens] = [Number(options.rounds), Number(options.tokens)];
const unknown = options.sides.split(',').find((side) => CLAIMS[side] === undefined);
if (unknown !== undefined) {
  say(`profile-cost.mjs: sides are ${Object.keys(CLAIMS).join(', ')}, not ${unknown}`);
  process.exit(2);
}

const results = new Results('profile.jsonl', await machine());
const folder = await ensureShape('135m', options.folder);
const traces = mkdtempSync(path.join(os.tmpdir(), 'tensorrt-node-profile-'));
process.once('exit', () => rmSync(traces, {recursive: true, force: true}));

const names = ['never', 'again', ...options.sides.split(',')];
const sides = [];
// One after another, as the first may have to build what the others find.
for (const name of names) sides.push(await begin(name));

for (let round = -WARM_UP; round < rounds; round++) {
  for (const index of sides.keys()) {
    const side = sides[(index + round + WARM_UP) % sides.length];
    const {speed, tokens: count} = await ask(side.child, {tokens});
    side.tokens = count;
    if (round >= 0) side.speeds.push(speed);
  }
}
for (const side of sides) side.recorded = (await ask(side.child, {})).result;

const [never, again] = sides;
const ratiosOf = ({speeds}) => speeds.map((speed, round) => speed / never.speeds[round]);
for (const {name, speeds, recorded, tokens: count} of sides.slice(2)) {
  const value = median(speeds) / median(never.speeds);
  const byRound = ratiosOf({speeds});
  say(`3.${CLAIMS[name]}: ${value.toFixed(4)} (by rounds ${median(byRound).toFixed(4)}): ${median(speeds).toFixed(1)} tok/s`);
  results.record({
    claim: `profile.3.${CLAIMS[name]}`,
    value,
    unit: 'fraction',
    tok_s: rounded(median(speeds)),
    never_tok_s: rounded(median(never.speeds)),
    by_rounds: {median: median(byRound), p10: percentile(byRound, 0.1), p90: percentile(byRound, 0.9)},
    equals_ratio: median(again.speeds) / median(never.speeds),
    rounds,
    tokens: count,
    ...(recorded === undefined ? {} : {recorded_events: recorded.events, dropped: recorded.dropped, lost: recorded.lost}),
  });
}

async function begin(name) {
  const child = fork(new URL('profile/cost_side.mjs', import.meta.url), [name, folder, traces]);
  const {ready} = await answer(child);
  say(`${name}: ${ready}`);
  return {name, child, speeds: [], tokens: 0};
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
