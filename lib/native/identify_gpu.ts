/** What GPU a number stands for, without starting CUDA. */

import type {Addon, NativeGpuModel} from './addon.js';

/**
 * Undefined where only CUDA can tell: without NVML, with GPUs that differ, as CUDA has its own order of them, with
 * parts of GPUs, or where variables change what CUDA sees.
 */
export function identifyGpu(
  addon: Pick<Addon, 'gpuModels'>,
  ordinal: number,
  environment: Readonly<Record<string, string | undefined>>,
): NativeGpuModel | undefined {
  if (environment.CUDA_VISIBLE_DEVICES !== undefined || environment.TENSORRT_NODE_CUDA_DRIVER) return undefined;
  const gpus = addon.gpuModels?.() ?? [];
  const [first] = gpus;
  const alike = gpus.every(
    ({name, computeMajor, computeMinor, divided}) =>
      !divided && name === first!.name && computeMajor === first!.computeMajor && computeMinor === first!.computeMinor,
  );
  return alike && ordinal < gpus.length ? first : undefined;
}
