/** Whether this machine can run language models on TensorRT. */

import {type BuildEnvironment, findEnvironment} from '../../engine/build/environment.js';
import {TensorrtNodeError, UnsupportedError} from '../../errors.js';
import {CudaError, translated} from '../../native/errors.js';
import {addonTooOld} from '../../native/load.js';

/** Addon, driver, the GPU asked for, TensorRT and its ONNX parser; or what is missing. Throws OptionError for a GPU that is not there. */
export function findTensorrt(device: number): BuildEnvironment | TensorrtNodeError {
  try {
    const environment = findEnvironment(device, undefined, false);
    if (environment.addon.loadKernels === undefined) {
      return addonTooOld();
    }
    return environment;
  } catch (error) {
    if (error instanceof TensorrtNodeError) return error;
    throw error;
  }
}

/**
 * Throws UnsupportedError, before anything is built, where the addon's kernels do not load: it was built without nvcc, or
 * for GPUs and drivers that are not these. Throws CudaError for whatever else fails.
 */
export function checkKernels({addon, device, gpu}: BuildEnvironment): void {
  try {
    translated(() => addon.loadKernels!(device));
  } catch (error) {
    if (!(error instanceof CudaError) || error.code !== 'ERR_CUDA') throw error;
    throw new UnsupportedError(`the addon has no kernels for ${gpu.name}: ${error.message}`, error.hint);
  }
}
