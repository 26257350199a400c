/** What a build runs on. Whatever is missing is told before anything is read, hashed or started. */

import {TensorrtNodeError} from '../../errors.js';
import type {Addon} from '../../native/addon.js';
import {TensorrtError, translated} from '../../native/errors.js';
import {findDevice} from '../../native/find_device.js';
import {identifyGpu} from '../../native/identify_gpu.js';
import {addonTooOld, requireAddon} from '../../native/load.js';
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
 * TensorrtError without TensorRT or its ONNX parser; each says what to do. `quick`: an engine in the cache may be all
 * that is wanted, for which CUDA, which takes a fifth of a second, need not be started; `checkDevice` then does.
 */
export function findEnvironment(device: number, tensorrtPath: string | undefined, quick: boolean): BuildEnvironment {
  const candidates = tensorrtCandidates(tensorrtPath, process.env);
  const addon = requireAddon();
  if (addon.buildEngine === undefined) throw addonTooOld();
  const found = (quick ? identifyGpu(addon, device, process.env) : undefined) ?? findGpu(addon, device);
  const {infer, version, parser, parserProblem} = translated(() => addon.openTensorrt(candidates));
  if (parser === undefined) {
    throw new TensorrtError(
      `building engines needs TensorRT's ONNX parser: ${parserProblem ?? 'it was not found'}`,
      undefined,
      'install the ONNX parser of the same TensorRT',
    );
  }
  const gpu = {name: found.name, computeCapability: `${found.computeMajor}.${found.computeMinor}`};
  return {addon, device, gpu, tensorrt: [infer], tensorrtVersion: version};
}

/** Starts CUDA, if nothing did, before something is built. Throws as findEnvironment does. */
export function checkDevice({addon, device, gpu}: BuildEnvironment): void {
  const {name} = findGpu(addon, device);
  if (name === gpu.name) return;
  throw new TensorrtNodeError('ERR_CUDA', `GPU ${device} is ${gpu.name} for NVML and ${name} for CUDA`, 'set CUDA_VISIBLE_DEVICES');
}

const findGpu = (addon: Addon, device: number) => findDevice(addon, device, 'building engines needs a GPU: ');
