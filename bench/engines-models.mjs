/**
 * Do real models give on TensorRT what they give on ONNX Runtime's CPU kernels? Each is built in fp32, fp16 and, for the
 * vision ones, int8 calibrated on pictures; every output is compared with the references that bench/engines/prepare.mjs
 * kept, and of the recogniser the text it reads.
 *
 *   node bench/engines-models.mjs [--models detector,recogniser] [--precisions fp16] [--rebuild] [--builds 1] [--save]
 *   node bench/engines-models.mjs --backend cpu     the same comparison without a GPU and without building
 *
 * Needs a GPU, `npm run build`, `build:addon`, and bench/.models as prepare.mjs makes it.
 */

import {existsSync} from 'node:fs';
import path from 'node:path';
import {parseArgs} from 'node:util';

import {Engine} from '../dist/index.js';
import {ensureEngine} from './engines/build.mjs';
import {compareTensors, Worst} from './engines/compare.mjs';
import {judges} from './engines/judges.mjs';
import {models} from './engines/models.mjs';
import {readNpy} from './engines/npy.mjs';
import {referencesFolder} from './engines/places.mjs';
import {outputsOf} from './engines/run_cases.mjs';
import {percentiles, timeRuns} from './lib/latency.mjs';
import {machine} from './lib/machine.mjs';
import {Results, say} from './lib/results.mjs';

/** In claims. */
const SHORT = {detector: 'det', recogniser: 'rec', classifier: 'cls', 'silero-vad': 'vad', encoder: 'encoder'};

const {values: options} = parseArgs({
  options: {
    models: {type: 'string', default: Object.keys(models).join()},
    precisions: {type: 'string', default: 'fp32,fp16,int8'},
    backend: {type: 'string', default: 'tensorrt'},
    rebuild: {type: 'boolean', default: false},
    /** Builds at once; more are sooner through, and their seconds no longer comparable. */
    builds: {type: 'string', default: '1'},
    level: {type: 'string'},
    save: {type: 'boolean'},
  },
});
const onGpu = options.backend === 'tensorrt';
const results = new Results('engines.jsonl', onGpu ? await machine() : {});

const wanted = options.models.split(',').flatMap((name) => {
  const {file, precisions} = models[name];
  if (!existsSync(file)) {
    say(`${name}: left out, ${file} is not there`);
    return [];
  }
  const chosen = onGpu ? precisions.filter((each) => options.precisions.split(',').includes(each)) : ['fp32'];
  return chosen.map((precision) => [name, precision]);
});
const builds = Number(options.builds);
const failed = new Map();
if (onGpu) {
  const left = [...wanted];
  const builder = async () => {
    for (let next = left.shift(); next !== undefined; next = left.shift()) {
      await ensureEngine(...next, {rebuild: options.rebuild, level: options.level}).catch((error) => failed.set(next, error));
    }
  };
  await Promise.all(Array.from({length: builds}, builder));
}

const rows = [];
for (const each of wanted) {
  const [name, precision] = each;
  try {
    if (failed.has(each)) throw failed.get(each);
    rows.push(await measure(name, precision));
  } catch (error) {
    // The others are still worth knowing.
    process.exitCode = 1;
    say(`${name} ${precision}: ${error.stack}\n${(error.log ?? []).join('\n')}`);
  }
}
say(table(rows));

async function measure(name, precision) {
  const model = models[name];
  const built = onGpu ? await ensureEngine(name, precision) : {folder: model.file};
  const engine = await Engine.load(built.folder, {backend: options.backend});
  try {
    const worst = new Worst();
    const judge = judges[name]?.(say);
    for await (const {name: each, outputs} of outputsOf(model, (feeds) => engine.run(feeds))) {
      for (const [output, tensor] of Object.entries(outputs)) {
        const file = path.join(referencesFolder, `${name}-${each}.${output.replaceAll('/', '_')}.npy.gz`);
        const reference = existsSync(file) ? readNpy(file) : undefined;
        if (reference) worst.add(compareTensors(tensor, reference, `${name} ${each} ${output}`));
        judge?.add(each, tensor, reference);
      }
    }
    if (worst.compared === 0) throw new Error(`no references of ${name}: node bench/engines/prepare.mjs`);

    const binding = engine.bind(model.latency);
    const latency = percentiles(await timeRuns(() => binding.run(), onGpu ? 500 : 20, onGpu ? 50 : 2));
    const claim = `engines.1.${SHORT[name]}_${precision}`;
    const note = {
      compared: worst.compared,
      plan_bytes: built.planBytes,
      build_s: built.seconds,
      builds_at_once: builds,
      layers: built.layers,
      level: built.level,
    };
    const figures = {cosine: worst.cosine, maxError: worst.maxError, maxRelative: worst.maxRelative, ...judge?.figures()};
    if (onGpu) {
      results.record({claim: `${claim}_cosine`, value: worst.cosine, unit: 'cosine', ...note});
      results.record({claim: `${claim}_max_error`, value: worst.maxError, unit: 'absolute', max_relative: worst.maxRelative, ...note});
      results.record({claim: `${claim}_us_p50`, value: latency.p50, unit: 'µs', shapes: model.latency, ...note});
      for (const [key, value] of Object.entries(judge?.figures() ?? {})) {
        results.record({claim: `${claim}_${key}`, value, unit: 'fraction', cases: judge.count, ...note});
      }
    }
    return {model: name, precision, ...figures, p50: `${latency.p50.toFixed(0)} µs`, graph: binding.graph, ...note};
  } finally {
    await engine.dispose();
  }
}

function table(list) {
  const keys = [...new Set(list.flatMap((row) => Object.keys(row)))];
  const text = (value) => (typeof value === 'number' && !Number.isInteger(value) ? value.toPrecision(5) : String(value ?? ''));
  const widths = keys.map((key) => Math.max(key.length, ...list.map((row) => text(row[key]).length)));
  const line = (cells) => cells.map((cell, index) => cell.padEnd(widths[index])).join('  ');
  return [line(keys), ...list.map((row) => line(keys.map((key) => text(row[key]))))].join('\n');
}
