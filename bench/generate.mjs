/**
 * How fast does a Node service see tokens? On TensorRT, of a model of random weights in a known shape.
 *
 *   node bench/generate.mjs --shape 135m|8b [--measure speed,streams,gaps,javascript,load,long] [--folder DIR] [--save]
 *
 * speed: one stream, and the first token of a prompt of 512. streams: many at once. gaps: between a stream's tokens while
 * prompts of 512 join. javascript: one stream beside what the addon counts alone. load: the event loop and processor time
 * while 64 streams run. long: after a prompt of 8k.
 * Needs a GPU, `npm run build`, `build:addon`. The model is made in DIR (bench/.models/SHAPE) if it is not there: 16 GB
 * for 8b. Greedy, from the first chunk to the last; medians of the rounds, after one that does not count.
 */

import path from 'node:path';
import {parseArgs} from 'node:util';

import {modelsFolder} from './engines/places.mjs';
import {javascriptRatio, serviceLoad} from './generate/javascript_cost.mjs';
import {BYTES_PER_SECOND, longContext} from './generate/long_context.mjs';
import {openModel} from './generate/open_model.mjs';
import {ensureShape, SHAPES} from './generate/shapes.mjs';
import {textPrompts} from './generate/text_prompts.mjs';
import {percentile, speedOf, timedStream} from './generate/timed_stream.mjs';
import {machine} from './lib/machine.mjs';
import {median, Results, say} from './lib/results.mjs';

/**
 * Not run here: node-llama-cpp 3.22.1's llama.cpp, built with CUDA for 9.0, flash attention, and transformers with a static
 * cache and torch.compile, both measured on one H100. Tokens per second.
 */
const STANDING = {'135m': {'llama.cpp': 966, 'torch.compile': 383}, '8b': {'llama.cpp': 173, 'torch.compile': 100}};

const MEASURES = {speed, streams: manyStreams, gaps, javascript, load};

const {values: options} = parseArgs({
  options: {
    shape: {type: 'string', default: '135m'},
    folder: {type: 'string'},
    measure: {type: 'string', default: [...Object.keys(MEASURES), 'long'].join(',')},
    streams: {type: 'string', default: '32'},
    'load-streams': {type: 'string', default: '64'},
    rounds: {type: 'string', default: '5'},
    tokens: {type: 'string', default: '128'},
    /** Of the long prompt. */
    long: {type: 'string', default: '8192'},
    save: {type: 'boolean'},
  },
});
const {shape} = options;
const measures = options.measure.split(',');
const [streams, loadStreams, rounds, newTokens] = [options.streams, options['load-streams'], options.rounds, options.tokens].map(Number);
if (SHAPES[shape] === undefined) usage(`shapes are ${Object.keys(SHAPES).join(', ')}`);
const unknown = measures.find((name) => name !== 'long' && MEASURES[name] === undefined);
if (unknown !== undefined) usage(`nothing measures ${unknown}`);

const results = new Results('generate.jsonl', await machine());
const folder = await ensureShape(shape, options.folder ?? path.join(modelsFolder, shape));

let opened;
/** Tokens per second of one stream. */
let single;
if (measures.some((name) => name !== 'long')) {
  opened = await open({maxContext: 2048, maxBatch: measures.includes('load') ? Math.max(streams, loadStreams) : streams});
  for (const name of Object.keys(MEASURES)) if (measures.includes(name)) await MEASURES[name]();
  await opened.model.dispose();
}
if (measures.includes('long')) await afterLongPrompts();

async function open(limits) {
  let loadedBytes = 0;
  const start = performance.now();
  const loaded = await openModel(folder, {
    ...limits,
    onProgress: ({phase, done, unit}) => {
      if (phase === 'read' && unit === 'bytes') loadedBytes = done;
    },
  });
  const seconds = (performance.now() - start) / 1000;
  say(`${loaded.model.description}: loaded for ${limits.maxBatch} of ${limits.maxContext} tokens in ${seconds.toFixed(1)} s`);
  if (opened === undefined) record(`7.${shape}_load_s`, seconds, 's', {bytes: loadedBytes, note: 'plans included, built or cached'});
  return loaded;
}

async function speed() {
  const speeds = [];
  const first = [];
  for (let round = -1; round < rounds; round++) {
    const short = await timedStream(opened.model, promptOf(round + 1, 32), newTokens);
    const long = await timedStream(opened.model, promptOf(round + 100, 512), 1);
    if (round < 0) continue;
    speeds.push(speedOf(short));
    first.push(long.first);
  }
  single = median(speeds);
  record(`${shape === '8b' ? 2 : 1}.${shape}_fp16_tok_s`, single, 'tok/s', {
    peer: STANDING[shape],
    rounds: speeds.map(rounded),
    note: 'the peers stand from an earlier run on one H100',
  });
  record(`3.${shape}_ttft_ms`, median(first), 'ms', {prompt_tokens: 512, rounds: first.map(rounded)});
}

async function manyStreams() {
  single ??= speedOf(await timedStream(opened.model, promptOf(0, 32), newTokens));
  const totals = [];
  // The first is slower where graphs are made, and tells what a service sees once.
  for (let round = 0; round < 2; round++) {
    const start = performance.now();
    const all = await Promise.all(
      Array.from({length: streams}, (_, index) => timedStream(opened.model, promptOf(200 + round * streams + index, 32), newTokens)),
    );
    totals.push((1000 * all.reduce((sum, {count}) => sum + count, 0)) / (performance.now() - start));
  }
  const total = totals.at(-1);
  record(`4.${shape}_batch${streams}_tok_s`, total, 'tok/s', {streams, rounds: totals.map(rounded)});
  record(`4.${of('8b')}batch${streams}_ratio`, total / single, 'x', {shape, streams});
}

/** A stream that runs while prompts of 512 tokens join. */
async function gaps() {
  let joining = true;
  const joined = (async () => {
    for (let index = 0; joining; index++) await timedStream(opened.model, promptOf(1000 + index, 512), 4);
    return true;
  })();
  const running = await timedStream(opened.model, promptOf(999, 32), 4 * newTokens);
  joining = false;
  await joined;
  const [p50, p99] = [0.5, 0.99].map((part) => percentile(running.gaps, part));
  record(`4.${of('8b')}gap_ratio`, p99 / p50, 'x', {shape, median_ms: p50, p99_ms: p99, gaps: running.gaps.length});
}

async function javascript() {
  const {
    ratio,
    javascript: seen,
    native,
    cores,
  } = await javascriptRatio(opened, (index) => promptOf(3000 + index, 32), {
    rounds,
    newTokens: 4 * newTokens,
  });
  const more = {shape, javascript_tok_s: seen, native_tok_s: native};
  record(`5.${of('135m')}js_ratio`, ratio, 'fraction', more);
  record(`5.${of('135m')}single_cpu_cores`, cores, 'cores', {shape});
}

async function load() {
  const {cores, tokensPerSecond, delay, idleDelay} = await serviceLoad(opened.model, (index) => promptOf(4000 + index, 32), {
    streams: loadStreams,
    newTokens: 2 * newTokens,
  });
  const more = {shape, streams: loadStreams, tok_s: tokensPerSecond};
  record(`5.${of('135m')}event_loop_p99_ms`, delay.p99, 'ms', {...more, p50_ms: delay.p50, max_ms: delay.max, idle_p99_ms: idleDelay.p99});
  record(`5.${of('135m')}cpu_cores`, cores, 'cores', more);
}

async function afterLongPrompts() {
  const {maxPositionEmbeddings} = SHAPES[shape];
  const long = Math.min(Number(options.long), maxPositionEmbeddings - newTokens);
  opened = await open({maxContext: Math.min(long + 808, maxPositionEmbeddings), maxBatch: 2});
  const found = await longContext(opened.model, (index, length) => promptOf(5000 + index, length), {
    shape: SHAPES[shape],
    long,
    rounds: Math.min(rounds, 3),
    newTokens,
  });
  await opened.model.dispose();
  record(`2.${of('8b')}8k_ratio`, found.ratio, 'fraction', {
    shape,
    prompt_tokens: long,
    short_tok_s: found.short,
    long_tok_s: found.long,
    cache_bytes: found.cacheBytes,
    note: `the time to read the keys and values at ${BYTES_PER_SECOND / 1e12} TB/s is allowed for`,
  });
  record(`2.${shape}_8k_tok_s`, found.long, 'tok/s', {prompt_tokens: long});
}

function promptOf(index, length) {
  promptOf.texts ??= textPrompts(opened.model.tokenizer);
  return promptOf.texts(index, length);
}

/** Most claims are about one shape; the same of another carries its name. */
function of(main) {
  return shape === main ? '' : `${shape}_`;
}

function rounded(value) {
  return Number(value.toFixed(2));
}

function record(claim, value, unit, more) {
  say(`${claim}: ${value.toFixed(3)} ${unit}`);
  results.record({claim: `generate.${claim}`, value, unit, ...more});
}

function usage(why) {
  say(`generate.mjs: ${why}`);
  process.exit(2);
}
