/**
 * How fast does a Node service see tokens? On TensorRT, through the public API, of a model of random weights in a known
 * shape: one stream, the first token of a long prompt, many streams at once, and gaps while prompts join.
 *
 *   node bench/generate.mjs --shape 135m|8b [--folder DIR] [--streams 32] [--rounds 5] [--save]
 *
 * Needs a GPU, `npm run build`, `build:addon`. The model is made in DIR (bench/.models/SHAPE) if it is not there: 16 GB
 * for 8b. Decode is 128 greedy tokens from the first to the last; medians of the rounds, after one that does not count.
 */

import path from 'node:path';
import {parseArgs} from 'node:util';

import {inspect, loadModel} from '../dist/index.js';
import {modelsFolder} from './engines/places.mjs';
import {ensureShape} from './generate/shapes.mjs';
import {prompts} from './lib/prompts.mjs';
import {median, Results, say} from './lib/results.mjs';

const {values: options} = parseArgs({
  options: {
    shape: {type: 'string', default: '135m'},
    folder: {type: 'string'},
    streams: {type: 'string', default: '32'},
    rounds: {type: 'string', default: '5'},
    /** For trying this without a GPU. */
    backend: {type: 'string', default: 'tensorrt'},
    tokens: {type: 'string', default: '128'},
    save: {type: 'boolean'},
  },
});
const {shape} = options;
const [streams, rounds, newTokens] = [options.streams, options.rounds, options.tokens].map(Number);

const {driver, devices, tensorrt} = await inspect();
if (options.backend === 'tensorrt' && devices.length === 0) {
  say(`not run: ${driver.reason ?? 'the driver sees no GPU'}`);
  process.exit(2);
}
const gpu = {gpu: devices[0]?.name, driver: driver.version, versions: {cuda: driver.cuda, tensorrt: tensorrt.version}};
const results = new Results('generate.jsonl', gpu);

const folder = await ensureShape(shape, options.folder ?? path.join(modelsFolder, shape));
const text = prompts()
  .map((each) => each.text)
  .join(' ');
let loadedBytes = 0;
const start = performance.now();
const model = await loadModel(folder, {
  backend: options.backend,
  maxContext: 2048,
  maxBatch: streams,
  onProgress: ({phase, done, unit}) => {
    if (phase === 'load' && unit === 'bytes') loadedBytes = done;
  },
});
const seconds = (performance.now() - start) / 1000;
say(`${model.description}: loaded in ${seconds.toFixed(1)} s`);
results.record({
  claim: `generate.7.${shape}_load_s`,
  value: seconds,
  unit: 's',
  bytes: loadedBytes || undefined,
  note: 'plans included, built or cached',
});

const tokens = promptTokens(4 * 512);
const single = [];
const first = [];
for (let round = -1; round < rounds; round++) {
  // Each prompt begins elsewhere: nothing of it is in the cache.
  const short = await stream(tokens.slice(16 * (round + 1), 16 * (round + 1) + 32), newTokens);
  const long = await stream(tokens.slice(512 + 16 * (round + 1), 1024 + 16 * (round + 1)), 1);
  if (round < 0) continue;
  single.push(((short.count - 1) / (short.last - short.first)) * 1000);
  first.push(long.first);
}
record(`${number()}.${shape}_fp16_tok_s`, median(single), 'tok/s', {rounds: single.map(rounded)});
record(`3.${shape}_ttft_ms`, median(first), 'ms', {prompt_tokens: 512, rounds: first.map(rounded)});

const together = performance.now();
const all = await Promise.all(Array.from({length: streams}, (_, index) => stream(tokens.slice(index, index + 32), newTokens)));
const total = (all.reduce((sum, {count}) => sum + count, 0) / (performance.now() - together)) * 1000;
record(`4.${shape}_batch${streams}_tok_s`, total, 'tok/s', {streams});
record(`4.batch${streams}_ratio`, total / median(single), 'x', {shape, streams});

// A stream that runs while prompts of 512 tokens join.
let joining = true;
const joined = (async () => {
  for (let index = 0; joining; index++) await stream(tokens.slice(index % 512, (index % 512) + 512), 4);
})();
const running = await stream(tokens.slice(7, 39), 4 * newTokens);
joining = false;
await joined;
const gaps = running.gaps.toSorted((a, b) => a - b);
record('4.gap_ratio', gaps[Math.floor(0.99 * (gaps.length - 1))] / gaps[gaps.length >> 1], 'x', {shape, median_ms: gaps[gaps.length >> 1]});
await model[Symbol.asyncDispose]();

/** Times in milliseconds from the call: of the first chunk, the last, and between chunks, a token at a time. */
async function stream(prompt, maxNewTokens) {
  const began = performance.now();
  const seen = {first: 0, last: 0, count: 0, gaps: []};
  for await (const chunk of model.generate(prompt, {maxNewTokens, temperature: 0})) {
    if (chunk.tokens.length === 0) continue;
    const now = performance.now() - began;
    if (seen.count === 0) seen.first = now;
    else seen.gaps.push((now - seen.last) / chunk.tokens.length);
    seen.last = now;
    seen.count += chunk.tokens.length;
  }
  return seen;
}

function promptTokens(count) {
  const list = [];
  while (list.length < count) list.push(...model.tokenizer.encode(text));
  return list.slice(0, count);
}

function number() {
  return shape === '135m' ? 1 : 2;
}

function rounded(value) {
  return Number(value.toFixed(2));
}

function record(claim, value, unit, more) {
  say(`${claim}: ${value.toFixed(2)} ${unit}`);
  results.record({claim: `generate.${claim}`, value, unit, ...more});
}
