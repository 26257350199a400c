/** Where finished engines, timings and locks are kept. */

import {homedir} from 'node:os';
import {isAbsolute, join, resolve} from 'node:path';

import type {BuildEnvironment} from './environment.js';

/** TENSORRT_NODE_CACHE, else `tensorrt-node` in the user's cache folder, as the XDG base directory specification has it. */
export function defaultCacheFolder(env: NodeJS.ProcessEnv): string {
  if (env.TENSORRT_NODE_CACHE) return resolve(env.TENSORRT_NODE_CACHE);
  // The specification ignores relative paths.
  const base = env.XDG_CACHE_HOME && isAbsolute(env.XDG_CACHE_HOME) ? env.XDG_CACHE_HOME : join(env.HOME || homedir(), '.cache');
  return join(base, 'tensorrt-node');
}

export interface CachePaths {
  engines: string;
  timings: string;
  locks: string;
  /** What QuickLookup keeps. */
  requests: string;
}

export function cachePaths(folder: string): CachePaths {
  return {
    engines: join(folder, 'engines'),
    timings: join(folder, 'timings'),
    locks: join(folder, 'locks'),
    requests: join(folder, 'requests'),
  };
}

/** Timings count for one version of TensorRT on one kind of GPU: 'tensorrt-10.6.0-nvidia-h100-80gb-hbm3-9.0.timings'. */
export function timingCacheName({tensorrtVersion, gpu}: Pick<BuildEnvironment, 'tensorrtVersion' | 'gpu'>): string {
  return `tensorrt-${tensorrtVersion}-${cacheName(gpu)}.timings`;
}

/** A kind of GPU in names of files: 'nvidia-h100-80gb-hbm3-9.0'. */
export function cacheName({name, computeCapability}: BuildEnvironment['gpu']): string {
  const words = name
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .replaceAll(/^-|-$/g, '');
  return `${words}-${computeCapability}`;
}
