/** Times of layers as a file, for comparing. */

import {open} from 'node:fs/promises';

import type {LayerProfile} from '../engine/layer_profile.js';
import {FormatError} from '../errors.js';

/** What `tensorrt-node profile layers --json` writes. */
export interface LayersFile extends LayerProfile {
  kind: 'layers';
  /** What was profiled, as it was named, and what ran it. */
  source: string;
  description: string;
}

/** Far above any real one. */
const MAX_BYTES = 256 * 1024 * 1024;

/** Undefined for a file of anything else, as a trace is. Throws FormatError: ERR_NOT_FOUND, ERR_TRACE where it is damaged. */
export async function readLayers(path: string): Promise<LayersFile | undefined> {
  await using file = await open(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') throw new FormatError('ERR_NOT_FOUND', path, 'there is no such file');
    throw error;
  });
  // A trace, which may be far larger, is an array.
  const {buffer, bytesRead} = await file.read(Buffer.alloc(16), 0, 16, 0);
  if (!buffer.toString('utf8', 0, bytesRead).trimStart().startsWith('{')) return undefined;
  if ((await file.stat()).size > MAX_BYTES) return undefined;
  let json: unknown;
  try {
    json = JSON.parse(await file.readFile('utf8'));
  } catch (cause) {
    throw new FormatError('ERR_TRACE', path, 'is not whole JSON', undefined, {cause});
  }
  if (!isObject(json) || json.kind !== 'layers') return undefined;
  if (!Array.isArray(json.layers) || !json.layers.every(isLayer) || !isAmount(json.runMicroseconds)) {
    throw new FormatError('ERR_TRACE', path, 'has no times of layers', 'write it with `tensorrt-node profile layers --json`');
  }
  return json as unknown as LayersFile;
}

function isLayer(json: unknown): boolean {
  return isObject(json) && typeof json.name === 'string' && Array.isArray(json.nodes) && isAmount(json.medianMicroseconds);
}

function isAmount(json: unknown): boolean {
  return typeof json === 'number' && json >= 0;
}

function isObject(json: unknown): json is Record<string, unknown> {
  return typeof json === 'object' && json !== null && !Array.isArray(json);
}
