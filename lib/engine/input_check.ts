/** Checks what users pass for an engine's inputs, and puts it in the engine's order. */

import {isArrayBuffer} from 'node:util/types';

import {OptionError} from '../errors.js';
import type {NativeTensorData, NativeTensorInfo} from '../native/engine_addon.js';
import {arrayNames, type Tensor, type TensorData, type TensorType, tensorBytes} from './tensor.js';

/** A Tensor of onnxruntime, as TypeScript has to know it: by its type alone it could hold strings. */
export interface OnnxRuntimeTensor {
  readonly type: string;
  readonly dims: readonly number[];
  readonly data: unknown;
  readonly location: string;
}

/** What a run takes for an input: a tensor, or its elements alone where the shape has no dynamic dimension. */
export type InputValue<T extends TensorType = TensorType> =
  | Tensor<T>
  | OnnxRuntimeTensor
  | TensorData<T>
  | (T extends 'uint8' ? Uint8ClampedArray : never);

type Profile = NativeTensorInfo['profiles'][number];

/** Checks of one engine. Errors name the input as `inputs.NAME`. */
export class InputCheck {
  readonly #inputs: readonly NativeTensorInfo[];
  readonly #names: ReadonlySet<string>;
  readonly #profileCount: number;

  constructor(tensors: readonly NativeTensorInfo[]) {
    this.#inputs = tensors.filter(({mode}) => mode === 'input');
    this.#names = new Set(this.#inputs.map(({name}) => name));
    this.#profileCount = Math.max(0, ...this.#inputs.map(({profiles}) => profiles.length));
  }

  /** Throws OptionError for anything but the engine's inputs, each of the right type, in shapes that one profile allows. */
  tensors(given: Readonly<Record<string, InputValue>>): NativeTensorData[] {
    this.#checkNames(given, 'a tensor');
    const inputs = this.#inputs;
    const found = new Array<NativeTensorData>(inputs.length);
    for (let i = 0; i < inputs.length; i++) {
      const info = inputs[i]!;
      const value = given[info.name];
      if (value === undefined) throw new OptionError(optionOf(info), `a tensor, ${expected(info)}`, value);
      found[i] = tensorData(info, value);
    }
    this.#checkProfiles(found);
    return found;
  }

  /** Shapes for every input; those without dynamic dimensions may be left out. Throws OptionError. */
  shapes(given: Readonly<Record<string, readonly number[]>>): (readonly number[])[] {
    this.#checkNames(given, 'dims');
    const found = this.#inputs.map((info) => {
      const dims = given[info.name] ?? (info.dims.every((dim) => dim >= 0) ? info.dims : undefined);
      return checkDims(info, dims);
    });
    this.#checkProfiles(found.map((dims) => ({dims})));
    return found;
  }

  /** Dims for a tensor of one input, each allowed by some profile. Throws OptionError. */
  shape(name: string, dims: readonly number[] | undefined): {info: NativeTensorInfo; dims: readonly number[]} {
    const info = this.#inputs.find((each) => each.name === name);
    if (info === undefined) throw new OptionError('name', this.#inputs.map((each) => `'${each.name}'`).join(' or '), name);
    return {info, dims: checkDims(info, dims ?? (info.dims.every((dim) => dim >= 0) ? info.dims : undefined))};
  }

  #checkNames(given: object, what: string): void {
    if (typeof given !== 'object' || given === null)
      throw new OptionError('inputs', `an object with ${what} by the name of each input`, given);
    for (const name in given) {
      if (this.#names.has(name)) continue;
      const allowed = [...this.#names].map((each) => `'${each}'`).join(', ');
      throw new OptionError(`inputs.${name}`, `left out: the engine's inputs are ${allowed}`, (given as Record<string, unknown>)[name]);
    }
  }

  /** Each alone is in some profile by now, unless a shape tensor's values are not; together they must be in one. */
  #checkProfiles(found: readonly {dims: readonly number[]; buffer?: ArrayBuffer; byteOffset?: number; byteLength?: number}[]): void {
    const count = this.#profileCount;
    if (count === 0) return;
    let farthest = 0;
    for (let profile = 0; profile < count; profile++) {
      let input = 0;
      while (input < found.length && fits(this.#inputs[input]!, profile, found[input]!)) input++;
      if (input === found.length) return;
      farthest = Math.max(farthest, input);
    }
    const info = this.#inputs[farthest]!;
    const value = shapeValues(info, found[farthest]!);
    const others = this.#inputs.slice(0, farthest).map((each) => `inputs.${each.name}`);
    if (value !== undefined && !info.profiles.some(({values}) => within(value, values))) {
      const ranges = info.profiles.flatMap(({values}) => (values === undefined ? [] : [describeRange(values)]));
      throw new OptionError(optionOf(info), `a shape with values ${ranges.join(' or ')}`, value);
    }
    const ranges = info.profiles.map((profile, index) => `${describeRange(profile)} in profile ${index}`).join(' or ');
    const problem = others.length > 0 ? `${ranges}; no profile allows it together with ${others.join(', ')}` : ranges;
    throw new OptionError(optionOf(info), `of shape ${problem}`, found[farthest]!.dims);
  }
}

function optionOf({name}: NativeTensorInfo): string {
  return `inputs.${name}`;
}

function tensorData(info: NativeTensorInfo, value: InputValue): NativeTensorData {
  let data: unknown;
  let dims: readonly number[];
  if (ArrayBuffer.isView(value)) {
    if (info.dims.some((dim) => dim < 0)) {
      throw new OptionError(optionOf(info), `a tensor {type, dims, data}, as its shape is dynamic: ${expected(info)}`, value);
    }
    data = value;
    dims = info.dims;
  } else {
    if (typeof value !== 'object' || value === null) throw new OptionError(optionOf(info), `a tensor, ${expected(info)}`, value);
    if (value.type !== info.type) throw new OptionError(`inputs.${info.name}.type`, `'${info.type}'`, value.type);
    dims = checkDims(info, value.dims);
    data = value.data;
  }
  // By name, as arrays may be of another realm, such as a vm's context.
  if (!isOneOf(arrayNames(info.type), data)) {
    throw new OptionError(`inputs.${info.name}.data`, arrayNames(info.type).join(' or '), data);
  }
  const {buffer, byteOffset, byteLength} = data;
  if (!isArrayBuffer(buffer)) throw new OptionError(`inputs.${info.name}.data`, 'over an ArrayBuffer that no other thread shares', data);
  const bytes = tensorBytes(info.type, dims);
  if (byteLength !== bytes) {
    const detached = byteLength === 0 && buffer.byteLength === 0 ? '; an array is empty once its buffer was transferred' : '';
    const elements = bytes / data.BYTES_PER_ELEMENT;
    throw new OptionError(`inputs.${info.name}.data`, `${elements} elements for dims [${dims.join(', ')}]${detached}`, data.length);
  }
  return {buffer, byteOffset, byteLength, dims};
}

function isOneOf(names: readonly string[], data: unknown): data is TensorData {
  return ArrayBuffer.isView(data) && names.includes((data as {[Symbol.toStringTag]?: string})[Symbol.toStringTag]!);
}

/** Rank, and each dimension against the engine's own and those of its profiles. */
function checkDims(info: NativeTensorInfo, dims: readonly number[] | undefined): readonly number[] {
  if (!Array.isArray(dims)) throw new OptionError(optionOf(info), `of shape ${describeShape(info)}`, dims);
  if (dims.length !== info.dims.length) {
    throw new OptionError(optionOf(info), `of shape ${describeShape(info)}, ${info.dims.length} dimensions`, dims);
  }
  for (let index = 0; index < dims.length; index++) {
    const dim: unknown = dims[index];
    if (typeof dim === 'number' && Number.isInteger(dim) && dim >= 0 && allowed(info, index, dim)) continue;
    const range = describeDimension(info, index);
    throw new OptionError(optionOf(info), `of shape ${describeShape(info)}, with dims[${index}] ${range} and not ${String(dim)}`, dims);
  }
  return dims;
}

function allowed(info: NativeTensorInfo, index: number, dim: number): boolean {
  const fixed = info.dims[index]!;
  if (fixed >= 0) return dim === fixed;
  const {profiles} = info;
  if (profiles.length === 0) return true;
  for (let i = 0; i < profiles.length; i++) {
    const {min, max} = profiles[i]!;
    if (dim >= min[index]! && dim <= max[index]!) return true;
  }
  return false;
}

type Found = {dims: readonly number[]; buffer?: ArrayBuffer; byteOffset?: number; byteLength?: number};

function fits(info: NativeTensorInfo, index: number, found: Found): boolean {
  const profile = info.profiles[index];
  // An input without dynamic dimensions is in no profile.
  if (profile === undefined) return true;
  if (!within(found.dims, profile)) return false;
  if (profile.values === undefined) return true;
  const values = shapeValues(info, found);
  return values === undefined || within(values, profile.values);
}

/** The content of a shape tensor, where there is any yet. */
function shapeValues(info: NativeTensorInfo, {buffer, byteOffset = 0, byteLength = 0}: Found): number[] | undefined {
  if (!info.isShapeTensor || buffer === undefined) return undefined;
  // In pieces of its own, as the bytes may stand at any offset.
  const bytes = buffer.slice(byteOffset, byteOffset + byteLength);
  return info.type === 'int64'
    ? Array.from(new BigInt64Array(bytes), Number)
    : info.type === 'int32'
      ? [...new Int32Array(bytes)]
      : undefined;
}

function within(values: readonly number[], range: Pick<Profile, 'min' | 'max'> | undefined): boolean {
  if (range === undefined) return true;
  for (let i = 0; i < values.length; i++) if (values[i]! < range.min[i]! || values[i]! > range.max[i]!) return false;
  return true;
}

function expected(info: NativeTensorInfo): string {
  return `${info.type} ${describeShape(info)}`;
}

/** '[1 to 8, 3, 48, 32 to 640]'; of several profiles, what any of them allows. */
function describeShape(info: NativeTensorInfo): string {
  return `[${info.dims.map((_, index) => describeDimension(info, index)).join(', ')}]`;
}

function describeDimension({dims, profiles}: NativeTensorInfo, index: number): string {
  if (dims[index]! >= 0) return String(dims[index]);
  const ranges = new Set(profiles.map(({min, max}) => describe(min[index]!, max[index]!)));
  return ranges.size === 0 ? 'any' : [...ranges].join(' or ');
}

function describeRange({min, max}: Pick<Profile, 'min' | 'max'>): string {
  return `[${min.map((low, index) => describe(low, max[index]!)).join(', ')}]`;
}

function describe(min: number, max: number): string {
  return min === max ? String(min) : `${min} to ${max}`;
}
