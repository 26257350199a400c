// A small model with random weights, imported once a process, and SmolLM2 where `npm run model` put it.

import {existsSync, mkdtempSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import path from 'node:path';

import {TINY_LLAMA, writeTinyCheckpoint} from '../../../bench/lib/tiny-checkpoint.mjs';
import {importModel} from '../../../dist/index.js';
import {modelFolder} from '../../../scripts/model.mjs';

const folder = mkdtempSync(path.join(tmpdir(), 'tensorrt-node-generate-'));
process.on('exit', () => rmSync(folder, {recursive: true, force: true}));

/** On TensorRT, or what TENSORRT_NODE_TEST_BACKEND says: the same tests hold on the CPU, where there are such things. */
export const backend = process.env.TENSORRT_NODE_TEST_BACKEND ?? 'tensorrt';

/** Heads of a size that there are kernels for. `positions` more make a longer cache possible. */
export async function tinyModel(positions = 4096) {
  const output = path.join(folder, `tiny-${positions}`);
  if (existsSync(path.join(output, 'config.json'))) return output;
  const config = {...TINY_LLAMA, head_dim: 64, max_position_embeddings: positions};
  await importModel(writeTinyCheckpoint(path.join(folder, `checkpoint-${positions}`), config, 1), output, {dtype: 'fp32'});
  return output;
}

/** Undefined where it is not. */
export const smollm2 = existsSync(path.join(modelFolder, 'config.json')) ? modelFolder : undefined;
