/** What the engine cache knows an engine by. */

import {createHash} from 'node:crypto';

import type {BuildEnvironment} from './environment.js';
import type {BuildOptions} from './options.js';
import type {Typing} from './precision.js';
import type {NativeProfile} from './profiles.js';

/** Raised when this package builds other engines of the same options. */
const BUILDER = 1;

/** The options that make a difference to the engine, with defaults applied; they stand in the manifest too. */
export function canonicalOptions(
  options: BuildOptions,
  {precision, stronglyTyped}: Typing,
  profiles: readonly NativeProfile[],
  calibration: Readonly<Record<string, unknown>> | undefined,
): Record<string, unknown> {
  const layers = options.layers ?? [];
  const all: Record<string, unknown> = {
    precision,
    typing: stronglyTyped ? 'strong' : 'weak',
    profiles,
    layers,
    layerConstraints: layers.length > 0 ? (options.layerConstraints ?? 'obey') : undefined,
    calibration,
    sparsity: options.sparsity ?? false,
    optimizationLevel: options.optimizationLevel,
    workspace: options.workspace,
    tacticSources: options.tacticSources && [...new Set(options.tacticSources)].sort(),
    hardwareCompatibility: options.hardwareCompatibility ?? 'none',
    versionCompatible: options.versionCompatible ?? false,
    excludeLeanRuntime: options.excludeLeanRuntime ?? false,
    refit: options.refit ?? false,
    strip: options.strip ?? false,
    weightStreaming: options.weightStreaming ?? false,
    profilingVerbosity: options.profilingVerbosity ?? 'detailed',
    maxAuxStreams: options.maxAuxStreams,
    averageTimingIterations: options.averageTimingIterations,
    tiling: options.tiling === 'none' ? undefined : options.tiling,
  };
  // As it will be read back from the manifest.
  return JSON.parse(canonicalJson(all));
}

export interface KeyParts {
  modelSha256: string;
  options: Readonly<Record<string, unknown>>;
  /** What the engine was calibrated with. */
  calibration?: string;
  environment: Pick<BuildEnvironment, 'tensorrtVersion' | 'gpu'>;
}

export function engineKey({modelSha256, options, calibration, environment: {tensorrtVersion, gpu}}: KeyParts): string {
  return createHash('sha256')
    .update(canonicalJson({builder: BUILDER, model: modelSha256, options, calibration, tensorrt: tensorrtVersion, gpu}))
    .digest('hex');
}

/** JSON with the fields of each object in the order of their names; undefined ones are left out. */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_name, each: unknown) => {
    if (typeof each !== 'object' || each === null || Array.isArray(each)) return each;
    return Object.fromEntries(Object.entries(each).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)));
  });
}
