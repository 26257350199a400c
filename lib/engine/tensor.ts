/** Tensors as engines take and give them. */

import type {NativeTensorType} from '../native/engine_addon.js';

/** Element types of engines, by ONNX's names. */
export type TensorType = NativeTensorType;

/** Float16Array, where the program's TypeScript library knows it. */
type HalfArray = typeof globalThis extends {Float16Array: {prototype: infer T}} ? T : never;

/**
 * The array that holds a tensor of each type. float16 is a Float16Array where Node has it (24), else a Uint16Array of
 * the same bits; bfloat16 and float8 are their bytes' integers; bool is 0 or 1; int4 is two elements a byte, low nibble first.
 */
export interface TensorArrays {
  float32: Float32Array;
  float16: Uint16Array | HalfArray;
  bfloat16: Uint16Array;
  float8e4m3fn: Uint8Array;
  int8: Int8Array;
  uint8: Uint8Array;
  int32: Int32Array;
  int64: BigInt64Array;
  bool: Uint8Array;
  int4: Uint8Array;
}

export type TensorData<T extends TensorType = TensorType> = TensorArrays[T];

/** Dense and row-major. onnxruntime's Tensor has the same fields and is taken as it is. */
export interface Tensor<T extends TensorType = TensorType> {
  readonly type: T;
  readonly dims: readonly number[];
  readonly data: TensorData<T>;
}

/** What a program knows of an engine's inputs or outputs: the type of each by its name. */
export type TensorTypes = Readonly<Record<string, TensorType>>;

type ArrayName =
  | 'Float32Array'
  | 'Float16Array'
  | 'Uint16Array'
  | 'Uint8Array'
  | 'Uint8ClampedArray'
  | 'Int8Array'
  | 'Int32Array'
  | 'BigInt64Array';

interface Layout {
  bits: number;
  /** Arrays that may hold such elements, by the name that each realm gives its own; the first is what results come in. */
  arrays: readonly ArrayName[];
}

const LAYOUTS: Readonly<Record<TensorType, Layout>> = {
  float32: {bits: 32, arrays: ['Float32Array']},
  float16: {bits: 16, arrays: 'Float16Array' in globalThis ? ['Float16Array', 'Uint16Array'] : ['Uint16Array']},
  bfloat16: {bits: 16, arrays: ['Uint16Array']},
  float8e4m3fn: {bits: 8, arrays: ['Uint8Array']},
  int8: {bits: 8, arrays: ['Int8Array']},
  // The clamped one is what pictures come in.
  uint8: {bits: 8, arrays: ['Uint8Array', 'Uint8ClampedArray']},
  int32: {bits: 32, arrays: ['Int32Array']},
  int64: {bits: 64, arrays: ['BigInt64Array']},
  bool: {bits: 8, arrays: ['Uint8Array']},
  int4: {bits: 4, arrays: ['Uint8Array']},
};

export const TENSOR_TYPES = Object.keys(LAYOUTS) as TensorType[];

type ArrayConstructor = new (buffer: ArrayBufferLike, byteOffset: number, length: number) => TensorData;

const CONSTRUCTORS = new Map(
  TENSOR_TYPES.map((type) => [type, (globalThis as unknown as Record<string, ArrayConstructor>)[LAYOUTS[type].arrays[0]!]!]),
);

/** Names of the arrays that a tensor of `type` may be in. */
export function arrayNames(type: TensorType): readonly string[] {
  return LAYOUTS[type].arrays;
}

/** Product of the dimensions; 1 for a scalar. */
export function elementCount(dims: readonly number[]): number {
  let count = 1;
  for (let i = 0; i < dims.length; i++) count *= dims[i]!;
  return count;
}

/** Bytes of a dense tensor; of 4-bit elements the last byte may be half used. */
export function tensorBytes(type: TensorType, dims: readonly number[]): number {
  return Math.ceil((elementCount(dims) * LAYOUTS[type].bits) / 8);
}

/** The array of a tensor of `type` over memory that holds it. */
export function tensorArray<T extends TensorType>(type: T, dims: readonly number[], buffer: ArrayBuffer, byteOffset = 0): TensorData<T> {
  const ArrayOf = CONSTRUCTORS.get(type)!;
  const bytes = tensorBytes(type, dims);
  // bits of 8 and less are held in bytes.
  return new ArrayOf(buffer, byteOffset, LAYOUTS[type].bits > 8 ? bytes / (LAYOUTS[type].bits / 8) : bytes) as TensorData<T>;
}

/** 'float32 [1, 3, 48, 320]'; a dimension of -1 is a question mark. */
export function describeTensor(type: string, dims: readonly number[]): string {
  return `${type} [${dims.map((dim) => (dim < 0 ? '?' : dim)).join(', ')}]`;
}
