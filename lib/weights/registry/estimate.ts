/** What a model may take, before it has been loaded once: the sizes of its files, where it will be loaded to. */

import {findTensorrt} from '../../backend/tensorrt/environment.js';
import {TensorrtNodeError} from '../../errors.js';
import type {LoadOptions} from '../../generate/load.js';
import {modelFileBytes} from '../model_file_bytes.js';
import type {Needs} from './residency.js';

/** `modelPath`: the ONNX file. Throws OptionError for a GPU that is not there. */
export async function estimateNeeds(modelPath: string, {backend = 'auto', device = 0}: LoadOptions): Promise<Needs> {
  const bytes = await modelFileBytes(modelPath);
  const onGpu = backend === 'tensorrt' || (backend === 'auto' && !(findTensorrt(device) instanceof TensorrtNodeError));
  return onGpu ? {ready: {gpu: bytes, ram: 0}, suspended: {gpu: 0, ram: bytes}} : {ready: {gpu: 0, ram: bytes}};
}
