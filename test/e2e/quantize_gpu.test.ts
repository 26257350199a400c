/** GPTQ's Hessians and codes on the simulated GPU, and what becomes of a GPU that is not there. */

import {quantizeModel} from 'tensorrt-node';
import {beforeAll, expect, it} from 'vitest';

import {decodeMatrices} from '../support/quantized_weights.js';
import {randomTensors, tinyConfig} from '../support/random_checkpoint.js';
import {writeFolder} from '../support/safetensors_folder.js';
import {temporaryFolder} from '../support/temporary_folder.js';
import {byteLevelTokenizer} from '../support/tokenizers.js';
import {useSimulatedTensorrt} from './helpers/simulated_tensorrt.js';

const folder = temporaryFolder();
const OPTIONS = {samples: 4, sequenceLength: 64, threads: 2} as const;

beforeAll(async () => {
  await useSimulatedTensorrt();
  const config = tinyConfig({headDim: 64, vocabSize: 272, maxPositionEmbeddings: 256});
  const {tokenizerJson, tokenizerConfig} = byteLevelTokenizer();
  await writeFolder(folder('model'), config, randomTensors(config), {tokenizer: tokenizerJson, tokenizerConfig});
});

it.each([[{}], [{symmetric: true, block: 64}], [{actOrder: true}], [{bits: 8, block: 'channel'}]] as const)(
  'chooses with %j the codes that the host chooses, but for ties',
  async (options) => {
    const matrices = [];
    for (const device of ['cpu', 0] as const) {
      await quantizeModel(folder('model'), folder('out'), {method: 'gptq', ...options, ...OPTIONS, device, overwrite: true});
      matrices.push(await decodeMatrices(folder('out', 'model.onnx')));
    }
    for (const [name, {values}] of matrices[0]!) {
      const other = matrices[1]!.get(name)!.values;
      const sum = (numbers: Float32Array) => numbers.reduce((total, each) => total + Math.abs(each), 0);
      // A tie that falls the other way moves what follows it; rounding itself is off by some 7 %.
      expect(sum(values.map((value, at) => value - other[at]!)) / sum(values), name).toBeLessThan(0.02);
    }
  },
);

it('takes the GPU unasked, and refuses one that is not there', async () => {
  await quantizeModel(folder('model'), folder('unasked'), {method: 'gptq', ...OPTIONS});
  const error = await quantizeModel(folder('model'), folder('none'), {method: 'gptq', ...OPTIONS, device: 9}).catch((thrown) => thrown);
  expect(error).toMatchObject({code: 'ERR_OPTION', option: 'device'});
});
