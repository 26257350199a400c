/**
 * Does anything pile up? 10,000 requests with random aborts against a tiny random model, 16 at a time; then twenty
 * worker threads that load it, generate and exit; then the process has to end by itself.
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
const samples = [];
const began = performance.now();
const ends = await storm(model, {
  requests,
  vocabSize: TINY_LLAMA.vocab_size,
  maxContext,
  onRequest(count) {
    if (count % (requests / 10) !== 0) return;
    collectGarbage();
    const rssMb = process.memoryUsage.rss() / 2 ** 20;
    samples.push({requests: count, rssMb: Number(rssMb.toFixed(1))});
    say(`${count} requests: RSS ${rssMb.toFixed(1)} MB`);
  },
});
const seconds = (performance.now() - began) / 1000;
await model.dispose();
say(`${JSON.stringify(ends)} in ${seconds.toFixed(1)} s`);

const exits = await Promise.all(Array.from({length: WORKERS}, () => generateInWorker(modelFolder)));
rmSync(folder, {recursive: true});

const results = new Results('foundation.jsonl', {versions: {'onnxruntime-node': version('onnxruntime-node')}});
const growth = samples.at(-1).rssMb - samples[0].rssMb;
results.record({claim: 'foundation.6.requests', value: Object.values(ends).reduce((sum, n) => sum + n, 0), unit: 'requests ended', ends});
results.record({
  claim: 'foundation.6.rss_growth_mb',
  value: Number(growth.toFixed(1)),
  unit: 'MB',
  mbPer1000Requests: Number(slope(samples).toFixed(3)),
  samples,
});
results.record({claim: 'foundation.6.worker_threads', value: exits.filter((code) => code === 0).length, unit: `clean exits of ${WORKERS}`});

// Streams to whoever reads our output are not ours.
const pending = process.getActiveResourcesInfo().filter((name) => !/^(TTY|Pipe|FS)/.test(name));
results.record({claim: 'foundation.6.pending', value: pending.length, unit: 'active resources', pending});
setTimeout(() => {
  say(`the process did not end by itself: ${process.getActiveResourcesInfo()}`);
  process.exit(1);
}, 10_000).unref();

/** Resolves with the thread's exit code; rejects with the error that ended it. */
function generateInWorker(source) {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL('lib/generate-worker.mjs', import.meta.url), {workerData: {source}});
    worker.once('error', reject);
    worker.once('exit', resolve);
  });
}

/** Least squares over the second half, where pools have grown to their size. MB for each 1,000 requests. */
function slope(points) {
  const late = points.slice(points.length >> 1);
  const meanX = late.reduce((sum, point) => sum + point.requests, 0) / late.length;
  const meanY = late.reduce((sum, point) => sum + point.rssMb, 0) / late.length;
  const covariance = late.reduce((sum, point) => sum + (point.requests - meanX) * (point.rssMb - meanY), 0);
  return (1000 * covariance) / late.reduce((sum, point) => sum + (point.requests - meanX) ** 2, 0);
}
