/** The memory of the GPUs that this process sees. */

import {messageOf} from '../../errors.js';
import type {Missing} from '../../inspect.js';
import type {Addon, NativeGpuMemory} from '../../native/addon.js';
import {typed} from '../../native/errors.js';
import {addonHint, loadAddon} from '../../native/load.js';

export interface GpuReading extends NativeGpuMemory {
  name: string;
}

/** What of the addon this needs. */
export type GpuMemoryAddon = Pick<Addon, 'loadDriver' | 'devices' | 'gpuMemory'>;

/** All GPUs that tell, or why there are none. Never throws. */
export async function readGpus(addon: GpuMemoryAddon | undefined = loadAddon().addon): Promise<GpuReading[] | Missing> {
  if (addon === undefined) return {reason: `the native addon is not loaded: ${loadAddon().reason}`, hint: addonHint};
  if (addon.gpuMemory === undefined) return {reason: 'the native addon is older than this package', hint: addonHint};
  try {
    const {status, problem, hint} = addon.loadDriver();
    if (status !== 'ready') return {reason: problem, hint: hint || undefined};
    const devices = addon.devices();
    if (devices.length === 0) return {reason: 'the driver sees no GPU'};
    const told = await addon.gpuMemory(devices);
    if (told.length === 0) return {reason: 'no GPU tells of its memory: NVML is missing, and nothing has used one yet'};
    const names = new Map(devices.map(({ordinal, name}) => [ordinal, name]));
    return told.map((gpu) => ({name: names.get(gpu.ordinal)!, ...gpu}));
  } catch (error) {
    return {reason: messageOf(typed(error))};
  }
}
