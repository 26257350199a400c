/**
 * First half of the comparison with transformers: writes small models with random weights, imports them in float32
 * and keeps the CPU backend's logits over random tokens. compare.py reads the folder where transformers is installed.
 *
 *   node bench/transformers-parity/make.mjs
 */

import {mkdirSync, rmSync, writeFileSync} from 'node:fs';
import path from 'node:path';

import {importModel, loadModel} from 'tensorrt-node';

import {peersFolder} from '../lib/peers.mjs';
import {uniform} from '../lib/random.mjs';
import {say, version} from '../lib/results.mjs';
import {writeTinyCheckpoint} from '../lib/tiny-checkpoint.mjs';
import {models} from './models.mjs';

const SEQUENCES = 4;
const LENGTH = 256;

const folder = path.join(peersFolder, 'transformers');
rmSync(folder, {recursive: true, force: true});

let seed = 1;
for (const [name, config] of Object.entries(models)) {
  const source = writeTinyCheckpoint(path.join(folder, name), config, seed);
  const target = path.join(folder, 'onnx', name);
  mkdirSync(path.dirname(target), {recursive: true});
  await importModel(source, target, {dtype: 'fp32'});
  const model = await loadModel(target, {backend: 'cpu', maxContext: LENGTH});

  const random = uniform(seed++);
  const tokens = Uint32Array.from({length: SEQUENCES * LENGTH}, () => Math.floor(random() * config.vocab_size));
  const logits = new Float32Array(tokens.length * config.vocab_size);
  for (let sequence = 0; sequence < SEQUENCES; sequence++) {
    const from = sequence * LENGTH;
    logits.set(await model.score(tokens.subarray(from, from + LENGTH)), from * config.vocab_size);
  }
  await model.dispose();
  writeFileSync(path.join(source, 'tokens.u32'), tokens);
  writeFileSync(path.join(source, 'logits.f32'), logits);
  say(`${name}: ${tokens.length} positions`);
}
// The imported models are not needed to compare, and would be carried to the other machine.
rmSync(path.join(folder, 'onnx'), {recursive: true});
writeFileSync(
  path.join(folder, 'made.json'),
  JSON.stringify({
    sequences: SEQUENCES,
    length: LENGTH,
    versions: {'tensorrt-node': version('.'), node: process.versions.node, 'onnxruntime-node': version('onnxruntime-node')},
  }),
);
say(`wrote ${folder}`);
