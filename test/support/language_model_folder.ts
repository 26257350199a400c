/** A small random language model's folder, as an import leaves one. */

import {mkdir, writeFile} from 'node:fs/promises';
import {join} from 'node:path';

import {buildDecoder} from '../../lib/import/graph/decoder.js';
import {writeModel} from '../../lib/onnx/write.js';
import {type RandomCheckpointOptions, randomTensors, tinyConfig} from './random_checkpoint.js';
import {byteLevelTokenizer} from './tokenizers.js';

/** `headDim`: 64 has kernels, 48 has none. Trained for 256 positions. */
export async function languageModelFolder(
  folder: string,
  {
    headDim = 64,
    layerCount = 2,
    externalData,
    type,
    ...sizes
  }: {headDim?: number; layerCount?: number; externalData?: string; hiddenSize?: number; intermediateSize?: number} & Pick<
    RandomCheckpointOptions,
    'type'
  > = {},
) {
  const {tokenizerJson, tokenizerConfig} = byteLevelTokenizer();
  await mkdir(folder);
  const config = tinyConfig({headDim, layerCount, vocabSize: 272, maxPositionEmbeddings: 256, ...sizes});
  await writeModel(buildDecoder(config, randomTensors(config, {type}), {dtype: 'fp32'}), join(folder, 'model.onnx'), {externalData});
  const files = {
    'config.json': {model_type: 'llama', max_position_embeddings: 256},
    'tokenizer.json': tokenizerJson,
    'tokenizer_config.json': tokenizerConfig,
  };
  for (const [file, content] of Object.entries(files)) await writeFile(join(folder, file), JSON.stringify(content));
}
