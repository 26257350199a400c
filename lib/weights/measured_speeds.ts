/** Speeds of this machine: measured once, and kept in the cache folder for its GPU. */

import {mkdir, readFile, writeFile} from 'node:fs/promises';
import {dirname, join} from 'node:path';

import {cacheName} from '../engine/build/cache_paths.js';
import type {Device} from '../native/device.js';
import type {OnProgress} from '../progress.js';
import {replaceFile} from '../replace_file.js';
import {copySpeed} from './copy_speed.js';

/** Bytes a second. */
export interface GpuSpeeds {
  weightReads: number;
  hostToDevice: number;
}

export interface MeasureOptions {
  /** Of the cache. */
  folder: string;
  gpu: {name: string; computeCapability: string};
  /** Whether what is kept does not count. */
  again: boolean;
  signal?: AbortSignal;
  /** Phase 'measure'. */
  onProgress?: OnProgress;
}

/** More than any GPU's cache; a part of small or full memory. */
const READ_BYTES = 2 ** 30;
const READ_SHARE = 1 / 8;

/**
 * Throws CudaError, AbortError. Other work on the GPU makes it slower, and is made slower for a few milliseconds.
 */
export async function gpuSpeeds(device: Device, {folder, gpu, again, signal, onProgress}: MeasureOptions): Promise<GpuSpeeds> {
  const kept = again ? undefined : await keptGpuSpeeds({folder, gpu});
  if (kept !== undefined) return kept;
  const step = (done: number, detail: string) => onProgress?.({phase: 'measure', done, total: 2, unit: 'steps', detail});
  step(0, 'copies to the GPU');
  const hostToDevice = await copySpeed(device, signal);
  step(1, 'reads of weights');
  const weightReads = device.weightReadsPerSecond(Math.min(READ_BYTES, Math.floor(device.memory().freeBytes * READ_SHARE)));
  // Nothing else needs so large a block.
  device.trimDevice();
  step(2, 'done');
  const speeds = {weightReads, hostToDevice};
  const file = fileOf({folder, gpu});
  await mkdir(dirname(file), {recursive: true});
  await replaceFile(file, (temporary) => writeFile(temporary, JSON.stringify({formatVersion: 1, gpu: gpu.name, ...speeds})));
  return speeds;
}

/** As they were measured once; undefined where they were not. Measures nothing. */
export async function keptGpuSpeeds(options: Pick<MeasureOptions, 'folder' | 'gpu'>): Promise<GpuSpeeds | undefined> {
  try {
    const {formatVersion, weightReads, hostToDevice} = JSON.parse(await readFile(fileOf(options), 'utf8'));
    return formatVersion === 1 && weightReads > 0 && hostToDevice > 0 ? {weightReads, hostToDevice} : undefined;
  } catch {
    return undefined;
  }
}

function fileOf({folder, gpu}: Pick<MeasureOptions, 'folder' | 'gpu'>): string {
  return join(folder, 'speeds', `${cacheName(gpu)}.json`);
}
