/**
 * SmolLM2-135M-Instruct in halves, as a Hugging Face folder that can be imported and quantised.
 *
 * The published weights at hand are Q4_1: each block of 32 lies on a grid of 16 steps, which quantising to 4 bits would find
 * again, and cost nothing. So channels are put in another order wherever the model computes the same in any order: hidden
 * channels, those between gate, up and down, and those of each value head. Then a block holds weights of many grids, as those
 * of a trained model do.
 */

import {existsSync, mkdirSync, renameSync, rmSync, writeFileSync} from 'node:fs';
import path from 'node:path';

import {openGguf} from '../../dist/import/gguf/checkpoint.js';
import {configJson} from '../../dist/import/model_files.js';
import {dequantize} from '../../dist/import/numeric/dequantize.js';
import {float32ToFloat16} from '../../dist/import/numeric/float16.js';
import {ensureModel, ggufPath} from '../../scripts/model.mjs';
import {modelsFolder} from '../engines/places.mjs';
import {uniform} from '../lib/random.mjs';

/** Resolves with the folder. */
export async function ensureShuffledSmolLM2(folder = path.join(modelsFolder, 'smollm2-shuffled-fp16')) {
  if (existsSync(folder)) return folder;
  await ensureModel();
  const temporary = `${folder}.partial`;
  rmSync(temporary, {recursive: true, force: true});
  mkdirSync(temporary, {recursive: true});
  const checkpoint = await openGguf(ggufPath);
  try {
    const {config, tensors, tokenizer} = checkpoint;
    const orders = ordersOf(config);
    const shuffled = [];
    for (const tensor of tensors.values()) shuffled.push(await inOrder(tensor, orders));
    const origin = {version: '0', source: {format: 'gguf', name: path.basename(ggufPath)}, dtype: 'fp16', format: {}};
    const {tensorrt_node: _, ...json} = configJson(config, origin);
    writeFileSync(path.join(temporary, 'config.json'), JSON.stringify({...json, torch_dtype: 'float16'}, null, 2));
    writeFileSync(path.join(temporary, 'tokenizer.json'), tokenizer.tokenizerJson);
    writeFileSync(path.join(temporary, 'tokenizer_config.json'), tokenizer.tokenizerConfigJson);
    writeFileSync(path.join(temporary, 'model.safetensors'), safetensors(shuffled));
  } finally {
    await checkpoint[Symbol.asyncDispose]();
  }
  renameSync(temporary, folder);
  return folder;
}

function ordersOf({hiddenSize, intermediateSize, layerCount, headCount, kvHeadCount, headDim}) {
  const random = uniform(8);
  const hidden = shuffle(hiddenSize, random);
  return Array.from({length: layerCount}, () => {
    const values = Array.from({length: kvHeadCount}, () => shuffle(headDim, random));
    const ofHeads = (count, of) => Array.from({length: count}, (_, head) => of(head).map((index) => head * headDim + index)).flat();
    return {
      hidden,
      intermediate: shuffle(intermediateSize, random),
      values: ofHeads(kvHeadCount, (head) => values[head]),
      // The query heads of a group weigh the same values.
      attended: ofHeads(headCount, (head) => values[Math.floor(head / (headCount / kvHeadCount))]),
    };
  });
}

/** Which order rows and columns of a tensor are put in; a vector has columns alone. */
const AXES = {
  'model.embed_tokens': {columns: 'hidden'},
  'model.norm': {columns: 'hidden'},
  input_layernorm: {columns: 'hidden'},
  post_attention_layernorm: {columns: 'hidden'},
  q_proj: {columns: 'hidden'},
  k_proj: {columns: 'hidden'},
  v_proj: {rows: 'values', columns: 'hidden'},
  o_proj: {rows: 'hidden', columns: 'attended'},
  gate_proj: {rows: 'intermediate', columns: 'hidden'},
  up_proj: {rows: 'intermediate', columns: 'hidden'},
  down_proj: {rows: 'hidden', columns: 'intermediate'},
};

async function inOrder(tensor, orders) {
  const {name, type, shape} = tensor;
  const [, layer = '0', part = name.replace(/\.weight$/, '')] =
    /^model\.layers\.(\d+)\.(?:self_attn\.|mlp\.)?(\w+)\.weight$/.exec(name) ?? [];
  const axes = AXES[part];
  if (axes === undefined) throw new Error(`${name}: no order is known for it`);
  const [rows, columns] = shape.length === 1 ? [1, shape[0]] : shape;
  const floats = dequantize(type, await tensor.read());
  const order = orders[Number(layer)];
  const fromRows = axes.rows && order[axes.rows];
  const fromColumns = order[axes.columns];
  const result = new Float32Array(floats.length);
  for (let row = 0; row < rows; row++) {
    const from = (fromRows?.[row] ?? row) * columns;
    for (let column = 0; column < columns; column++) result[row * columns + column] = floats[from + fromColumns[column]];
  }
  return {name, shape, data: float32ToFloat16(result)};
}

/** Fisher and Yates. */
function shuffle(count, random) {
  const order = Array.from({length: count}, (_, index) => index);
  for (let last = count - 1; last > 0; last--) {
    const other = Math.floor(random() * (last + 1));
    [order[last], order[other]] = [order[other], order[last]];
  }
  return order;
}

function safetensors(tensors) {
  const header = {};
  let offset = 0;
  for (const {name, shape, data} of tensors) {
    header[name] = {dtype: 'F16', shape, data_offsets: [offset, offset + data.byteLength]};
    offset += data.byteLength;
  }
  const json = JSON.stringify(header);
  const text = Buffer.from(json.padEnd(Math.ceil(json.length / 8) * 8));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  return Buffer.concat([length, text, ...tensors.map(({data}) => Buffer.from(data.buffer, data.byteOffset, data.byteLength))]);
}
