/** TensorRT builds the parts of lowered decoders, for each range of rows: the simulated one, whose operators are few. */

import {readFile} from 'node:fs/promises';

import {buildEngine} from 'tensorrt-node';
import {beforeAll, expect, it} from 'vitest';

import {lowerDecoder} from '../../lib/decoder/lower_decoder.js';
import type {RowRange} from '../../lib/decoder/lowered_decoder.js';
import {buildDecoder} from '../../lib/import/graph/decoder.js';
import {tensorInfo} from '../../lib/onnx/graph.js';
import type {Model} from '../../lib/onnx/model.js';
import {writeModel} from '../../lib/onnx/write.js';
import {exportedDecoder} from '../support/exported_decoder.js';
import {randomTensors, tinyConfig} from '../support/random_checkpoint.js';
import {temporaryFolder} from '../support/temporary_folder.js';
import {useSimulatedTensorrt} from './helpers/simulated_tensorrt.js';

const folder = temporaryFolder();
beforeAll(async () => {
  await useSimulatedTensorrt();
});

const imported = (changes: Parameters<typeof tinyConfig>[0]) => {
  // A size of heads that there are kernels for.
  const config = tinyConfig({headDim: 64, ...changes});
  return buildDecoder(config, randomTensors(config), {dtype: 'fp16'});
};

it.each<[string, () => Model]>([
  ['llama', () => imported({})],
  ['qwen2', () => imported({architecture: 'qwen2', tieWordEmbeddings: true})],
  ['qwen3', () => imported({architecture: 'qwen3'})],
  [
    'gemma-like',
    () =>
      exportedDecoder({
        style: 'plain',
        headSize: 64,
        activation: 'gelu_tanh',
        embeddingScale: 5.65,
        logitsCap: 3,
        shiftedNorms: true,
        window: [3, 0],
      }),
  ],
])('%s', async (name, make) => {
  for (const type of ['float16', 'bfloat16'] as const) {
    const lowered = await lowerDecoder(make(), {type});
    for (const [part, models] of lowered.models) {
      for (const range of Object.keys(models) as RowRange[]) {
        const model = models[range]!;
        const target = `${name}-${type}-${part}-${range}`;
        const file = folder(`${target}.onnx`);
        await writeModel(model, file);
        await buildEngine(file, {output: folder(target), typing: 'strong', cache: false, profiles: [profileOf(model, range)]});
        const {inputs} = JSON.parse(await readFile(folder(target, 'manifest.json'), 'utf8')) as {inputs: {name: string}[]};
        expect(
          inputs.map((input) => input.name),
          target,
        ).toEqual(model.graph.input.map((input) => input.name));
      }
    }
  }
});

function profileOf(model: Model, range: RowRange): Record<string, {min: number[]; opt: number[]; max: number[]}> {
  const most = range === 'decode' ? 16 : 128;
  const sizes: Record<string, [number, number, number]> = {
    rows: [1, 4, most],
    runs: [1, 4, most],
    run_bounds: [2, 5, most + 1],
    slots: [4, 4, 4],
    pages_per_slot: [2, 2, 2],
  };
  return Object.fromEntries(
    model.graph.input.flatMap((input) => {
      const dims = tensorInfo(input)!.dims!;
      if (dims.every((dim) => typeof dim === 'number')) return [];
      const [min, opt, max] = [0, 1, 2].map((at) => dims.map((dim) => (typeof dim === 'number' ? dim : sizes[dim]![at]!)));
      return [[input.name, {min: min!, opt: opt!, max: max!}]];
    }),
  );
}
