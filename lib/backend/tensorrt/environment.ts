/** Whether this machine can run language models on TensorRT. */

import {type BuildEnvironment, findEnvironment} from '../../engine/build/environment.js';
import {TensorrtNodeError} from '../../errors.js';
import {addonHint} from '../../native/load.js';

/** Addon, driver, the GPU asked for, TensorRT and its ONNX parser; or what is missing. Throws OptionError for a GPU that is not there. */
export function findTensorrt(device: number): BuildEnvironment | TensorrtNodeError {
  try {
    const environment = findEnvironment(device, undefined, false);
    if (environment.addon.loadDecoder === undefined) {
      return new TensorrtNodeError('ERR_ADDON', 'the native addon is older than this package', addonHint);
    }
    return environment;
  } catch (error) {
    if (error instanceof TensorrtNodeError) return error;
    throw error;
  }
}
