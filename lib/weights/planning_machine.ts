/** The machine that a model is planned for: the one here, or one that is only described. */

import {stat} from 'node:fs/promises';

import {defaultCacheFolder} from '../engine/build/cache_paths.js';
import {TensorrtNodeError} from '../errors.js';
import {Device} from '../native/device.js';
import {findDevice} from '../native/find_device.js';
import {requireAddon} from '../native/load.js';
import type {PinnedBuffer} from '../native/pinned_buffer.js';
import type {OnProgress} from '../progress.js';
import {memoryBudget} from './budget.js';
import {diskSpeed} from './disk_speed.js';
import {hostMemory} from './host_memory.js';
import {gpuSpeeds} from './measured_speeds.js';
import {pinnableBytes} from './pinnable.js';
import {ASSUMED_SPEEDS, type SpeedSource, type Speeds} from './speeds.js';

export interface PlannedMachine {
  /** Bytes. `name` is undefined for a GPU that need not be here. */
  gpu: {name?: string; totalBytes: number; usedBytes: number};
  /** Bytes that may be pinned. */
  ramBytes: number;
  /** Bytes of both that a model may have: what is free, and left of this thread's budget. */
  free: {gpuBytes: number; ramBytes: number};
  /** Bytes a second. */
  speeds: Record<keyof Speeds, {bytesPerSecond: number; source: SpeedSource}>;
  /** The GPU, where it is here. */
  device?: Device;
}

export interface MachineOptions {
  device?: number;
  /** Bytes of a GPU's memory, of which nothing is looked at. */
  gpuMemory?: number;
  ram?: number;
  measure?: boolean;
  signal?: AbortSignal;
  onProgress?: OnProgress;
}

/** CUDA's context, on an H100 with driver 580. */
const CONTEXT_BYTES = 530 * 2 ** 20;

/** Throws TensorrtNodeError (CudaError, ERR_ADDON) where there is no GPU and none was described; OptionError; AbortError. */
export async function planningMachine({device = 0, gpuMemory, ram, signal, ...options}: MachineOptions): Promise<PlannedMachine> {
  const ramBytes = ram ?? pinnableBytes();
  if (gpuMemory !== undefined) {
    const usedBytes = Math.min(CONTEXT_BYTES, gpuMemory);
    return {gpu: {totalBytes: gpuMemory, usedBytes}, ramBytes, free: {gpuBytes: gpuMemory - usedBytes, ramBytes}, speeds: assumed()};
  }
  const found = findGpu(device);
  const open = Device.open(device);
  const {freeBytes, totalBytes} = open.memory();
  const {gpu: gpuBytes, ram: leftOfRam} = memoryBudget.left(
    device,
    {gpu: freeBytes, ram: ramBytes},
    {gpu: totalBytes, ram: hostMemory().limitBytes},
  );
  const gpu = {name: found.name, computeCapability: `${found.computeMajor}.${found.computeMinor}`};
  const folder = defaultCacheFolder(process.env);
  const speeds = await gpuSpeeds(open, {folder, gpu, again: options.measure ?? false, signal, onProgress: options.onProgress});
  return {
    gpu: {name: gpu.name, totalBytes, usedBytes: totalBytes - freeBytes},
    ramBytes,
    free: {gpuBytes, ramBytes: leftOfRam},
    speeds: {...assumed(), weightReads: measured(speeds.weightReads), hostToDevice: measured(speeds.hostToDevice)},
    device: open,
  };
}

/**
 * With the disk's speed, as the largest of the files tells it: assumed still for a machine that need not be here, and where
 * the page cache would have a part in it. Takes up to a second. Throws what opening and reading do, and AbortError.
 */
export async function withDiskSpeed(machine: PlannedMachine, files: readonly string[], signal?: AbortSignal): Promise<PlannedMachine> {
  const {device, speeds} = machine;
  if (device === undefined) return machine;
  const sizes = await Promise.all(files.map(async (file) => ({file, size: (await stat(file)).size})));
  const [largest] = sizes.sort((a, b) => b.size - a.size);
  if (largest === undefined) return machine;
  const pinned: PinnedBuffer[] = [];
  const allocate = (bytes: number) => {
    const buffer = device.allocatePinned(bytes);
    pinned.push(buffer);
    return new Uint8Array(buffer.buffer);
  };
  try {
    const speed = await diskSpeed(largest.file, {signal, allocate});
    return speed?.direct ? {...machine, speeds: {...speeds, disk: measured(speed.bytesPerSecond)}} : machine;
  } finally {
    for (const buffer of pinned) buffer.dispose();
  }
}

function findGpu(device: number) {
  try {
    return findDevice(requireAddon(), device, 'planning needs a GPU: ');
  } catch (error) {
    if (!(error instanceof TensorrtNodeError)) throw error;
    throw new TensorrtNodeError(error.code, error.problem, 'gpuMemory plans for one that is not here', {cause: error});
  }
}

function measured(bytesPerSecond: number): {bytesPerSecond: number; source: SpeedSource} {
  return {bytesPerSecond, source: 'measured'};
}

function assumed(): PlannedMachine['speeds'] {
  const of = (bytesPerSecond: number) => ({bytesPerSecond, source: 'assumed' as const});
  const {weightReads, hostToDevice, disk} = ASSUMED_SPEEDS;
  return {weightReads: of(weightReads), hostToDevice: of(hostToDevice), disk: of(disk)};
}
