/** What a model may take, before it has been loaded once: as planned on TensorRT, and as its files on the CPU. */

import {findTensorrt} from '../../backend/tensorrt/environment.js';
import {TensorrtNodeError, UnsupportedError} from '../../errors.js';
import type {LoadOptions} from '../../generate/load.js';
import {planModel} from '../../generate/plan_model.js';
import {findDevice} from '../../native/find_device.js';
import {hostMemory} from '../host_memory.js';
import {modelFileBytes} from '../model_file_bytes.js';
import type {Needs} from './residency.js';

/**
 * `modelPath`: the ONNX file. As if nothing else was in memory: others will have made room. Throws DoesNotFitError for more
 * than there is at all; OptionError for a GPU that is not there.
 */
export async function estimateNeeds(source: string, modelPath: string, options: LoadOptions): Promise<Needs> {
  const {
    backend = 'auto',
    device = 0,
    type,
    maxContext,
    maxBatch,
    deterministic,
    dequantize,
    kvCacheType,
    placement,
    offloadFolder,
    model,
  } = options;
  const environment = backend === 'cpu' ? undefined : findTensorrt(device);
  if (environment !== undefined && !(environment instanceof TensorrtNodeError)) {
    try {
      const limits = {type, maxContext, maxBatch, deterministic, dequantize, kvCacheType, placement, offloadFolder, model};
      const machine = {gpuMemory: findDevice(environment.addon, device).totalBytes, ram: hostMemory().limitBytes};
      const {gpu, ram} = await planModel(source, {...limits, ...machine});
      const {weightsBytes, placesBytes, cacheBytes, stepsBytes, scratchBytes} = gpu;
      return {
        ready: {gpu: weightsBytes + placesBytes + cacheBytes + stepsBytes + scratchBytes, ram: ram.pinnedBytes},
        // And what keys and values sessions have by then.
        suspended: {gpu: 0, ram: weightsBytes + ram.pinnedBytes},
      };
    } catch (error) {
      // It is then run on the CPU, or loading it will tell.
      if (!(error instanceof UnsupportedError)) throw error;
    }
  }
  return {ready: {gpu: 0, ram: await modelFileBytes(modelPath)}};
}
