/**
 * What do 8 and 4 bits cost? Perplexity of SmolLM2-135M-Instruct, quantised in each way, over that of its halves, on 20,480
 * tokens of Moby-Dick in windows of 512; with KL divergence, agreement, memory and speed.
 *
 *   node bench/bits-quality.mjs [--only q8,q4_rtn,…] [--backend cpu|tensorrt] [--tokens N] [--again] [--keep] [--save]
 *
 * The original is SmolLM2 with its channels in another order, so that its 4-bit grids help nobody (bits/shuffled_smollm2.mjs).
 * On the CPU all is computed in float32: some 5 minutes each way on two cores. What was evaluated is kept in
 * bench/.models/quality and not done again without --again; so are, with --keep, 4 GB of the original's logits.
 */

import {existsSync, mkdirSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import path from 'node:path';
import {parseArgs} from 'node:util';

import {evaluateModel, importModel, inspect, quantizeModel} from '../dist/index.js';
import {ensureShuffledSmolLM2} from './bits/shuffled_smollm2.mjs';
import {modelsFolder} from './engines/places.mjs';
import {bookChapters} from './lib/book.mjs';
import {Results, say} from './lib/results.mjs';

/** The head is a fifth of SmolLM2, and one with the embedding. */
const Q4 = {bits: 4, block: 32, headBits: 8};

/** By name: how the original is quantised, or loaded. */
const WAYS = {
  q8: {quantize: {bits: 8, block: 32}},
  q8_zero_points: {quantize: {bits: 8, block: 32, symmetric: false}},
  q8_gptq: {quantize: {bits: 8, block: 32, symmetric: false, method: 'gptq'}},
  q8_sensitive_rtn: {quantize: {bits: 8, block: 32, symmetric: false, sensitive: true}},
  q8_sensitive_symmetric_rtn: {quantize: {bits: 8, block: 32, sensitive: true}},
  q8_channel: {quantize: {bits: 8, block: 'channel'}},
  fp8: {quantize: {type: 'fp8'}},
  q4_rtn: {quantize: {...Q4, method: 'rtn'}},
  q4_awq: {quantize: {...Q4, method: 'awq'}},
  q4_gptq: {quantize: {...Q4, method: 'gptq'}},
  q4_awq_gptq: {quantize: {...Q4, method: 'awq+gptq'}},
  q4_sensitive_rtn: {quantize: {...Q4, sensitive: true}},
  q4_sensitive_gptq: {quantize: {...Q4, sensitive: true, method: 'gptq'}},
  q4_head4_rtn: {quantize: {...Q4, headBits: 4}},
  q4_symmetric_rtn: {quantize: {...Q4, symmetric: true}},
  q4_block128_rtn: {quantize: {...Q4, block: 128}},
  q4_block128_gptq: {quantize: {...Q4, block: 128, method: 'gptq'}},
  kv_fp8: {load: {kvCacheType: 'fp8'}},
  kv_int8: {load: {kvCacheType: 'int8'}},
};
/** Ways that claims are about come by default. */
const CLAIMED = ['q8', 'q4_rtn', 'q4_awq', 'q4_gptq', 'kv_fp8'];
const CHAPTERS = 14;

const {values: options} = parseArgs({
  options: {
    only: {type: 'string', default: CLAIMED.join(',')},
    backend: {type: 'string', default: 'cpu'},
    /** Of the text; each but the first is scored. */
    tokens: {type: 'string', default: '20481'},
    /** Of the CPU backend; fewer are faster where others use the cores. */
    threads: {type: 'string'},
    /** Of the package's calibration text, 512 tokens each. */
    samples: {type: 'string', default: '32'},
    again: {type: 'boolean'},
    keep: {type: 'boolean'},
    save: {type: 'boolean'},
  },
});
const names = options.only.split(',');
const unknown = names.find((name) => WAYS[name] === undefined);
if (unknown !== undefined) {
  say(`bits-quality.mjs: ${unknown} is none of ${Object.keys(WAYS).join(', ')}`);
  process.exit(2);
}

const {backend} = options;
const threads = options.threads === undefined ? {} : {threads: Number(options.threads)};
const common = {backend, ...threads};
const dtype = backend === 'cpu' ? 'fp32' : 'fp16';
const folder = path.join(modelsFolder, 'quality');
mkdirSync(folder, {recursive: true});
const inFolder = (name) => path.join(folder, name);
const checkpoint = await ensureShuffledSmolLM2();
const original = inFolder(`original-${dtype}`);
if (!existsSync(original)) await importModel(checkpoint, original, {dtype});
const logits = inFolder(`original-${dtype}-${backend}.logits`);
const text = bookChapters(1, CHAPTERS);

const {driver, devices, tensorrt} = await inspect();
const onGpu = backend === 'cpu' ? {} : {gpu: devices[0]?.name, driver: driver.version};
const versions = backend === 'cpu' ? {} : {cuda: driver.cuda, tensorrt: tensorrt.version};
const results = new Results('bits.jsonl', {...onGpu, versions});

const found = {};
try {
  for (const name of names) found[name] = await evaluated(name);
} finally {
  if (!options.keep) rmSync(logits, {force: true});
}
record('ppl_q8_ratio', found.q8);
record('ppl_q4_ratio', found.q4_rtn);
record('kv_fp8_ratio', found.kv_fp8);
for (const name of names) if (!CLAIMED.includes(name) || name.endsWith('q')) record(`ppl_${name}_ratio`, found[name]);
// What is left of the distance that rounding alone leaves.
const gaps = ['awq', 'gptq'].map((method) => [method, gapOf(found[`q4_${method}`], found.q4_rtn)]).filter(([, gap]) => gap !== undefined);
for (const [method, gap] of gaps) recordValue(`${method}_gap`, gap, 'of rtn');
const sensitive = gapOf(found.q4_sensitive_gptq, found.q4_sensitive_rtn);
if (sensitive !== undefined) recordValue('sensitive_gptq_gap', sensitive, 'of rtn');
if (gaps.length > 0) recordValue('best_gap', Math.min(...gaps.map(([, gap]) => gap)), 'of rtn', {methods: gaps.map(([method]) => method)});

async function evaluated(name) {
  const file = inFolder(`${name}-${dtype}-${backend}-${options.tokens}.json`);
  if (existsSync(file) && !options.again) return JSON.parse(readFileSync(file, 'utf8'));
  const {quantize, load} = WAYS[name];
  let model = original;
  if (quantize !== undefined) {
    model = inFolder(`${name}-${dtype}`);
    const start = performance.now();
    const calibration = (quantize.method ?? 'rtn') === 'rtn' ? {} : {samples: Number(options.samples)};
    if (!existsSync(model) || options.again)
      await quantizeModel(checkpoint, model, {...quantize, ...calibration, ...threads, dtype, overwrite: true});
    say(`${name}: quantised in ${((performance.now() - start) / 1000).toFixed(0)} s`);
  }
  const start = performance.now();
  const evaluation = await evaluateModel(model, {
    against: original,
    text,
    maxTokens: Number(options.tokens),
    window: 512,
    load: {...common, ...load},
    againstLoad: common,
    logits,
  });
  const {perplexityRatio, divergence, top1Agreement} = evaluation.comparison;
  say(
    `${name}: ratio ${perplexityRatio.toFixed(5)}, KL ${divergence.mean.toPrecision(3)}, top-1 ${top1Agreement.toFixed(4)}, ` +
      `${(evaluation.model.diskBytes / 1e6).toFixed(1)} MB, in ${((performance.now() - start) / 1000).toFixed(0)} s`,
  );
  writeFileSync(file, JSON.stringify(evaluation));
  return evaluation;
}

function gapOf(better, rtn) {
  if (better === undefined || rtn === undefined) return undefined;
  return (better.comparison.perplexityRatio - 1) / (rtn.comparison.perplexityRatio - 1);
}

function record(claim, evaluation) {
  if (evaluation === undefined) return;
  const {comparison, model, against, tokens} = evaluation;
  recordValue(claim, comparison.perplexityRatio, 'x', {
    error: comparison.perplexityRatioError,
    perplexity: model.perplexity,
    original_perplexity: against.perplexity,
    kl_mean: comparison.divergence.mean,
    kl_p99: comparison.divergence.p99,
    top1: comparison.top1Agreement,
    tokens: tokens.scored,
    disk_bytes: model.diskBytes,
    original_disk_bytes: against.diskBytes,
    prompt_tok_s: model.speed.prompt,
    reply_tok_s: model.speed.reply,
    ran: model.description,
  });
}

function recordValue(claim, value, unit, more) {
  say(`${claim}: ${value.toFixed(5)} ${unit}`);
  results.record({claim: `bits.3.${claim}`, value, unit, ...more});
}
