/** A prepared build as the addon takes it. */

import type {NativeBuilderFlag, NativeBuildRequest, NativeTensorType} from '../../native/engine_addon.js';
import type {BuildOptions, LayerPrecision} from './options.js';
import type {PreparedBuild} from './prepare.js';

/** Files of one build. */
export interface BuildFiles {
  /** The model with other inputs, if it is not to be built as it is. */
  model?: string;
  plan: string;
  timingCache?: string;
  timingCacheOut?: string;
  calibrationCacheOut: string;
}

const TYPES: Readonly<Record<LayerPrecision, NativeTensorType>> = {fp32: 'float32', fp16: 'float16', bf16: 'bfloat16', int8: 'int8'};

export function nativeRequest(
  {options, environment, source, typing, profiles, calibration}: PreparedBuild,
  files: BuildFiles,
): NativeBuildRequest {
  return {
    device: environment.device,
    tensorrt: environment.tensorrt,
    model: source.path,
    rewrittenModel: files.model,
    plan: files.plan,
    timingCache: files.timingCache,
    timingCacheOut: files.timingCacheOut,
    stronglyTyped: typing.stronglyTyped,
    flags: [...typing.flags, ...optionFlags(options)],
    optimizationLevel: options.optimizationLevel,
    workspace: options.workspace,
    tacticSources: options.tacticSources,
    hardwareCompatibility: options.hardwareCompatibility,
    profilingVerbosity: options.profilingVerbosity ?? 'detailed',
    maxAuxStreams: options.maxAuxStreams,
    averageTimingIterations: options.averageTimingIterations,
    // Told only where it is asked for: older versions do not know it.
    tilingOptimizationLevel: options.tiling === 'none' ? undefined : options.tiling,
    profiles,
    layers: (options.layers ?? []).map(({pattern, precision, outputType}) => ({
      pattern,
      precision: precision && TYPES[precision],
      outputType: outputType && TYPES[outputType],
    })),
    calibration: calibration?.native(files.calibrationCacheOut),
    logLevel: options.logLevel ?? 'info',
  };
}

function optionFlags({sparsity, refit, strip, weightStreaming, versionCompatible, excludeLeanRuntime}: BuildOptions): NativeBuilderFlag[] {
  const flags: NativeBuilderFlag[] = [];
  if (sparsity) flags.push('sparse-weights');
  if (refit) flags.push('refit');
  // Stripped weights come back as they were, unless the engine is to take others.
  if (strip) flags.push('strip-plan', ...(refit ? [] : (['refit-identical'] as const)));
  if (weightStreaming) flags.push('weight-streaming');
  if (versionCompatible) flags.push('version-compatible');
  if (excludeLeanRuntime) flags.push('exclude-lean-runtime');
  return flags;
}
