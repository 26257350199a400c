/**
 * One side of bench/profile-cost.mjs, in a process of its own: a model that generates when it is told to, with what its
 * side is about. Called with the side's name, the model's folder and a folder for traces.
 */

import {createWriteStream} from 'node:fs';
import path from 'node:path';

import {BasicTracerProvider, BatchSpanProcessor, InMemorySpanExporter} from '@opentelemetry/sdk-trace-base';

import {loadModel, metrics, profiler, setLogging, setTracing} from '../../dist/index.js';

const [side, folder, traces] = process.argv.slice(2);
const LIMITS = {backend: 'tensorrt', maxContext: 2048, maxBatch: 1};
const TEXT = 'Once upon a time, in a land far away, there was a';

/** What each begins before its model is loaded, and after. */
const SIDES = {
  never: {},
  again: {},
  without: {},
  without_again: {},
  stopped: {before: record, after: stop},
  stopped_later: {after: () => record().then(stop)},
  timeline: {before: record},
  nodes: {before: () => record(true)},
  metrics: {before: observe},
};

let recording;
let model;
let scrape;

async function record(graphNodes = false) {
  recording = await profiler.start({file: path.join(traces, `${side}.json`), gpu: true, graphNodes});
}

async function stop() {
  await generate(200);
  await recording.stop();
  recording = undefined;
}

/** All that can be left on: metrics, spans of one request in a hundred, each request in the log. */
async function observe() {
  const {trace} = await import('@opentelemetry/api');
  trace.setGlobalTracerProvider(new BasicTracerProvider({spanProcessors: [new BatchSpanProcessor(new InMemorySpanExporter())]}));
  setTracing({sampleRatio: 0.01});
  const sink = createWriteStream('/dev/null');
  const write = (fields, message) => sink.write(`${JSON.stringify({...fields, message})}\n`);
  setLogging({level: 'debug', logger: {debug: write, info: write, warn: write, error: write}});
  const registry = metrics();
  scrape = () => registry.text();
}

/** Tokens per second from the first to the last, as the scheduler timed them. */
async function generate(maxNewTokens) {
  const {usage, timings} = await model.generateText(TEXT, {maxNewTokens, temperature: 0});
  await scrape?.();
  return {tokens: usage.completionTokens, speed: (1000 * (usage.completionTokens - 1)) / timings.decode};
}

await SIDES[side].before?.();
model = await loadModel(folder, LIMITS);
await SIDES[side].after?.();

process.on('message', async ({tokens}) => {
  if (tokens !== undefined) return process.send(await generate(tokens));
  const result = await recording?.stop();
  await model.dispose();
  process.send({result});
  process.disconnect();
});
process.send({ready: model.description});
