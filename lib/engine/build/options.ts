/** Options of a build, and their checks; whatever needs the model or TensorRT to be judged is judged elsewhere. */

import {OptionError} from '../../errors.js';
import type {NativeTacticSource} from '../../native/engine_addon.js';
import {abortSignal, integer, noOthers, object, oneOf} from '../../options.js';
import type {OnProgress} from '../../progress.js';
import type {BuildLogLine} from './build_error.js';
import {type CalibrationOptions, checkCalibration} from './calibration/options.js';

export const PRECISIONS = ['fp32', 'tf32', 'fp16', 'bf16', 'int8', 'fp8'] as const;
export type Precision = (typeof PRECISIONS)[number];

export const LAYER_PRECISIONS = ['fp32', 'fp16', 'bf16', 'int8'] as const;
export type LayerPrecision = (typeof LAYER_PRECISIONS)[number];

/** Smallest, best and largest shape of an input; one list stands for all three. */
export type ProfileRange = readonly number[] | {min: readonly number[]; opt: readonly number[]; max: readonly number[]; values?: boolean};

/** A range for every input with a dynamic shape, by its name. `values`: of the content of an input that holds a shape. */
export type Profile = Readonly<Record<string, ProfileRange>>;

export interface LayerOverride {
  /** Of fnmatch(3), on layers' names, which TensorRT takes from the ONNX nodes. */
  pattern: string;
  /** What the layer computes in. */
  precision?: LayerPrecision;
  /** What its outputs are stored in. */
  outputType?: LayerPrecision;
}

export interface BuildOptions {
  /** The folder to write; an engine folder there is replaced. Default: the engine cache's own folder, which the result names. */
  output?: string;
  /** What the engine is called. Default: the file's or graph's name. */
  name?: string;
  /**
   * What the engine may compute in. Default 'fp32', exactly; or what the model's own types say. 'tf32' rounds the
   * factors of products to 10 bits; 'fp16' and 'bf16' let TensorRT take them layer by layer; 'int8' needs Q/DQ in the
   * model or `calibration`, and allows fp16 too; 'fp8' needs Q/DQ of float8.
   */
  precision?: Precision;
  /**
   * 'strong': every tensor has the type the model gives it. 'weak': TensorRT chooses among those `precision` allows.
   * Default 'auto': strong where the model has Q/DQ or is in fp16 or bf16, else weak.
   */
  typing?: 'auto' | 'strong' | 'weak';
  /** Optimization profiles. Default: one, derived from the inputs' shapes and told by the result. */
  profiles?: readonly Profile[];
  /** Exceptions by layer, for weakly typed builds; of several that match, the last counts. */
  layers?: readonly LayerOverride[];
  /** 'obey', the default: the build fails if a layer cannot have what `layers` says. 'prefer': it warns. */
  layerConstraints?: 'obey' | 'prefer';
  /** Representative inputs for int8 without Q/DQ. */
  calibration?: CalibrationOptions;
  /** Use kernels for 2:4 sparse weights where weights are. Default false. */
  sparsity?: boolean;
  /** 0 to 5; higher builds longer for a faster engine. Default: TensorRT's, 3. */
  optimizationLevel?: number;
  /** Device memory a layer's kernel may use beside its inputs and outputs, in bytes. Default: the device's memory. */
  workspace?: number;
  /** Libraries that kernels may come from, these alone. Default: TensorRT's. */
  tacticSources?: readonly NativeTacticSource[];
  /** GPUs that the plan runs on beside this kind; costs speed. Default 'none'. */
  hardwareCompatibility?: 'none' | 'ampere-plus' | 'same-compute-capability';
  /** The plan runs on later versions of the same major TensorRT; costs speed. Default false. */
  versionCompatible?: boolean;
  /** With `versionCompatible`: the plan does not carry the lean runtime. Default false. */
  excludeLeanRuntime?: boolean;
  /** Weights can be changed after the build. Default false. */
  refit?: boolean;
  /** The plan has no weights: they are taken from the ONNX model at load. Default false. */
  strip?: boolean;
  /** Weights may stay in host memory; strongly typed builds only. Default false. */
  weightStreaming?: boolean;
  /** What can be told of the engine's layers. Default 'detailed', which costs nothing at run time. */
  profilingVerbosity?: 'none' | 'layer-names-only' | 'detailed';
  /** Streams beside the main one on which layers may run. Default: TensorRT's choice. */
  maxAuxStreams?: number;
  /** Timings a kernel's time is averaged over. Default: TensorRT's, 1. */
  averageTimingIterations?: number;
  /** Search for tilings that keep data on the chip; TensorRT 10.8 and later. Default 'none'. */
  tiling?: 'none' | 'fast' | 'moderate' | 'full';
  /** The file of timings to start from and add to. Default: in the cache folder, by TensorRT and GPU. false: none. */
  timingCache?: string | false;
  /** The folder of finished engines and timings. Default: TENSORRT_NODE_CACHE, else tensorrt-node in the XDG cache folder. false: none. */
  cache?: string | false;
  /** GPU, as CUDA numbers them. Default 0. */
  device?: number;
  /** libnvinfer.so.10, or the folder it is in. Default: TENSORRT_ROOT, the loader's path, pip's packages. */
  tensorrtPath?: string;
  signal?: AbortSignal;
  /** Phases 'hash' (bytes), 'wait', 'calibrate' (batches) and 'build' (steps; `detail` names what TensorRT is at). */
  onProgress?: OnProgress;
  onLog?: (line: BuildLogLine) => void;
  /** The least that TensorRT logs, for `onLog` and errors. 'verbose' is tens of thousands of lines. Default 'info'. */
  logLevel?: 'error' | 'warning' | 'info' | 'verbose';
}

const TACTIC_SOURCES: readonly NativeTacticSource[] = ['cublas', 'cublas-lt', 'cudnn', 'edge-mask-convolutions', 'jit-convolutions'];

/** Throws OptionError for whatever can be told to be wrong without the model and TensorRT. */
export function checkOptions(options: BuildOptions): void {
  object('options', options);
  noOthers('options', options, [...CHECKS.keys()]);
  for (const [name, check] of CHECKS) {
    const value: unknown = options[name as keyof BuildOptions];
    if (value !== undefined) check(name, value);
  }
  if (options.excludeLeanRuntime && !options.versionCompatible) {
    throw new OptionError('excludeLeanRuntime', 'false without versionCompatible', options.excludeLeanRuntime);
  }
  if (options.cache === false && options.output === undefined) {
    throw new OptionError('output', 'a folder where cache is false', options.output);
  }
}

type Check = (name: string, value: unknown) => void;

const words =
  (...allowed: string[]): Check =>
  (name, value) =>
    void oneOf(name, value, allowed);
const count =
  (min: number, max: number): Check =>
  (name, value) =>
    void integer(name, value, {min, max});
const flag: Check = (name, value) => {
  if (typeof value !== 'boolean') throw new OptionError(name, 'true or false', value);
};
const callback: Check = (name, value) => {
  if (typeof value !== 'function') throw new OptionError(name, 'a function', value);
};
const path: Check = (name, value) => {
  if (typeof value !== 'string' || value === '' || value.includes('\0')) throw new OptionError(name, 'a path', value);
};
const pathOrFalse: Check = (name, value) => {
  if (value === false) return;
  if (typeof value !== 'string' || value === '' || value.includes('\0')) throw new OptionError(name, 'a path or false', value);
};

const CHECKS: ReadonlyMap<string, Check> = new Map<keyof BuildOptions, Check>([
  ['output', path],
  [
    'name',
    (name, value) => {
      if (typeof value !== 'string' || value === '') throw new OptionError(name, 'a name', value);
    },
  ],
  ['precision', words(...PRECISIONS)],
  ['typing', words('auto', 'strong', 'weak')],
  ['profiles', checkProfiles],
  ['layers', checkLayers],
  ['layerConstraints', words('obey', 'prefer')],
  ['calibration', (_name, value) => checkCalibration(value as CalibrationOptions)],
  ['sparsity', flag],
  ['optimizationLevel', count(0, 5)],
  ['workspace', count(0, Number.MAX_SAFE_INTEGER)],
  ['tacticSources', checkTacticSources],
  ['hardwareCompatibility', words('none', 'ampere-plus', 'same-compute-capability')],
  ['versionCompatible', flag],
  ['excludeLeanRuntime', flag],
  ['refit', flag],
  ['strip', flag],
  ['weightStreaming', flag],
  ['profilingVerbosity', words('none', 'layer-names-only', 'detailed')],
  ['maxAuxStreams', count(0, 1024)],
  ['averageTimingIterations', count(1, 1000)],
  ['tiling', words('none', 'fast', 'moderate', 'full')],
  ['timingCache', pathOrFalse],
  ['cache', pathOrFalse],
  ['device', count(0, 1023)],
  ['tensorrtPath', path],
  ['signal', (_name, value) => void abortSignal(value as AbortSignal)],
  ['onProgress', callback],
  ['onLog', callback],
  ['logLevel', words('error', 'warning', 'info', 'verbose')],
]);

function checkProfiles(name: string, value: unknown): void {
  if (!Array.isArray(value) || value.length === 0) throw new OptionError(name, 'a list of at least one profile', value);
  for (const [index, profile] of value.entries()) {
    object(`${name}[${index}]`, profile as object);
    for (const [input, range] of Object.entries(profile as Profile)) checkRange(`${name}[${index}].${input}`, range);
  }
}

function checkRange(name: string, range: ProfileRange): void {
  if (isShape(range)) {
    checkNumbers(name, range, 0);
    return;
  }
  const {min, opt, max, values} = object(name, range);
  noOthers(name, range, ['min', 'opt', 'max', 'values']);
  if (values !== undefined) flag(`${name}.values`, values);
  const least = values ? Number.MIN_SAFE_INTEGER : 0;
  checkNumbers(`${name}.min`, min, least);
  checkNumbers(`${name}.opt`, opt, least);
  checkNumbers(`${name}.max`, max, least);
  if (opt.length !== min.length) throw new OptionError(`${name}.opt`, `as long as min, ${min.length}`, opt);
  if (max.length !== min.length) throw new OptionError(`${name}.max`, `as long as min, ${min.length}`, max);
  for (const [index, low] of min.entries()) {
    if (low > opt[index]! || opt[index]! > max[index]!) {
      throw new OptionError(name, `min <= opt <= max in every place, and place ${index} has ${low}, ${opt[index]}, ${max[index]}`, range);
    }
  }
}

export function isShape(range: ProfileRange): range is readonly number[] {
  return Array.isArray(range);
}

function checkNumbers(name: string, value: unknown, min: number): void {
  if (!Array.isArray(value)) throw new OptionError(name, 'a list of integers', value);
  for (const [index, each] of value.entries()) integer(`${name}[${index}]`, each, {min, max: 2 ** 31 - 1});
}

function checkLayers(name: string, value: unknown): void {
  if (!Array.isArray(value)) throw new OptionError(name, 'a list', value);
  for (const [index, layer] of value.entries()) {
    const at = `${name}[${index}]`;
    const {pattern, precision, outputType} = object(at, layer as LayerOverride);
    noOthers(at, layer, ['pattern', 'precision', 'outputType']);
    if (typeof pattern !== 'string' || pattern === '') throw new OptionError(`${at}.pattern`, "a pattern such as '/encoder/*'", pattern);
    if (precision !== undefined) oneOf(`${at}.precision`, precision, LAYER_PRECISIONS);
    if (outputType !== undefined) oneOf(`${at}.outputType`, outputType, LAYER_PRECISIONS);
    if (precision === undefined && outputType === undefined)
      throw new OptionError(at, 'a pattern with precision, outputType or both', layer);
  }
}

function checkTacticSources(name: string, value: unknown): void {
  if (!Array.isArray(value)) throw new OptionError(name, 'a list', value);
  for (const [index, each] of value.entries()) oneOf(`${name}[${index}]`, each, TACTIC_SOURCES);
}
