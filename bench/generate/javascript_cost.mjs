/** What it costs that tokens go to JavaScript: in speed, in delay of the event loop, in processor time. */

import {monitorEventLoopDelay} from 'node:perf_hooks';
import {setTimeout} from 'node:timers/promises';

import {nativeSampling} from '../../dist/backend/tensorrt/sampling.js';
import {checkOptions} from '../../dist/generate/options.js';
import {median} from '../lib/results.mjs';
import {speedOf, timedStream} from './timed_stream.mjs';

/** Far from the ids that the backend gives. */
let nextId = 2 ** 40;

/** One stream, tokens per second: seen from JavaScript, and counted by the addon alone; in turns. */
export async function javascriptRatio({model, decoder}, promptOf, {rounds, newTokens}) {
  const seen = [];
  const counted = [];
  let cores = 0;
  for (let round = -1; round < rounds; round++) {
    const before = process.cpuUsage();
    const start = performance.now();
    const inJavascript = speedOf(await timedStream(model, promptOf(2 * round + 2), newTokens));
    const used = coresUsed(before, start);
    const alone = await countedSpeed(decoder, model, promptOf(2 * round + 3), newTokens);
    if (round < 0) continue;
    seen.push(inJavascript);
    counted.push(alone);
    cores = Math.max(cores, used);
  }
  return {ratio: median(seen) / median(counted), javascript: median(seen), native: median(counted), cores};
}

async function countedSpeed(decoder, model, prompt, maxNewTokens) {
  const {sampling} = checkOptions({temperature: 0, seed: 1}, model.vocabSize);
  const options = nativeSampling({tokens: prompt, maxNewTokens, stopTokens: new Set(), sampling});
  const {tokens, seconds} = await decoder.count(nextId++, Int32Array.from(prompt), maxNewTokens, options);
  return (tokens - 1) / seconds;
}

/** While `streams` run at once: delay of the event loop beyond the timer's millisecond, processor cores used, tokens per second. */
export async function serviceLoad(model, promptOf, {streams, newTokens}) {
  const idle = await loopDelay(() => setTimeout(500));
  let load;
  const busy = await loopDelay(async () => {
    const before = process.cpuUsage();
    const start = performance.now();
    const all = await Promise.all(Array.from({length: streams}, (_, index) => timedStream(model, promptOf(index), newTokens)));
    const tokens = all.reduce((sum, {count}) => sum + count, 0);
    load = {cores: coresUsed(before, start), tokensPerSecond: (1000 * tokens) / (performance.now() - start)};
  });
  return {...load, delay: busy, idleDelay: idle};
}

/** Milliseconds. */
async function loopDelay(work) {
  const resolution = 1;
  const histogram = monitorEventLoopDelay({resolution});
  histogram.enable();
  await work();
  histogram.disable();
  // It tells the time between two calls of a timer.
  const at = (percent) => Math.max(0, histogram.percentile(percent) / 1e6 - resolution);
  return {p50: at(50), p99: at(99), max: at(100)};
}

function coresUsed(before, start) {
  const {user, system} = process.cpuUsage(before);
  return (user + system) / 1000 / (performance.now() - start);
}
