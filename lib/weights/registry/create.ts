/** `createModelRegistry`: a registry of this machine's memory. */

import {loadAddon} from '../../native/load.js';
import {hostMemory} from '../host_memory.js';
import {DEFAULT_HOST, ModelRegistry} from './model_registry.js';
import {checkRegistryOptions, type ModelRegistryOptions} from './options.js';
import type {Memory} from './residency.js';

/** What of it models get where no budgets are given: engines, caches and others need some too. */
const SHARE = {gpu: 0.9, ram: 0.8};

/**
 * Several models under a budget of VRAM and one of RAM: those least recently used leave VRAM for pinned RAM, and RAM for
 * the disk, while others need the room, and come back with their next request. Throws OptionError.
 */
export function createModelRegistry(options: ModelRegistryOptions = {}): ModelRegistry {
  return new ModelRegistry(checkRegistryOptions(options), {...DEFAULT_HOST, memory: machineMemory});
}

function machineMemory(device: number): Memory {
  return {gpu: Math.floor(gpuBytes(device) * SHARE.gpu), ram: Math.floor(hostMemory().limitBytes * SHARE.ram)};
}

/** 0 where there is none. */
function gpuBytes(device: number): number {
  const {addon} = loadAddon();
  if (addon === undefined || addon.loadDriver().status !== 'ready') return 0;
  return addon.devices().find(({ordinal}) => ordinal === device)?.totalBytes ?? 0;
}
