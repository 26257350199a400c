/** Finds a GPU of this process before anything is done with it. */

import {OptionError} from '../errors.js';
import type {Addon, NativeDeviceInfo} from './addon.js';
import {CudaError, translated} from './errors.js';

/**
 * `prefix` begins the message about what is missing. Throws CudaError (ERR_CUDA) without a driver or any GPU,
 * OptionError for a number that no GPU has.
 */
export function findDevice(addon: Addon, ordinal: number, prefix = ''): NativeDeviceInfo {
  requireDriver(addon, prefix);
  const devices = translated(() => addon.devices());
  if (devices.length === 0) {
    throw new CudaError('ERR_CUDA', `${prefix}the driver sees no GPU`, undefined, undefined, 'check nvidia-smi and CUDA_VISIBLE_DEVICES');
  }
  const found = devices.find((device) => device.ordinal === ordinal);
  if (found === undefined) throw new OptionError('device', `one of the GPUs here, 0 to ${devices.length - 1}`, ordinal);
  return found;
}

/** Throws CudaError (ERR_CUDA) with the reason, after `prefix`, unless the driver is loaded and works. */
export function requireDriver(addon: Addon, prefix = ''): void {
  const {status, problem, hint} = translated(() => addon.loadDriver());
  if (status !== 'ready') throw new CudaError('ERR_CUDA', `${prefix}${problem}`, undefined, undefined, hint || undefined);
}
