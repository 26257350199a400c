/** Whether an ONNX model is the one that an engine was built from. */

import {FormatError} from '../errors.js';
import type {Model} from '../onnx/model.js';
import {readModel} from '../onnx/read.js';
import {hashModel} from './build/model_source.js';

/** Reads the model and its external data. Throws FormatError, AbortError; returns the model. */
export async function checkModelHash(path: string, sha256: string, signal?: AbortSignal): Promise<Model> {
  const model = await readModel(path, {signal});
  if ((await hashModel({model, path}, undefined, signal)) === sha256) return model;
  throw new FormatError(
    'ERR_ONNX',
    path,
    'is not the model that the engine was built from: its SHA-256 is another',
    'give `model` the path of the right one, or build the engine again',
  );
}
