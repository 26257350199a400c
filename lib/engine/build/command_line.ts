/** The command that builds an engine again, for messages that say its plan does not serve. */

import {join, relative, resolve} from 'node:path';

import type {EngineManifest} from '../manifest.js';
import {DEFAULT_MAX_BATCHES} from './calibration/options.js';

type Flag = (value: unknown) => string[];

const text =
  (flag: string): Flag =>
  (value) =>
    typeof value === 'string' || typeof value === 'number' ? [flag, String(value)] : [];
const present =
  (flag: string): Flag =>
  (value) =>
    value === true ? [flag] : [];

/** Options of a manifest whose defaults nobody need repeat are left out. */
const FLAGS: Readonly<Record<string, Flag>> = {
  precision: text('--precision'),
  typing: text('--typing'),
  profiles: (value) => (Array.isArray(value) ? value.flatMap((profile) => ['--profile', formatProfile(profile)]) : []),
  layers: (value) => (Array.isArray(value) ? value.flatMap((layer) => ['--layer', formatLayer(layer)]) : []),
  layerConstraints: (value) => (value === 'prefer' ? ['--layer-constraints', 'prefer'] : []),
  sparsity: present('--sparsity'),
  optimizationLevel: text('--optimization-level'),
  workspace: text('--workspace'),
  tacticSources: (value) => (Array.isArray(value) ? ['--tactic-sources', value.join(',')] : []),
  hardwareCompatibility: (value) => (value === 'none' ? [] : text('--hardware-compatibility')(value)),
  versionCompatible: present('--version-compatible'),
  excludeLeanRuntime: present('--exclude-lean-runtime'),
  refit: present('--refit'),
  strip: present('--strip'),
  weightStreaming: present('--weight-streaming'),
  profilingVerbosity: (value) => (value === 'detailed' ? [] : text('--profiling-verbosity')(value)),
  maxAuxStreams: text('--max-aux-streams'),
  averageTimingIterations: text('--average-timing-iterations'),
  tiling: text('--tiling'),
  calibration: calibrationFlags,
};

/** Ready for a shell: whatever a manifest says is quoted. */
export function rebuildCommand(folder: string, {source, options}: EngineManifest): string {
  const model = source.file === undefined ? 'MODEL.onnx' : shortest(join(resolve(folder), source.file));
  const flags = Object.entries(FLAGS).flatMap(([name, flag]) => (Object.hasOwn(options, name) ? flag(options[name]) : []));
  return ['npx', 'tensorrt-node', 'build', model, shortest(resolve(folder)), ...flags].map(quote).join(' ');
}

/** What it was calibrated with is not in the manifest, but how. */
function calibrationFlags(value: unknown): string[] {
  const {algorithm, batchSize, maxBatches} = (value ?? {}) as Record<string, unknown>;
  return [
    '--calibration-folder',
    'SAMPLES',
    ...(algorithm === 'entropy2' ? [] : text('--calibration-algorithm')(algorithm)),
    ...text('--calibration-batch-size')(batchSize),
    ...(maxBatches === DEFAULT_MAX_BATCHES ? [] : text('--calibration-batches')(maxBatches)),
  ];
}

/** 'x=1x3x224x224:8x3x224x224:32x3x224x224,y=…', as --profile takes it. */
function formatProfile(profile: unknown): string {
  const inputs = Object.entries((profile ?? {}) as Record<string, ({values?: unknown} & Parameters<typeof formatRange>[0]) | null>);
  return inputs.map(([name, range]) => `${name}${range?.values === true ? ':=' : '='}${formatRange(range ?? {})}`).join(',');
}

export function formatRange(range: {min?: unknown; opt?: unknown; max?: unknown}): string {
  const parts = [range.min, range.opt, range.max].map((dims) => (Array.isArray(dims) ? dims.join('x') : '?'));
  return parts.every((part) => part === parts[0]) ? parts[0]! : parts.join(':');
}

function formatLayer(layer: unknown): string {
  const {pattern, precision, outputType} = (layer ?? {}) as Record<string, unknown>;
  return `${pattern}=${precision ?? ''}${outputType === undefined ? '' : `:${outputType}`}`;
}

function shortest(path: string): string {
  const here = relative('.', path) || '.';
  return here.startsWith('..') ? path : here;
}

function quote(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
