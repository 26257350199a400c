/**
 * Are the imported model's numbers right? Next-token distributions of the CPU backend beside llama.cpp's
 * (node-llama-cpp's CPU build, installed on demand), teacher-forced over 20 prompts of 128 tokens:
 *
 *   node bench/parity-cpu.mjs [--save]
 *
 * (a) on the weights written out as an F32 GGUF, which both sides load: the importer, the graph and the kernels;
 * (b) on the Q4_1 file itself, where llama.cpp rounds activations to 8 bits and our graph does not. What (b) adds to
 *     (a) is shown to be llama.cpp's own distance between its two ways of running the same weights.
 */

import {existsSync, rmSync} from 'node:fs';
import path from 'node:path';

import {importModel, loadModel} from 'tensorrt-node';

import {ensureModel, ggufPath, modelFolder} from '../scripts/model.mjs';
import {Divergence} from './lib/divergence.mjs';
import {writeF32} from './lib/gguf-f32.mjs';
import {llamaCpp, llamaLogits, peersFolder, startLlama} from './lib/peers.mjs';
import {prompts} from './lib/prompts.mjs';
import {Results, say, version} from './lib/results.mjs';

const LENGTH = 128;
const THREADS = 2;

await ensureModel();
const {api, versions} = await llamaCpp();

const f32Gguf = path.join(peersFolder, 'SmolLM2-135M-Instruct.F32.gguf');
if (!existsSync(f32Gguf)) say(`wrote F32 from ${JSON.stringify(await writeF32(ggufPath, f32Gguf))}`);
const f32Folder = path.join(peersFolder, 'SmolLM2-135M-Instruct.F32');
rmSync(f32Folder, {recursive: true, force: true});
await importModel(f32Gguf, f32Folder, {dtype: 'fp32'});

const llama = await startLlama(api, THREADS);
const theirs = {f32: await loadLlama(f32Gguf), q4: await loadLlama(ggufPath)};
const oursF32 = await loadModel(f32Folder, {backend: 'cpu', maxContext: LENGTH});
const oursQ4 = await loadModel(modelFolder, {backend: 'cpu', maxContext: LENGTH, accuracyLevel: 0});
const oursQ4Int8 = await loadModel(modelFolder, {backend: 'cpu', maxContext: LENGTH, accuracyLevel: 4});

const comparisons = {
  'F32: ours beside llama.cpp': new Divergence(),
  'Q4_1: ours beside llama.cpp': new Divergence(),
  'Q4_1: ours with 8-bit activations beside llama.cpp': new Divergence(),
  'ours: Q4_1 beside F32': new Divergence(),
  'llama.cpp: Q4_1 beside F32': new Divergence(),
  'ours: Q4_1 with 8-bit activations beside F32': new Divergence(),
};
const [f32, q4, q4Int8, oursQ4OverF32, theirsQ4OverF32, oursInt8OverF32] = Object.values(comparisons);

let vocabSize;
for (const {name, text} of prompts()) {
  const tokens = Uint32Array.from(theirs.f32.model.tokenize(text, true).slice(0, LENGTH));
  if (tokens.length !== LENGTH) throw new Error(`${name} has ${tokens.length} tokens, fewer than ${LENGTH}`);

  const ours = {f32: await oursF32.score(tokens), q4: await oursQ4.score(tokens), q4Int8: await oursQ4Int8.score(tokens)};
  vocabSize ??= ours.f32.length / LENGTH;
  const reference = {
    f32: await llamaLogits(theirs.f32.sequence, tokens, vocabSize),
    q4: await llamaLogits(theirs.q4.sequence, tokens, vocabSize),
  };
  f32.add(reference.f32, ours.f32, vocabSize);
  q4.add(reference.q4, ours.q4, vocabSize);
  q4Int8.add(reference.q4, ours.q4Int8, vocabSize);
  oursQ4OverF32.add(ours.f32, ours.q4, vocabSize);
  theirsQ4OverF32.add(reference.f32, reference.q4, vocabSize);
  oursInt8OverF32.add(ours.f32, ours.q4Int8, vocabSize);
  say(`${name}: so far, F32 ${f32}`);
}
await Promise.all([oursF32, oursQ4, oursQ4Int8].map((model) => model.dispose()));
await llama.dispose();
for (const [name, divergence] of Object.entries(comparisons)) say(`${name}: ${divergence}`);

const results = new Results('foundation.jsonl', {versions: {...versions, 'onnxruntime-node': version('onnxruntime-node')}});
record('foundation.2.', f32);
record(
  'foundation.2.q4_1_',
  q4,
  `llama.cpp rounds activations to 8 bits where weights are quantised, our graph does not: its Q4_1 beside its own F32 gives top-1 ` +
    `${theirsQ4OverF32.top1.toFixed(4)} and KL ${theirsQ4OverF32.meanKl.toExponential(2)}, ours ${oursQ4OverF32.top1.toFixed(4)} and ${oursQ4OverF32.meanKl.toExponential(2)}.`,
);
record(
  'foundation.2.q4_1_level_4_',
  q4Int8,
  `Our accuracy level 4, which rounds activations to 8 bits as well; beside our own F32 it gives top-1 ` +
    `${oursInt8OverF32.top1.toFixed(4)} and KL ${oursInt8OverF32.meanKl.toExponential(2)}.`,
);

function record(prefix, divergence, note) {
  const detail = {
    positions: divergence.positions,
    nearTies: divergence.nearTies,
    maxAbsLogitDifference: divergence.maxAbsDifference,
    peer: {name: 'node-llama-cpp', kvCache: 'F32', flashAttention: false},
    note,
  };
  results.record({claim: `${prefix}top1`, value: divergence.top1, unit: 'fraction', ...detail});
  results.record({claim: `${prefix}kl`, value: divergence.meanKl, unit: 'nats', ...detail});
}

// The cache in F32 and attention without the fused kernel, which rounds to F16: nothing but the weights' kernels differs.
async function loadLlama(modelPath) {
  const model = await llama.loadModel({modelPath, gpuLayers: 0});
  const context = await model.createContext({
    contextSize: LENGTH,
    batchSize: LENGTH,
    threads: THREADS,
    flashAttention: false,
    experimentalKvCacheKeyType: 'F32',
    experimentalKvCacheValueType: 'F32',
  });
  return {model, sequence: context.getSequence()};
}
