/**
 * How fast are weights of 8 and 4 bits, and how much memory do they take? On TensorRT, of a model of random weights in a known
 * shape, or of SmolLM2 as its GGUF is imported.
 *
 *   node bench/bits.mjs --shape 8b|135m|tiny --bits 4|8 [--measure speed,prompt,streams,memory] [--folder DIR] [--save]
 *   node bench/bits.mjs --shape smollm2                   SmolLM2-135M-Instruct Q4_1 (npm run model)
 *
 * speed: one stream. prompt: 512 tokens of a prompt. streams: 32 at once, prompts and replies; and replies alone, from the last
 * one's first chunk to the first one's last, beside one stream's. memory: weights in VRAM beside the file they are in.
 * Needs a GPU, `npm run build`, `build:addon`. The model is made in DIR (bench/.models/SHAPE-qBITS) if it is not there: 4.5 GB
 * for 8b at 4 bits. Greedy, from the first chunk to the last; medians of the rounds, after one that does not count.
 */

import {stat} from 'node:fs/promises';
import path from 'node:path';
import {parseArgs} from 'node:util';

import {ensureModel, ggufPath, modelFolder} from '../scripts/model.mjs';
import {modelsFolder} from './engines/places.mjs';
import {openModel} from './generate/open_model.mjs';
import {ensureShape, SHAPES} from './generate/shapes.mjs';
import {textPrompts} from './generate/text_prompts.mjs';
import {speedOf, speedTogether, timedStream} from './generate/timed_stream.mjs';
import {machine} from './lib/machine.mjs';
import {median, Results, say} from './lib/results.mjs';

/** Not run here: node-llama-cpp 3.22.1's llama.cpp, built with CUDA for 9.0, flash attention, on one H100. Tokens per second. */
const STANDING = {
  '1.8b_q4_tok_s': {'llama.cpp Q4_0': 335},
  '1.8b_q4_pp512_tok_s': {'llama.cpp Q4_0, prompt': 11_000},
  '2.135m_q4_tok_s': {'llama.cpp Q4_1': 918},
};

const MEASURES = {speed, prompt, streams: manyStreams, memory};
const PROMPT_TOKENS = 512;

const {values: options} = parseArgs({
  options: {
    shape: {type: 'string', default: '8b'},
    bits: {type: 'string', default: '4'},
    folder: {type: 'string'},
    measure: {type: 'string', default: Object.keys(MEASURES).join(',')},
    streams: {type: 'string', default: '32'},
    rounds: {type: 'string', default: '5'},
    tokens: {type: 'string', default: '128'},
    save: {type: 'boolean'},
  },
});
const {shape} = options;
const measures = options.measure.split(',');
const [bits, streams, rounds, newTokens] = [options.bits, options.streams, options.rounds, options.tokens].map(Number);
if (shape !== 'smollm2' && SHAPES[shape] === undefined) usage(`shapes are smollm2, ${Object.keys(SHAPES).join(', ')}`);
if (bits !== 4 && (bits !== 8 || shape === 'smollm2')) usage('bits are 4 and 8, and of smollm2 4');
const unknown = measures.find((name) => MEASURES[name] === undefined);
if (unknown !== undefined) usage(`nothing measures ${unknown}`);

const results = new Results('bits.jsonl', await machine());
const folder = await modelOf();
const start = performance.now();
const opened = await openModel(folder, {maxContext: 2048, maxBatch: streams});
say(`${opened.model.description}: loaded in ${((performance.now() - start) / 1000).toFixed(1)} s`);
const promptOf = textPrompts(opened.model.tokenizer);
/** Tokens per second of one stream. */
let single;
for (const name of Object.keys(MEASURES)) if (measures.includes(name)) await MEASURES[name]();
await opened.model.dispose();

async function modelOf() {
  if (shape !== 'smollm2') return await ensureShape(shape, options.folder ?? path.join(modelsFolder, `${shape}-q${bits}`), {bits});
  if (options.folder === undefined) await ensureModel();
  return options.folder ?? modelFolder;
}

async function speed() {
  const speeds = [];
  for (let round = -1; round < rounds; round++) {
    const found = speedOf(await timedStream(opened.model, promptOf(round + 1, 32), newTokens));
    if (round >= 0) speeds.push(found);
  }
  single = median(speeds);
  record(`${of()}_tok_s`, single, 'tok/s', {rounds: speeds.map(rounded)});
}

/** As a caller sees it: from the call to the first token. */
async function prompt() {
  const speeds = [];
  for (let round = -1; round < rounds; round++) {
    const {first} = await timedStream(opened.model, promptOf(round + 100, PROMPT_TOKENS), 1);
    if (round >= 0) speeds.push((1000 * PROMPT_TOKENS) / first);
  }
  record(`${of()}_pp512_tok_s`, median(speeds), 'tok/s', {rounds: speeds.map(rounded)});
}

async function manyStreams() {
  single ??= speedOf(await timedStream(opened.model, promptOf(0, 32), newTokens));
  const [totals, replying] = [[], []];
  // The first is slower where graphs are made, and tells what a service sees once.
  for (let round = 0; round < 4; round++) {
    const began = performance.now();
    const all = await Promise.all(
      Array.from({length: streams}, (_, index) => timedStream(opened.model, promptOf(200 + round * streams + index, 32), newTokens)),
    );
    totals.push((1000 * all.reduce((sum, {count}) => sum + count, 0)) / (performance.now() - began));
    replying.push(speedTogether(all));
  }
  record(`${of()}_batch${streams}_tok_s`, median(totals.slice(1)), 'tok/s', {streams, rounds: totals.map(rounded)});
  const together = median(replying.slice(1));
  record(`${of()}_batch${streams}_replying_tok_s`, together, 'tok/s', {streams, rounds: replying.map(rounded)});
  record(`${of()}_batch${streams}_ratio`, together / single, 'x', {streams, single_tok_s: single});
}

async function memory() {
  const inUse = opened.backend.memory().filter(({what, where}) => what === 'weights' && where === 'gpu');
  const vram = inUse.reduce((sum, {bytes}) => sum + bytes, 0);
  // As it was published: the import keeps scales as float32.
  const disk = (await stat(shape === 'smollm2' ? ggufPath : path.join(folder, 'model.onnx_data'))).size;
  record(`5.${shape}_q${bits}_vram_ratio`, vram / disk, 'x', {vram_bytes: vram, disk_bytes: disk});
}

function of() {
  return shape === 'smollm2' ? '2.135m_q4' : `1.${shape}_q${bits}`;
}

function rounded(value) {
  return Number(value.toFixed(2));
}

function record(claim, value, unit, more) {
  const peer = STANDING[claim];
  say(`${claim}: ${value.toFixed(3)} ${unit}`);
  results.record({
    claim: `bits.${claim}`,
    value,
    unit,
    ...more,
    ...(peer && {peer, note: 'the peer stands from an earlier run on one H100'}),
  });
}

function usage(why) {
  say(`bits.mjs: ${why}`);
  process.exit(2);
}
