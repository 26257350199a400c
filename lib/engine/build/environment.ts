/** What a build runs on. Whatever is missing is told before anything is read, hashed or started. */

import {TensorrtNodeError} from '../../errors.js';
import type {Addon} from '../../native/addon.js';
import {TensorrtError, translated} from '../../native/errors.js';
import {findDevice} from '../../native/find_device.js';
import {requireAddon} from '../../native/load.js';
import {tensorrtCandidates} from '../../native/tensorrt_libraries.js';

export interface BuildEnvironment {
  addon: Addon;
  device: number;
  gpu: {name: string; computeCapability: string};
  /** The library that serves; the builder process opens the same. */
  tensorrt: readonly string[];
  tensorrtVersion: string;
}

/**
 * Throws TensorrtNodeError (ERR_ADDON), CudaError without a driver or GPU, OptionError for a GPU that is not there,
 * TensorrtError without TensorRT or its ONNX parser; each says what to do.
 */
export function findEnvironment(device: number, tensorrtPath: string | undefined): BuildEnvironment {
  const candidates = tensorrtCandidates(tensorrtPath, process.env);
  const addon = requireAddon();
  if (addon.buildEngine === undefined)
    throw new TensorrtNodeError('ERR_ADDON', 'the native addon is older than this package', 'npm rebuild tensorrt-node');
  const {computeMajor, computeMinor, name} = findDevice(addon, device, 'building engines needs a GPU: ');
  const {infer, version, parser, parserProblem} = translated(() => addon.openTensorrt(candidates));
  if (parser === undefined) {
    throw new TensorrtError(
      `building engines needs TensorRT's ONNX parser: ${parserProblem ?? 'it was not found'}`,
      undefined,
      'install the ONNX parser of the same TensorRT',
    );
  }
  return {addon, device, gpu: {name, computeCapability: `${computeMajor}.${computeMinor}`}, tensorrt: [infer], tensorrtVersion: version};
}
