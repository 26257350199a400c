/** A model with its backend at hand: measuring asks the native decoder for what the public API does not tell. */

import path from 'node:path';

import {findTensorrt} from '../../dist/backend/tensorrt/environment.js';
import {TensorrtBackend} from '../../dist/backend/tensorrt/tensorrt_backend.js';
import {LanguageModel} from '../../dist/generate/model.js';
import {openModelFolder} from '../../dist/generate/model_folder.js';
import {loadTokenizer} from '../../dist/tokenizer/tokenizer.js';

/** `options` as loadModel's, maxContext and maxBatch given. `decoder` is lib/native/decoder_addon.ts's MeasuredDecoder. */
export async function openModel(source, options) {
  const environment = findTensorrt(options.device ?? 0);
  if (environment instanceof Error) throw environment;
  const {modelPath, folder, config} = await openModelFolder(path.resolve(source));
  const tokenizer = await loadTokenizer(folder);
  const backend = await TensorrtBackend.load({...options, modelPath, environment});
  return {model: new LanguageModel(backend, tokenizer, config), backend, decoder: backend.decoder};
}
