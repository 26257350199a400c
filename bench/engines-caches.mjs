/**
 * How much do the caches save? Each model is built with empty caches, then again with the timing cache that left behind
 * and no engine cache; and once more in a fresh process that finds the engine in the cache.
 *
 *   node bench/engines-caches.mjs [--models recogniser,detector,encoder] [--precision fp16] [--level 1] [--keep DIR] [--save]
 *
 * Needs a GPU, `npm run build`, `build:addon`, and bench/.models. The engines stay for the other benchmarks.
 */

import {execFileSync} from 'node:child_process';
import {createHash} from 'node:crypto';
import {cpSync, createReadStream, existsSync, mkdtempSync, rmSync} from 'node:fs';
import path from 'node:path';
import {pipeline} from 'node:stream/promises';
import {fileURLToPath} from 'node:url';
import {parseArgs} from 'node:util';

import {buildEngine} from '../dist/index.js';
import {DataType} from '../dist/onnx/data_type.js';
import {GraphBuilder} from '../dist/onnx/graph_builder.js';
import {buildOptions, engineFolder} from './engines/build.mjs';
import {models} from './engines/models.mjs';
import {modelsFolder} from './engines/places.mjs';
import {machine} from './lib/machine.mjs';
import {median, Results, say} from './lib/results.mjs';

const {values: options} = parseArgs({
  options: {
    models: {type: 'string', default: 'recogniser,detector,encoder'},
    precision: {type: 'string', default: 'fp16'},
    level: {type: 'string'},
    /** Where the caches are left, for `--hit NAME --cache DIR/NAME` later on. */
    keep: {type: 'string'},
    save: {type: 'boolean'},
    /** The fresh process: builds this model, with this cache, and prints how long that took. */
    hit: {type: 'string'},
    cache: {type: 'string'},
  },
});

if (options.hit !== undefined) {
  console.log(JSON.stringify(await hit(options.hit, options.cache)));
} else {
  const results = new Results('engines.jsonl', await machine());
  await readTensorrt();
  const cold = [];
  for (const name of options.models.split(',').filter((each) => existsSync(models[each].file))) {
    try {
      cold.push(await measure(name, results));
    } catch (error) {
      process.exitCode = 1;
      say(`${name}: ${error.stack}\n${(error.log ?? []).join('\n')}`);
    }
  }
  if (cold.length === 0) process.exit(1);
  const ratios = cold.map(({ratio}) => ratio);
  const hits = cold.map(({beyondHashing}) => beyondHashing);
  results.record({
    claim: 'engines.3.timing_cache_ratio',
    value: median(ratios),
    unit: 'x',
    level: options.level,
    models: Object.fromEntries(cold.map(({name, coldSeconds, warmSeconds}) => [name, {cold_s: coldSeconds, warm_s: warmSeconds}])),
    note: 'median over the models of the time of a build with empty caches over one with the timing cache alone',
  });
  results.record({
    claim: 'engines.3.cache_hit_ms',
    value: Math.max(...hits),
    unit: 'ms',
    models: Object.fromEntries(
      cold.map(({name, hitMilliseconds, hashMilliseconds}) => [name, {all_ms: hitMilliseconds, hashing_ms: hashMilliseconds}]),
    ),
    note: 'in a process that has imported the library; the largest of the models; hashing of model and plan left out',
  });
}

async function measure(name, results) {
  const scratch = mkdtempSync(path.join(modelsFolder, 'caches-'));
  try {
    const common = {...buildOptions(name, options.precision, options.level), timingCache: path.join(scratch, 'timing.cache')};
    const coldSeconds = await seconds(() => buildEngine(models[name].file, {...common, cache: path.join(scratch, 'cache')}));
    const folder = path.join(scratch, 'warm');
    const warmSeconds = await seconds(() => buildEngine(models[name].file, {...common, cache: false, output: folder}));
    const program = fileURLToPath(import.meta.url);
    const level = options.level === undefined ? [] : ['--level', options.level];
    const list = [program, '--precision', options.precision, ...level, '--hit', name, '--cache', scratch];
    const fresh = () => execFileSync(process.execPath, list, {encoding: 'utf8'});
    const each = Array.from({length: 3}, () => JSON.parse(fresh().trim().split('\n').at(-1)));
    if (!each.every(({cached}) => cached)) throw new Error(`${name} was built again where the cache had it`);
    const [hitMilliseconds, hashMilliseconds] = ['all', 'hashing'].map((key) => median(each.map((one) => one[key])));
    rmSync(engineFolder(name, options.precision), {recursive: true, force: true});
    cpSync(folder, engineFolder(name, options.precision), {recursive: true});
    // For the later builds of this visit: of this model alone, as each begins with none.
    cpSync(common.timingCache, path.join(modelsFolder, 'engines', 'timing.cache'));
    const figures = {name, coldSeconds, warmSeconds, ratio: coldSeconds / warmSeconds, hitMilliseconds, hashMilliseconds};
    say(JSON.stringify(figures));
    results.record({
      claim: `engines.3.${name}_timing_cache_ratio`,
      value: figures.ratio,
      unit: 'x',
      cold_s: coldSeconds,
      warm_s: warmSeconds,
    });
    if (options.keep !== undefined) cpSync(scratch, path.join(options.keep, name), {recursive: true});
    return {...figures, beyondHashing: hitMilliseconds - hashMilliseconds};
  } finally {
    rmSync(scratch, {recursive: true, force: true});
  }
}

/** A gigabyte of TensorRT's libraries is to be read from a disk by none of the builds that are compared. */
async function readTensorrt() {
  const builder = GraphBuilder.create({name: 'least', opsets: {'': 17}, irVersion: 8});
  builder.op('Relu', [builder.input('x', DataType.FLOAT, [8])], {output: 'y'});
  builder.output('y', DataType.FLOAT, [8]);
  const output = mkdtempSync(path.join(modelsFolder, 'caches-'));
  await buildEngine(builder.build(), {output: path.join(output, 'engine'), cache: false, timingCache: false, precision: options.precision});
  rmSync(output, {recursive: true});
}

async function seconds(call) {
  const start = performance.now();
  await call();
  return (performance.now() - start) / 1000;
}

/** Milliseconds of a build that the cache answers, and of hashing alone what it hashes: the model and the plan. */
async function hit(name, scratch) {
  const cache = {timingCache: path.join(scratch, 'timing.cache'), cache: path.join(scratch, 'cache')};
  const start = performance.now();
  const built = await buildEngine(models[name].file, {...buildOptions(name, options.precision, options.level), ...cache});
  const all = performance.now() - start;
  const hashingFrom = performance.now();
  for (const file of [models[name].file, built.plan])
    await pipeline(createReadStream(file, {highWaterMark: 4 * 2 ** 20}), createHash('sha256'));
  return {cached: built.cached, all, hashing: performance.now() - hashingFrom};
}
