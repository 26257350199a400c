/** Tensors as engines take and give them. */

import type {NativeTensorType} from '../native/engine_addon.js';

/** Element types of engines, by ONNX's names. */
export type TensorType = NativeTensorType;

/**
 * The array that holds a tensor of each type. float16 is a Float16Array where Node has it (24), else a Uint16Array of
 * the same bits; bfloat16 and float8 are their bytes' integers; bool is 0 or 1; int4 is two elements a byte, low nibble first.
 */
export type TensorData = Float32Array | Uint16Array | Uint8Array | Int8Array | Int32Array | BigInt64Array;

/** Dense and row-major. onnxruntime's Tensor has the same fields and is taken as it is. */
export interface Tensor {
  readonly type: TensorType;
  readonly dims: readonly number[];
  readonly data: TensorData;
}
