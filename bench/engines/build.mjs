/** Engines of the real models, kept between the benchmarks of one visit to a GPU machine. */

import {appendFileSync, existsSync, mkdirSync, readFileSync} from 'node:fs';
import path from 'node:path';

import {buildEngine} from '../../dist/index.js';
import {say} from '../lib/results.mjs';
import {models} from './models.mjs';
import {modelsFolder} from './places.mjs';

/** Options of buildEngine for a model of models.mjs. `level`: the builder's optimization level, TensorRT's own if left out. */
export function buildOptions(name, precision, level) {
  const {profiles, calibration, int8: {algorithm, layers} = {}} = models[name];
  return {
    precision,
    profiles,
    ...(level !== undefined && {optimizationLevel: Number(level)}),
    ...(precision === 'int8' && {layers, calibration: {batches: calibration(), algorithm}}),
  };
}

export const engineFolder = (name, precision) => path.join(modelsFolder, 'engines', `${name}-${precision}`);

/** {folder, planBytes, seconds, layers, level}. The build's log stays beside the folder. */
export async function ensureEngine(name, precision, {rebuild = false, level} = {}) {
  const folder = engineFolder(name, precision);
  if (rebuild || !existsSync(path.join(folder, 'manifest.json'))) {
    say(`building ${name} in ${precision} …`);
    // A real build, with no engine to stand in for it; but what is known of kernels' times saves the GPU's.
    const timingCache = path.join(modelsFolder, 'engines', 'timing.cache');
    const start = performance.now();
    mkdirSync(path.dirname(folder), {recursive: true});
    const onLog = ({severity, message}) =>
      appendFileSync(`${folder}.log`, `${((performance.now() - start) / 1000).toFixed(1)} ${severity} ${message}\n`);
    let phase;
    const onProgress = ({detail = ''}) => {
      const name = detail.replace(/ [0-9]+\/[0-9]+$/, '');
      if (name !== phase) onLog({severity: 'progress', message: name});
      phase = name;
    };
    await buildEngine(models[name].file, {
      ...buildOptions(name, precision, level),
      output: folder,
      cache: false,
      timingCache,
      onLog,
      onProgress,
    });
  }
  const {plan, buildSeconds, layers, options} = JSON.parse(readFileSync(path.join(folder, 'manifest.json'), 'utf8'));
  return {folder, planBytes: plan.bytes, seconds: buildSeconds, layers, level: options.optimizationLevel};
}
