/** The simulated driver and TensorRT in the test file's own process: both are loaded once, so call this before either is. */

import path from 'node:path';

import {simulatedDriver} from './child.js';

/** Settings of native/simulator: of the driver's, and of TensorRT's. */
export async function useSimulatedTensorrt({driver = '', tensorrt = ''} = {}): Promise<Record<string, string>> {
  const library = await simulatedDriver();
  const env = {
    TENSORRT_NODE_CUDA_DRIVER: library,
    TENSORRT_NODE_SIMULATOR: driver,
    TENSORRT_NODE_SIMULATOR_TENSORRT: tensorrt,
    TENSORRT_ROOT: path.dirname(library),
  };
  Object.assign(process.env, env);
  return env;
}
