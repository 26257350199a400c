/**
 * Does anything pile up? 10,000 requests with random aborts against a tiny random model, 16 at a time, after as many
 * that bring V8's heaps in both threads to their size; then twenty worker threads that load it, generate and exit;
 * then the process has to end by itself.
 *
 *   node bench/soak.mjs [--requests 10000] [--save]
 */

import {mkdtempSync, rmSync} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import {parseArgs} from 'node:util';
import {setFlagsFromString} from 'node:v8';
import {runInNewContext} from 'node:vm';
import {Worker} from 'node:worker_threads';

import {importModel, loadModel} from 'tensorrt-node';

import {Results, say, version} from './lib/results.mjs';
import {storm} from './lib/storm.mjs';
import {TINY_LLAMA, writeTinyCheckpoint} from './lib/tiny-checkpoint.mjs';

const {values: options} = parseArgs({options: {requests: {type: 'string', default: '10000'}, save: {type: 'boolean'}}});
const requests = Number(options.requests);
const WORKERS = 20;

// Collected garbage is not growth.
setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc');

const folder = mkdtempSync(path.join(os.tmpdir(), 'tensorrt-node-soak-'));
const modelFolder = path.join(folder, 'onnx');
await importModel(writeTinyCheckpoint(path.join(folder, 'checkpoint'), TINY_LLAMA, 1), modelFolder, {dtype: 'fp32'});

const maxContext = TINY_LLAMA.max_position_embeddings;
const model = await loadModel(modelFolder, {backend: 'cpu', maxContext, maxBatch: 8});
const warmUp = await soak(1);
const {ends, samples} = await soak(2);
await model.dispose();

const exits = await Promise.all(Array.from({length: WORKERS}, () => generateInWorker(modelFolder)));
rmSync(folder, {recursive: true});

const results = new Results('foundation.jsonl', {versions: {'onnxruntime-node': version('onnxruntime-node')}});
const growth = samples.at(-1).rssMb - warmUp.samples.at(-1).rssMb;
results.record({claim: 'foundation.6.requests', value: Object.values(ends).reduce((sum, n) => sum + n, 0), unit: 'requests ended', ends});
results.record({
  claim: 'foundation.6.rss_growth_mb',
  value: Number(growth.toFixed(1)),
  unit: 'MB',
  mbPer1000Requests: Number(slope(samples).toFixed(3)),
  samples,
  warmUp: warmUp.samples,
  note: `From the end of a warm-up of as many requests, in which V8's heaps of the two threads grow to their size.`,
});
results.record({claim: 'foundation.6.worker_threads', value: exits.filter((code) => code === 0).length, unit: `clean exits of ${WORKERS}`});

// Streams to whoever reads our output are not ours.
const pending = process.getActiveResourcesInfo().filter((name) => !/^(TTY|Pipe|FS)/.test(name));
results.record({claim: 'foundation.6.pending', value: pending.length, unit: 'active resources', pending});
setTimeout(() => {
  say(`the process did not end by itself: ${process.getActiveResourcesInfo()}`);
  process.exit(1);
}, 10_000).unref();

/** Sends the requests and samples the resident memory ten times. */
async function soak(seed) {
  const samples = [];
  const began = performance.now();
  const ends = await storm(model, {
    requests,
    seed,
    vocabSize: TINY_LLAMA.vocab_size,
    maxContext,
    onRequest(count) {
      if (count % (requests / 10) !== 0) return;
      collectGarbage();
      samples.push({requests: count, rssMb: Number((process.memoryUsage.rss() / 2 ** 20).toFixed(1))});
      say(`${count} requests: RSS ${samples.at(-1).rssMb} MB`);
    },
  });
  say(`${JSON.stringify(ends)} in ${((performance.now() - began) / 1000).toFixed(1)} s`);
  return {ends, samples};
}

/** Resolves with the thread's exit code; rejects with the error that ended it. */
function generateInWorker(source) {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL('lib/generate-worker.mjs', import.meta.url), {workerData: {source}});
    worker.once('error', reject);
    worker.once('exit', resolve);
  });
}

/** Least squares. MB for each 1,000 requests. */
function slope(points) {
  const meanX = points.reduce((sum, point) => sum + point.requests, 0) / points.length;
  const meanY = points.reduce((sum, point) => sum + point.rssMb, 0) / points.length;
  const covariance = points.reduce((sum, point) => sum + (point.requests - meanX) * (point.rssMb - meanY), 0);
  return (1000 * covariance) / points.reduce((sum, point) => sum + (point.requests - meanX) ** 2, 0);
}
