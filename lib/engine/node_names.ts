/** Names of an ONNX model's nodes, for joining layers to them. */

import {FormatError} from '../errors.js';
import {readModel} from '../onnx/read.js';
import {parsedName} from './onnx_origins.js';

/** In the model's order, as TensorRT's parser calls them. Throws as readModel does. */
export async function nodeNames(model: string, signal?: AbortSignal): Promise<string[]> {
  const {graph} = await readModel(model, {signal});
  return graph.node.map(parsedName).filter((name) => name !== '');
}

/** Undefined where there is no such model any more. */
export async function nodeNamesIfThere(model: string, signal?: AbortSignal): Promise<string[] | undefined> {
  try {
    return await nodeNames(model, signal);
  } catch (error) {
    if (error instanceof FormatError) return undefined;
    throw error;
  }
}
