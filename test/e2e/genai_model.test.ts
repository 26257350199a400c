/** Folders as onnxruntime-genai's builder writes them, in 4 bits: on the simulated TensorRT as on the CPU. */

import {mkdir, rm, writeFile} from 'node:fs/promises';

import {loadModel} from 'tensorrt-node';
import {beforeAll, describe, expect, it} from 'vitest';

import {writeModel} from '../../lib/onnx/write.js';
import {type ExportOptions, exportedDecoder} from '../support/exported_decoder.js';
import {temporaryFolder} from '../support/temporary_folder.js';
import {byteLevelTokenizer} from '../support/tokenizers.js';
import {useSimulatedTensorrt} from './helpers/simulated_tensorrt.js';

const folder = temporaryFolder();
const GENAI_CONFIG = {
  model: {type: 'llama', context_length: 64, eos_token_id: [39], vocab_size: 40, decoder: {filename: 'model.onnx', head_size: 64}},
  search: {max_length: 64},
};
const LIMITS = {maxContext: 64, maxBatch: 2};
const PROMPTS = [Uint32Array.of(1, 5, 9, 2), Uint32Array.of(30, 3), Uint32Array.from({length: 40}, (_, at) => (at * 7) % 38)];

async function modelFolder(name: string, options: Omit<ExportOptions, 'style'>, config: unknown = GENAI_CONFIG): Promise<string> {
  const {tokenizerJson, tokenizerConfig} = byteLevelTokenizer();
  await mkdir(folder(name), {recursive: true});
  await writeModel(exportedDecoder({style: 'genai', headSize: 64, quantized: true, ...options}), folder(name, 'model.onnx'));
  const files = {'genai_config.json': config, 'tokenizer.json': tokenizerJson, 'tokenizer_config.json': tokenizerConfig};
  for (const [file, content] of Object.entries(files)) await writeFile(folder(name, file), JSON.stringify(content));
  return folder(name);
}

beforeAll(async () => {
  await useSimulatedTensorrt();
  process.env.TENSORRT_NODE_CACHE = folder('cache');
});

describe('MatMulNBits with packed zero points', () => {
  it.each<[string, Omit<ExportOptions, 'style'>]>([
    ['q, k and v of their own, rotated by attention', {rotatingAttention: true}],
    ['q, k and v packed, rotated by attention', {rotatingAttention: true, packed: true}],
    ['rotated by nodes of their own', {}],
  ])('%s', async (name, options) => {
    const source = await modelFolder(name, options);
    await using reference = await loadModel(source, {...LIMITS, backend: 'cpu'});
    await using model = await loadModel(source, {...LIMITS, backend: 'tensorrt'});
    const ask = {maxNewTokens: 12, temperature: 0};
    const found = await Promise.all(PROMPTS.map((prompt) => model.generateText(prompt, ask)));
    for (const [at, prompt] of PROMPTS.entries()) {
      const {tokens, finishReason} = await reference.generateText(prompt, ask);
      expect(found[at], `prompt ${at}`).toMatchObject({tokens, finishReason});
    }
  });
});

describe('genai_config.json stands for config.json', () => {
  it('with the context and the tokens that end a reply', async () => {
    const source = await modelFolder('limits', {rotatingAttention: true});
    await expect(loadModel(source, {maxContext: 65, backend: 'cpu'})).rejects.toMatchObject({
      message: expect.stringContaining('at most 64, the positions the model was trained for'),
    });
    await using model = await loadModel(source, {backend: 'cpu'});
    expect(model.limits.maxContext).toBe(64);
    const stopped = await model.generateText(PROMPTS[0]!, {logitBias: {39: 1000}});
    expect(stopped).toMatchObject({tokens: [39], finishReason: 'stop'});
  });

  it('or is refused in words, as is neither', async () => {
    const source = await modelFolder('damaged', {}, []);
    await expect(loadModel(source)).rejects.toMatchObject({code: 'ERR_CONFIG'});
    await writeFile(folder('damaged', 'genai_config.json'), '{"search": {}}');
    await expect(loadModel(source)).rejects.toThrow('genai_config.json: has no object "model"');
    await rm(folder('damaged', 'genai_config.json'));
    await expect(loadModel(source)).rejects.toMatchObject({
      code: 'ERR_NOT_FOUND',
      message: expect.stringContaining('config.json: no such file'),
    });
  });
});
