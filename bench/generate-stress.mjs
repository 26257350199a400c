/**
 * Does anything pile up or get lost on TensorRT? 2,000 requests of random lengths, sampling options and endings against one
 * model, up to 64 at once; then as many at once as it has slots.
 *
 *   node bench/generate-stress.mjs [--model DIR] [--requests 2000] [--save]
 *
 * Needs a GPU. With the load option `deterministic`, the replies of requests that nobody cut short are compared with those
 * of the same requests alone. Memory is told by its slope over the second half, taken while nothing runs.
 */

import {parseArgs} from 'node:util';
import {setFlagsFromString} from 'node:v8';
import {runInNewContext} from 'node:vm';

import {OptionError, TensorrtNodeError} from '../dist/index.js';
import {Device} from '../dist/native/device.js';
import {modelFolder} from '../scripts/model.mjs';
import {loadsDeterministic} from './generate/deterministic.mjs';
import {openModel} from './generate/open_model.mjs';
import {runRequest, stressRequest} from './generate/stress_requests.mjs';
import {machine} from './lib/machine.mjs';
import {prompts} from './lib/prompts.mjs';
import {uniform} from './lib/random.mjs';
import {Results, say} from './lib/results.mjs';
import {slope} from './lib/slope.mjs';

const {values: options} = parseArgs({
  options: {
    model: {type: 'string', default: modelFolder},
    requests: {type: 'string', default: '2000'},
    slots: {type: 'string', default: '64'},
    /** Of prompts and replies, tokens. */
    longest: {type: 'string', default: '512,128'},
    /** Requests to run again alone. */
    compare: {type: 'string', default: '100'},
    save: {type: 'boolean'},
  },
});
const [requests, slots, compare] = [options.requests, options.slots, options.compare].map(Number);
const [longestPrompt, longestReply] = options.longest.split(',').map(Number);
/** Samples of memory, over all requests. */
const SAMPLES = 20;

const results = new Results('generate.jsonl', await machine());
// Collected garbage is not growth.
setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc');

const deterministic = await loadsDeterministic();
// A session takes two prompts and three replies at most.
const maxContext = longestPrompt + 2 * longestReply + 64;
const {model, decoder} = await openModel(options.model, {maxContext, maxBatch: slots, ...(deterministic ? {deterministic} : {})});
const device = Device.open(0);
const text = prompts().flatMap((each) => [...model.tokenizer.encode(each.text)]);
const traits = {text, vocabSize: model.vocabSize, longest: {prompt: longestPrompt, reply: longestReply}};

const ends = {};
const failures = [];
const replies = new Map();
const samples = [];
let lostSlots = 0;
let number = 0;
const start = performance.now();
for (let sample = 1; sample <= SAMPLES; sample++) {
  await runUntil(Math.round((requests * sample) / SAMPLES), uniform(sample));
  await takeSample();
}
const seconds = (performance.now() - start) / 1000;
say(`${requests} requests in ${seconds.toFixed(1)} s: ${JSON.stringify(ends)}`);
for (const error of failures.slice(0, 5)) say(error.stack ?? String(error));

const untyped = failures.filter((error) => !(error instanceof TensorrtNodeError || error instanceof OptionError)).length;
record('requests', requests - failures.length, 'requests ended as they should', {ends, seconds});
record('untyped_errors', untyped, 'errors', {failures: failures.length});
record('lost_slots', lostSlots, 'slots and pages in use while nothing ran');
const half = samples.slice(samples.length >> 1);
record('rss_slope_bytes', slope(half, 'rss'), 'bytes a request', {samples});
record('vram_slope_bytes', slope(half, 'vram'), 'bytes a request');

let most = 0;
const watch = setInterval(() => {
  most = Math.max(most, decoder.stats().slotsInUse);
}, 1);
const full = await Promise.all(
  Array.from({length: slots}, (_, index) =>
    model.generateText(Uint32Array.of(100 + index), {maxNewTokens: longestReply, logitBias: neverEnds()}),
  ),
);
clearInterval(watch);
const ran = full.filter(({tokens}) => tokens.length === longestReply).length;
record('slots_at_the_end', ran, 'requests at once', {slots, most_in_use: most});

if (deterministic) {
  const chosen = [...replies.keys()].slice(-compare);
  let equal = 0;
  for (const each of chosen) {
    const {prompt, options: how} = stressRequest(each, traits);
    const {tokens} = await model.generateText(prompt, how);
    if (tokens.join() === replies.get(each).join()) equal++;
    else say(`request ${each} says something else alone`);
  }
  record('deterministic_equal', equal / chosen.length, 'fraction', {requests: chosen.length});
}
await model.dispose();

/** Runs requests up to `last`, as many at once as chance says, which changes its mind every now and then. */
async function runUntil(last, random) {
  const running = new Set();
  while (number < last) {
    const atOnce = 2 ** Math.floor(random() * (Math.log2(slots) + 1));
    for (let left = Math.min(30, last - number); left > 0; left--) {
      while (running.size >= atOnce) await Promise.race(running);
      const request = runOne(number++).finally(() => running.delete(request));
      running.add(request);
    }
  }
  await Promise.all(running);
}

async function runOne(each) {
  try {
    const {end, tokens} = await runRequest(model, stressRequest(each, traits));
    ends[end] = (ends[end] ?? 0) + 1;
    if (tokens !== undefined && deterministic) replies.set(each, tokens);
  } catch (error) {
    failures.push(error);
  }
}

/** Aborted requests leave within a step or two. */
async function takeSample() {
  const deadline = performance.now() + 5000;
  let stats = decoder.stats();
  while ((stats.slotsInUse > 0 || stats.pagesInUse > 0 || stats.waiting > 0) && performance.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, 5));
    stats = decoder.stats();
  }
  lostSlots = Math.max(lostSlots, stats.slotsInUse + stats.pagesInUse + stats.waiting);
  // Twice: what finalizers free, the second finds.
  collectGarbage();
  await new Promise((resolve) => setTimeout(resolve, 20));
  collectGarbage();
  const {freeBytes, totalBytes} = device.memory();
  samples.push({requests: number, rss: process.memoryUsage.rss(), vram: totalBytes - freeBytes});
}

function neverEnds() {
  const end = model.tokenizer.eos?.id;
  return new Map([...new Set([0, 1, 2, end].filter((token) => token !== undefined))].map((token) => [token, -Infinity]));
}

function record(claim, value, unit, more) {
  say(`8.${claim}: ${value} ${unit}`);
  results.record({claim: `generate.8.${claim}`, value, unit, ...more});
}
