import {basename} from 'node:path';

import {expect, it} from 'vitest';

import {randomTensors, tinyConfig} from '../../test/support/random_checkpoint.js';
import {temporaryFolder} from '../../test/support/temporary_folder.js';
import {JsonField, JsonProblem} from '../engine/json_check.js';
import {buildDecoder} from '../import/graph/decoder.js';
import {readModel} from '../onnx/read.js';
import {writeModel} from '../onnx/write.js';
import {indexFromJson, indexToJson} from './index_json.js';
import {lowerDecoder} from './lower_decoder.js';
import type {LoweredDecoder} from './lowered_decoder.js';
import {materialize} from './materialize.js';
import {weightByteLength} from './weight_ref.js';

const inFolder = temporaryFolder();

/** Qwen2 with products of different types, so that there are dense and quantized rows. */
async function lowered(externalData?: string): Promise<LoweredDecoder> {
  const config = tinyConfig({architecture: 'qwen2', hiddenSize: 128, headDim: 32, layerCount: 2});
  const tensors = randomTensors(config, {type: (name) => (name.includes('v_proj') ? 'Q8_0' : name.includes('_proj') ? 'Q4_1' : 'F32')});
  const path = inFolder('model.onnx');
  await writeModel(buildDecoder(config, tensors, {dtype: 'fp32'}), path, {externalData});
  return lowerDecoder(await readModel(path));
}

const throughJson = (index: LoweredDecoder, change: (json: Json) => void = () => {}) => {
  const json = JSON.parse(JSON.stringify(indexToJson(index, (file) => basename(file)))) as Json;
  change(json);
  return indexFromJson(JsonField.root(json), (name) => inFolder(name));
};

interface Json {
  parts: {weights: {name: string; packed?: {gated: boolean}}[]}[];
  sequence: {part: string; weights: Record<string, number>}[];
  weights: {packed?: {codes: string; block: number}; shape: number[]; rows: {kind: string; rows: number; codes?: {length: number}}[]}[];
}

it.each(['model.data', undefined])('comes back from JSON as it was, weights in %s', async (externalData) => {
  const {models: _, ...index} = await lowered(externalData);
  expect(throughJson({...index, models: new Map()})).toEqual(index);
});

it('refers to bytes in the model file itself, and holds none', async () => {
  const index = await lowered();
  const text = JSON.stringify(indexToJson(index, (file) => basename(file)));
  expect(text).toContain('"file":"model.onnx"');
  expect(text).not.toContain('inline');
  for (const {packed: _, ...weight} of throughJson(index).weights) {
    expect((await materialize(weight)).byteLength).toBe(weightByteLength(weight));
  }
});

it.each<[string, (json: Json) => void, string]>([
  ['a part that is not there', (json) => (json.sequence[1]!.part = 'middle'), "'sequence[1].part' must be the name of a part"],
  [
    'a weight that is not there',
    (json) => (json.sequence[0]!.weights.table = 999),
    "'sequence[0].weights.table' must be the index of a weight [80, 128]",
  ],
  ['a weight of another shape', (json) => (json.sequence[1]!.weights.qkv = 0), "'sequence[1].weights.qkv' must be the index of a weight"],
  ['rows that are not those of the shape', (json) => (json.weights[0]!.shape[0] = 81), "'weights[0].rows' must be rows of [81, 128]"],
  [
    'a weight that is packed in another way than its input',
    (json) => (json.parts[1]!.weights.find(({name}) => name === 'gate_up')!.packed!.gated = false),
    "'sequence[1].weights.gate_up' must be the index of a weight that is packed as its input is",
  ],
  [
    'rows that cannot be packed so',
    (json) => (json.weights.find(({packed}) => packed)!.packed!.codes = 'uint8'),
    ".packed' must be how its rows can stay quantized",
  ],
  [
    'blocks that no kernel takes',
    (json) => (json.weights.find(({packed}) => packed)!.packed!.block = 16),
    ".packed.block' must be 0, 32, 64 or 128",
  ],
  [
    'fewer bytes than a kernel would read',
    (json) => json.weights.flatMap(({rows}) => rows).find(({codes}) => codes)!.codes!.length--,
    "codes.length' must be",
  ],
])('refuses %s', async (_, change, message) => {
  const index = await lowered();
  expect(() => throughJson(index, change)).toThrow(JsonProblem);
  expect(() => throughJson(index, change)).toThrow(message);
});
