// Engines of the small models, built once: in a folder that TENSORRT_NODE_TEST_ENGINES names and that is kept, so that
// a run under compute-sanitizer need not build; else in one of this process's own.

import {existsSync, mkdirSync, mkdtempSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import path from 'node:path';

import {buildEngine, Engine} from '../../../dist/index.js';
import {writeModel} from '../../../dist/onnx/write.js';
import * as models from './models.mjs';

const kept = process.env.TENSORRT_NODE_TEST_ENGINES;
export const folder = kept ?? mkdtempSync(path.join(tmpdir(), 'tensorrt-node-engines-'));
mkdirSync(folder, {recursive: true});
if (kept === undefined) process.on('exit', () => rmSync(folder, {recursive: true, force: true}));

/** Quick builds; nothing of other builds in them. */
export const quick = {optimizationLevel: 0, cache: false, timingCache: false};

/** Rows of the slow model's matrix; a simulated GPU wants few. */
const SLOW = Number(process.env.TENSORRT_NODE_TEST_SLOW ?? 4096);
export const slowInput = () => models.identity(SLOW);

/** On TensorRT, or what TENSORRT_NODE_TEST_BACKEND says: the same tests hold on the CPU, where there are such things. */
export const backend = process.env.TENSORRT_NODE_TEST_BACKEND ?? 'tensorrt';

/** ONNX Runtime's JavaScript has no bfloat16. */
export const typeNames = Object.keys(models.typeCases).filter((name) => backend === 'tensorrt' || name !== 'bfloat16');

const BUILDS = {
  perceptron: {model: () => models.perceptron(), options: {profiles: models.perceptronProfiles}},
  slow: {model: () => models.slow(), options: {profiles: [{x: {min: [1, 1], opt: [SLOW, SLOW], max: [2 * SLOW, 2 * SLOW]}}]}},
  types: {
    model: () => models.types(typeNames),
    options: {
      typing: 'strong',
      profiles: [Object.fromEntries(Object.keys(models.typeCases).map((name) => [name, {min: [1], opt: [3], max: [64]}]))],
    },
  },
  'non-zero': {model: () => models.nonZero(), options: {profiles: [{x: {min: [1], opt: [8], max: [64]}}]}},
  products: {model: () => models.products(), options: {profiles: models.productsProfiles, precision: 'fp16'}},
  'products-names': {
    model: () => models.products(),
    options: {profiles: models.productsProfiles, precision: 'fp16', profilingVerbosity: 'layer-names-only'},
  },
  expand: {model: () => models.expand(), options: {profiles: [{shape: {min: [1, 3], opt: [4, 3], max: [64, 3], values: true}}]}},
};

/** The model's ONNX file, written if it is not there. */
export async function modelFile(name, model = BUILDS[name].model()) {
  const file = path.join(folder, `${name}.onnx`);
  if (!existsSync(file)) await writeModel(model, file);
  return file;
}

/** The engine's folder. */
export async function engineFolder(name) {
  const output = path.join(folder, name);
  if (!existsSync(path.join(output, 'manifest.json')))
    await buildEngine(await modelFile(name), {...quick, ...BUILDS[name].options, output});
  return output;
}

/** Of a model that is not among those that are kept. */
export async function builtEngine(name, model, options) {
  const output = path.join(folder, name);
  await buildEngine(await modelFile(name, model), {...quick, ...options, output});
  return Engine.load(output, {backend});
}

/** For a run that is to build nothing. */
export async function buildAll() {
  for (const name of Object.keys(BUILDS)) await engineFolder(name);
}

export async function loadEngine(name, options = {}) {
  const source = backend === 'cpu' ? await modelFile(name) : await engineFolder(name);
  return Engine.load(source, {backend, ...options});
}
