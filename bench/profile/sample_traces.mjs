/**
 * Records traces worth looking at, on a GPU: a small model generating, an engine whose copies overlap with its runs, and a
 * large model most of whose weights pass through the GPU.
 *
 *   node bench/profile/sample_traces.mjs [--out bench/.models/traces] [--only smollm2|engine|offloaded] [--shape 8b] [--folder DIR]
 *
 * Needs CUPTI, `npm run build`, `build:addon`, `npm run model`. `tensorrt-node profile cut` makes samples of them.
 */

import {mkdirSync} from 'node:fs';
import path from 'node:path';
import {parseArgs} from 'node:util';

import {buildEngine, Engine, loadModel, profiler} from '../../dist/index.js';
import {DataType} from '../../dist/onnx/data_type.js';
import {GraphBuilder} from '../../dist/onnx/graph_builder.js';
import {BytesSource} from '../../dist/onnx/tensor_source.js';
import {modelFolder} from '../../scripts/model.mjs';
import {modelsFolder} from '../engines/places.mjs';
import {ensureShape} from '../generate/shapes.mjs';
import {say} from '../lib/results.mjs';

const {values: options} = parseArgs({
  options: {
    out: {type: 'string', default: path.join(modelsFolder, 'traces')},
    only: {type: 'string'},
    shape: {type: 'string', default: '8b'},
    folder: {type: 'string'},
    model: {type: 'string', default: modelFolder},
    gpu: {type: 'string', default: '4GiB'},
  },
});
mkdirSync(options.out, {recursive: true});

/** Of the engine's products. */
const SIZE = 2048;
const ROWS = 1024;

const SAMPLES = {smollm2, engine, offloaded};
for (const [name, sample] of Object.entries(SAMPLES)) if (options.only === undefined || options.only === name) await sample();

/** As a launch a step, and with all kernels. */
async function smollm2() {
  const prompts = ['Why is the sky blue?', 'Name three rivers of Europe.', 'Write a line about the sea.'];
  for (const [name, graphNodes] of Object.entries({smollm2: false, smollm2_kernels: true})) {
    await record(name, {graphNodes}, async () => {
      const model = await loadModel(options.model, {backend: 'tensorrt'});
      await Promise.all(prompts.map((prompt) => model.generateText(prompt, {maxNewTokens: 48})));
      await model.dispose();
    });
  }
}

/** Four contexts, so that inputs and outputs of some are copied while others compute. */
async function engine() {
  const folder = path.join(options.out, 'perceptron');
  const rows = {x: {min: [1, SIZE], opt: [ROWS, SIZE], max: [ROWS, SIZE]}};
  await buildEngine(perceptron(4), {output: folder, precision: 'fp16', profiles: [rows], optimizationLevel: 1});
  await record('engine', {}, async () => {
    const loaded = await Engine.load(folder, {contexts: 4});
    const x = {type: 'float32', dims: [ROWS, SIZE], data: new Float32Array(ROWS * SIZE).fill(0.01)};
    for (let round = 0; round < 6; round++) await Promise.all(Array.from({length: 8}, () => loaded.run({x})));
    await loaded.dispose();
  });
}

function perceptron(layers) {
  const builder = GraphBuilder.create({name: 'perceptron', opsets: {'': 17}, irVersion: 8});
  let value = builder.input('x', DataType.FLOAT, ['rows', SIZE]);
  for (let layer = 0; layer < layers; layer++) {
    const weights = new Float32Array(SIZE * SIZE).map(() => (Math.random() - 0.5) / 32);
    const matrix = builder.initializer(`weights ${layer}`, DataType.FLOAT, [SIZE, SIZE], new BytesSource(new Uint8Array(weights.buffer)));
    const product = builder.op('MatMul', [value, matrix], {name: `product ${layer}`});
    value = builder.op('Relu', [product], {name: `relu ${layer}`, ...(layer === layers - 1 && {output: 'y'})});
  }
  builder.output('y', DataType.FLOAT, ['rows', SIZE]);
  return builder.build();
}

async function offloaded() {
  const folder = options.folder ?? path.join(modelsFolder, options.shape);
  await ensureShape(options.shape, folder);
  await record('offloaded', {graphNodes: true}, async () => {
    const model = await loadModel(folder, {backend: 'tensorrt', maxContext: 2048, maxBatch: 32, placement: {gpu: options.gpu}});
    await model.generateText('Once upon a time', {maxNewTokens: 6, temperature: 0});
    await model.dispose();
  });
}

async function record(name, recording, work) {
  const file = path.join(options.out, `${name}.json`);
  const {problem} = await profiler.start({file, gpu: true, ...recording});
  await work();
  const {events, dropped} = await profiler.stop();
  say(`${file}: ${events} events, ${dropped} dropped${problem === undefined ? '' : `; ${problem}`}`);
}
