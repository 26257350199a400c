/** What this machine has to run on, what is missing, and what to do about it. Absence is an answer here, never an error. */

import {type Cpu, cpu} from './cpu.js';
import {messageOf, TensorrtNodeError} from './errors.js';
import type {Addon} from './native/addon.js';
import {typed} from './native/errors.js';
import {addonHint, loadAddon} from './native/load.js';
import {openTensorrt} from './native/tensorrt_libraries.js';

/** Something that is not there, or does not work, and the way out where that is known. */
export interface Missing {
  reason: string;
  hint?: string;
}

export interface DriverInspection {
  /** The library that is loaded. */
  path: string;
  /** Version of the kernel module, '580.95.05', where it can be read. */
  version?: string;
  /** The newest CUDA that the driver serves: '13.0'. */
  cuda: string;
}

export interface DeviceInspection {
  /** Counts from 0, as CUDA_VISIBLE_DEVICES leaves them. */
  ordinal: number;
  name: string;
  /** '9.0' for Hopper. */
  computeCapability: string;
  multiprocessors: number;
  /** Bytes. */
  memory: number;
  pciBusId: string;
}

export interface TensorrtInspection {
  /** '10.6.0'. */
  version: string;
  /** Paths of the libraries. */
  library: string;
  /** The ONNX parser, which building engines needs and running them does not. */
  parser: string | Missing;
}

export interface BackendInspection {
  usable: boolean;
  why: string;
}

export interface Inspection {
  node: string;
  /** 'linux-x64'. */
  platform: string;
  addon: {loaded: true; path: string} | {loaded: false; path?: string; reason: string};
  driver: DriverInspection | Missing;
  devices: DeviceInspection[];
  tensorrt: TensorrtInspection | Missing;
  onnxruntime: {version: string} | Missing;
  cpu: Cpu;
  backends: {tensorrt: BackendInspection; cpu: BackendInspection};
  /** What to do, most useful first; empty when nothing is missing. */
  advice: string[];
}

export interface InspectOptions {
  /** libnvinfer.so.10, or the folder it is in. Default: TENSORRT_ROOT, the loader's path, pip's packages. */
  tensorrtPath?: string;
}

/** Looks at this machine. Never throws for what is missing. */
export async function inspect({tensorrtPath}: InspectOptions = {}): Promise<Inspection> {
  const {addon, path, reason} = loadAddon();
  const found = {
    addon: addon ? ({loaded: true, path} as const) : ({loaded: false, path, reason} as const),
    driver: addon ? inspectDriver(addon) : withoutAddon(),
    devices: [] as DeviceInspection[],
    tensorrt: addon ? inspectTensorrt(tensorrtPath) : withoutAddon(),
    onnxruntime: await inspectOnnxruntime(),
  };
  if (addon && !isMissing(found.driver)) {
    const devices = inspectDevices(addon);
    if (isMissing(devices)) found.driver = devices;
    else found.devices = devices;
  }
  return {
    node: process.versions.node,
    platform: `${process.platform}-${process.arch}`,
    ...found,
    cpu: cpu(),
    backends: {tensorrt: tensorrtBackend(found), cpu: cpuBackend(found)},
    advice: advice(found),
  };
}

export function isMissing<T extends object>(part: T | Missing): part is Missing {
  return 'reason' in part;
}

type Found = Pick<Inspection, 'addon' | 'driver' | 'devices' | 'tensorrt' | 'onnxruntime'>;

function withoutAddon(): Missing {
  return {reason: 'unknown without the native addon'};
}

function inspectDriver(addon: Addon): DriverInspection | Missing {
  try {
    const {status, path, problem, hint} = addon.loadDriver();
    if (status !== 'ready') return {reason: problem, hint: hint || undefined};
    const {api, kernel} = addon.driverVersion();
    return {path, version: kernel, cuda: `${Math.floor(api / 1000)}.${Math.floor((api % 1000) / 10)}`};
  } catch (error) {
    return missing(error);
  }
}

function inspectDevices(addon: Addon): DeviceInspection[] | Missing {
  try {
    return addon.devices().map(({ordinal, name, computeMajor, computeMinor, multiprocessors, totalBytes, pciBusId}) => ({
      ordinal,
      name,
      computeCapability: `${computeMajor}.${computeMinor}`,
      multiprocessors,
      memory: totalBytes,
      pciBusId,
    }));
  } catch (error) {
    return missing(error);
  }
}

function inspectTensorrt(path: string | undefined): TensorrtInspection | Missing {
  try {
    const {version, infer, parser, parserProblem} = openTensorrt({path});
    return {
      version,
      library: infer,
      parser: parser ?? {reason: parserProblem ?? 'not found', hint: 'install the ONNX parser of the same TensorRT to build engines'},
    };
  } catch (error) {
    return missing(error);
  }
}

/** Loads it, since the version in its package.json says nothing of whether its own library loads. */
async function inspectOnnxruntime(): Promise<{version: string} | Missing> {
  try {
    const {env} = await import('onnxruntime-node');
    return {version: env.versions.node ?? env.versions.common};
  } catch (error) {
    const [reason] = messageOf(error).split('\n', 1);
    return {reason: reason!, hint: 'npm install onnxruntime-node'};
  }
}

function missing(thrown: unknown): Missing {
  const error = typed(thrown);
  return error instanceof TensorrtNodeError ? {reason: error.problem, hint: error.hint} : {reason: messageOf(error)};
}

function tensorrtBackend({addon, driver, devices, tensorrt}: Found): BackendInspection {
  if (!addon.loaded) return {usable: false, why: 'the native addon is not loaded'};
  if (isMissing(driver)) return {usable: false, why: 'there is no working CUDA driver'};
  if (devices.length === 0) return {usable: false, why: 'the driver sees no GPU'};
  if (isMissing(tensorrt)) return {usable: false, why: 'there is no TensorRT that serves'};
  return {usable: true, why: `TensorRT ${tensorrt.version} runs engines; language models run on the CPU in this version`};
}

function cpuBackend({onnxruntime}: Found): BackendInspection {
  if (isMissing(onnxruntime)) return {usable: false, why: 'onnxruntime-node does not load'};
  return {usable: true, why: `ONNX Runtime ${onnxruntime.version}`};
}

function advice({addon, driver, devices, tensorrt, onnxruntime}: Found): string[] {
  const lines: string[] = [];
  if (!addon.loaded) lines.push(`addon: ${addonHint}`);
  if (isMissing(driver) && driver.hint) lines.push(`driver: ${driver.hint}`);
  if (!isMissing(driver) && devices.length === 0) lines.push('devices: check nvidia-smi and CUDA_VISIBLE_DEVICES');
  if (isMissing(tensorrt)) {
    if (tensorrt.hint) lines.push(`tensorrt: ${tensorrt.hint}`);
  } else if (typeof tensorrt.parser !== 'string' && tensorrt.parser.hint) {
    lines.push(`tensorrt: ${tensorrt.parser.hint}`);
  }
  if (isMissing(onnxruntime) && onnxruntime.hint) lines.push(`onnxruntime: ${onnxruntime.hint}`);
  return lines;
}
