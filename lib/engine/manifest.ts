/** `manifest.json` of an engine folder: what the plan beside it is, and what it runs on. */

import {join, resolve} from 'node:path';

import {FormatError, OptionError} from '../errors.js';
import {checkedJson, type JsonField, JsonProblem, pathField, sha256Field} from './json_check.js';
import {TENSOR_TYPES, type TensorType} from './tensor.js';
import {openToRead, readWhole} from './whole_file.js';

export interface ManifestTensor {
  name: string;
  type: TensorType;
  /** -1 where dynamic. */
  dims: number[];
  /** Inputs alone: one for each optimization profile. `values`: the range of a shape tensor's content. */
  profiles?: ManifestRange[];
}

export interface ManifestRange {
  min: number[];
  opt: number[];
  max: number[];
  values?: {min: number[]; opt: number[]; max: number[]};
}

export interface EngineManifest {
  /** Of this file. */
  formatVersion: 1;
  name: string;
  plan: {file: 'model.plan'; bytes: number; sha256: string};
  inputs: ManifestTensor[];
  outputs: ManifestTensor[];
  precision: string;
  stronglyTyped: boolean;
  /** The options of the build, with defaults applied, as they went into the key. */
  options: Record<string, unknown>;
  /** The ONNX model: its path from this folder, where there is one, and the hash of the file with its external data. */
  source: {file?: string; sha256: string};
  /** Hash of model, weights, options, TensorRT and GPU: what the engine cache knows this engine by. */
  key: string;
  tensorrt: {version: string; versionCompatible: boolean};
  gpu: {name: string; computeCapability: string; hardwareCompatibility: 'none' | 'ampere-plus' | 'same-compute-capability'};
  package: string;
  layers: number;
  /** Activation memory of one execution context in bytes, the largest of all profiles. */
  deviceMemoryBytes: number;
  refittable: boolean;
  /** Holds no weights: they come from the ONNX model at load. */
  stripped: boolean;
  weightStreaming: boolean;
  /** Seconds. */
  buildSeconds: number;
  /** ISO 8601. */
  builtAt: string;
}

export const MANIFEST_FILE = 'manifest.json';
export const PLAN_FILE = 'model.plan';

/** Far above any real one, far below what would hurt to parse. */
const MAX_MANIFEST_BYTES = 16 * 1024 * 1024;

/**
 * Reads and checks the manifest of an engine folder. Throws OptionError; FormatError: ERR_NOT_FOUND where there is none,
 * ERR_MANIFEST where a field is not what it must be; the message names the field.
 */
export async function readManifest(folder: string): Promise<EngineManifest> {
  if (typeof folder !== 'string' || folder === '') throw new OptionError('folder', 'the path of an engine folder', folder);
  const file = join(resolve(folder), MANIFEST_FILE);
  return checkedJson(file, await readText(file), 'build the engine again: `tensorrt-node build`', checkManifest);
}

export function serializeManifest(manifest: EngineManifest): string {
  return `${JSON.stringify(manifest, null, 2)}\n`;
}

async function readText(file: string): Promise<string> {
  try {
    await using handle = await openToRead(file);
    const found = await handle.stat();
    if (!found.isFile()) throw new FormatError('ERR_MANIFEST', file, 'is not a file');
    if (found.size > MAX_MANIFEST_BYTES) {
      throw new FormatError('ERR_MANIFEST', file, `has ${found.size} bytes, and a manifest at most ${MAX_MANIFEST_BYTES}`);
    }
    return Buffer.from(await readWhole(handle, found.size)).toString('utf8');
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    if (code !== 'ENOENT' && code !== 'ENOTDIR') throw cause;
    throw new FormatError('ERR_NOT_FOUND', file, 'no such file', 'an engine folder is made by `tensorrt-node build`', {cause});
  }
}

/** Throws JsonProblem. What it does not know it leaves out. */
function checkManifest(root: JsonField): EngineManifest {
  const json = root.value;
  if (typeof json !== 'object' || json === null || Array.isArray(json)) throw new JsonProblem('is not an object');
  if (root.get('formatVersion').value !== 1) throw root.get('formatVersion').problem('1, the format this version reads,');
  const plan = root.get('plan');
  const source = root.get('source');
  const tensorrt = root.get('tensorrt');
  const gpu = root.get('gpu');
  const inputs = root.get('inputs').array().map(checkInput);
  // One without dynamic dimensions may be in none.
  if (new Set(inputs.map(({profiles}) => profiles.length).filter((count) => count > 0)).size > 1) {
    throw new JsonProblem("'inputs' must all have as many profiles");
  }
  const outputs = root.get('outputs').array().map(checkTensor);
  const names = new Set<string>();
  for (const {name} of [...inputs, ...outputs]) {
    if (names.has(name)) throw new JsonProblem(`'${name}' is the name of two tensors`);
    names.add(name);
  }
  return {
    formatVersion: 1,
    name: root.get('name').string(),
    // A name, never a path: nothing but the file beside the manifest is ever read.
    plan: {file: plan.get('file').oneOf([PLAN_FILE]), bytes: plan.get('bytes').integer(1), sha256: sha256Field(plan.get('sha256'))},
    inputs,
    outputs,
    precision: root.get('precision').string(),
    stronglyTyped: root.get('stronglyTyped').boolean(),
    options: root.get('options').object(),
    source: {
      ...(source.get('file').missing ? {} : {file: pathField(source.get('file'))}),
      sha256: sha256Field(source.get('sha256')),
    },
    key: sha256Field(root.get('key')),
    tensorrt: {
      version: tensorrt.get('version').string("a version like '10.6.0'", (version) => /^\d+(\.\d+){1,3}$/.test(version)),
      versionCompatible: tensorrt.get('versionCompatible').boolean(),
    },
    gpu: {
      name: gpu.get('name').string(),
      computeCapability: gpu.get('computeCapability').string("a compute capability like '9.0'", (text) => /^\d+\.\d+$/.test(text)),
      hardwareCompatibility: gpu.get('hardwareCompatibility').oneOf(['none', 'ampere-plus', 'same-compute-capability']),
    },
    package: root.get('package').string(),
    layers: root.get('layers').integer(0),
    deviceMemoryBytes: root.get('deviceMemoryBytes').integer(0),
    refittable: root.get('refittable').boolean(),
    stripped: root.get('stripped').boolean(),
    weightStreaming: root.get('weightStreaming').boolean(),
    buildSeconds: root.get('buildSeconds').amount(),
    builtAt: root.get('builtAt').string('a date in ISO 8601', (text) => !Number.isNaN(Date.parse(text))),
  };
}

function checkTensor(field: JsonField): ManifestTensor {
  return {
    name: field.get('name').string('a name', (name) => name !== ''),
    type: field.get('type').oneOf(TENSOR_TYPES),
    dims: field.get('dims').integers(-1),
  };
}

function checkInput(field: JsonField): ManifestTensor & {profiles: ManifestRange[]} {
  const tensor = checkTensor(field);
  const profiles = field
    .get('profiles')
    .array()
    .map((each) => {
      const range = checkRange(each, 0, tensor.dims.length);
      const values = each.get('values');
      return values.missing ? range : {...range, values: checkRange(values, Number.MIN_SAFE_INTEGER)};
    });
  return {...tensor, profiles};
}

function checkRange(field: JsonField, least: number, rank?: number): {min: number[]; opt: number[]; max: number[]} {
  const [min, opt, max] = ['min', 'opt', 'max'].map((name) => field.get(name).integers(least)) as [number[], number[], number[]];
  const length = rank ?? min.length;
  if ([min, opt, max].some((each) => each.length !== length)) throw field.problem(`three lists of ${length} numbers`);
  if (min.some((low, index) => low > opt[index]! || opt[index]! > max[index]!)) throw field.problem('ranges with min <= opt <= max');
  return {min, opt, max};
}
