/** The number crunching of quantisation, in the addon: typed arrays in, typed arrays filled, on threads of its own. */

import {FormatError, UnsupportedError} from '../errors.js';
import {typed} from '../native/errors.js';
import {addonTooOld, requireAddon} from '../native/load.js';

export type NativeFloats = 'float32' | 'float16' | 'bfloat16';

/** What a quantised matrix looks like in a file. */
export interface Format {
  /**
   * 'symmetric': MatMulNBits' (code - 2^(bits-1)) * scale. 'zeroPoints': (code - zeroPoint) * scale. 'int8Rows' and
   * 'float8Rows': DequantizeLinear's code * scale, with a scale a row.
   */
  kind: 'symmetric' | 'zeroPoints' | 'int8Rows' | 'float8Rows';
  bits: 4 | 8;
  /** Elements of a row that share a scale; counts nothing where rows have one. */
  block: number;
  /** Of the scales. */
  scales: 'float32' | 'float16';
  /** Take of a grid of scales the one with the least squared error. */
  search: boolean;
}

/** Room for codes, scales and zero points of rows; as many bytes as `rowBytes` says. */
export interface QuantizedRows {
  codes: Uint8Array;
  scales: Uint8Array;
  zeroPoints: Uint8Array;
}

/** A matrix of floats, [outer, inner] or the other way round; inner is what a product sums over. */
export interface DenseRows {
  data: Uint8Array;
  type: NativeFloats;
  outer: number;
  inner: number;
  transposed: boolean;
}

/** A matrix as MatMulNBits takes it. */
export interface BlockRows {
  codes: Uint8Array;
  scales: Uint8Array;
  scaleType: NativeFloats;
  zeroPointType: 'none' | 'codes' | NativeFloats;
  zeroPoints: Uint8Array;
  outer: number;
  inner: number;
  bits: number;
  block: number;
}

/** How a call is run. */
export interface Running {
  threads: number;
  /** Its first element is set to 1, by Atomics, to end calls under way. */
  stop: Int32Array;
}

/** A Hessian [size, size]. */
export interface HessianCall {
  hessian: Float32Array;
  size: number;
}

export interface QuantizeAddon {
  /** An older addon has it not. Throws where the GPU has no kernels, or for a size that they do not serve. */
  GpuHessian?: new (
    device: number,
    size: number,
  ) => NativeGpuHessian;
  quantizeRows(call: Running & DenseRows & QuantizedRows & {format: Format; importance: Float32Array | undefined}): Promise<void>;
  readDenseRows(call: Running & DenseRows & {values: Float32Array}): Promise<void>;
  readBlockRows(call: Running & BlockRows & {values: Float32Array}): Promise<void>;
  /** What rows of any format stand for. */
  readQuantizedRows(call: Running & QuantizedRows & {format: Format; outer: number; inner: number; values: Float32Array}): Promise<void>;
  /** hessian += rows^T * rows; its upper triangle counts. */
  addGram(call: Running & HessianCall & {rows: Float32Array}): Promise<void>;
  /** Makes the lower triangle equal to the upper one. */
  mirror(call: HessianCall): Promise<void>;
  /** The Hessian becomes the factor V of it with `damping` on its diagonal (native/quantize/hessian.h). */
  factorize(call: Running & HessianCall & {damping: number}): Promise<void>;
  /** `values` become those that the codes stand for. `order`: columns in the order in which they are rounded. */
  gptq(
    call: Running &
      QuantizedRows & {
        values: Float32Array;
        outer: number;
        inner: number;
        factor: Float32Array;
        order: Int32Array | undefined;
        format: Format;
      },
  ): Promise<void>;
  /** values[outer, inner] *= factors[inner]. */
  scaleColumns(call: Running & {values: Float32Array; factors: Float32Array}): Promise<void>;
  /** `error[0]` becomes the squared error of the layer's output with columns scaled, over every `stride`-th row. */
  scaledError(
    call: Running & {
      values: Float32Array;
      hessian: Float32Array;
      factors: Float32Array;
      stride: number;
      format: Format;
      error: Float64Array;
    },
  ): Promise<void>;
}

/** A Hessian on a GPU; calls one after another. */
export interface NativeGpuHessian {
  add(call: {rows: Float32Array}): Promise<void>;
  read(call: {hessian: Float32Array}): Promise<void>;
  factorize(call: {damping: number; order: Int32Array | undefined}): Promise<void>;
  readFactor(call: {factor: Float32Array}): Promise<void>;
  /** As the host's, of a factor in no order of its own. */
  gptq(call: Running & QuantizedRows & {values: Float32Array; outer: number; inner: number; format: Format}): Promise<void>;
  dispose(): void;
}

/** Bytes of a row of each part. */
export function rowBytes(format: Format, inner: number): {codes: number; scales: number; zeroPoints: number} {
  const wholeRows = format.kind === 'int8Rows' || format.kind === 'float8Rows';
  const blocks = wholeRows ? 1 : Math.ceil(inner / format.block);
  return {
    codes: wholeRows ? inner : (blocks * format.block * format.bits) / 8,
    scales: blocks * (format.scales === 'float16' ? 2 : 4),
    zeroPoints: format.kind === 'zeroPoints' ? Math.ceil((blocks * format.bits) / 8) : 0,
  };
}

export function roomFor(format: Format, outer: number, inner: number): QuantizedRows {
  const bytes = rowBytes(format, inner);
  return {
    codes: new Uint8Array(outer * bytes.codes),
    scales: new Uint8Array(outer * bytes.scales),
    zeroPoints: new Uint8Array(outer * bytes.zeroPoints),
  };
}

/** The addon's functions. Throws TensorrtNodeError (ERR_ADDON) where there is no addon, or an older one. */
export function quantizeAddon(): QuantizeAddon {
  const addon = requireAddon() as Partial<QuantizeAddon>;
  if (addon.quantizeRows === undefined) throw addonTooOld();
  return addon as QuantizeAddon;
}

/** Awaits a call; of numbers that it refuses the error names the tensor. */
export async function crunched(call: Promise<void>, path: string, tensor: string): Promise<void> {
  try {
    await call;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ERR_NUMBERS') {
      throw /half precision/.test(error.message)
        ? new UnsupportedError(`${path}: tensor '${tensor}': ${error.message}`, 'use dtype fp32')
        : new FormatError('ERR_ONNX', path, `tensor '${tensor}': ${error.message}`);
    }
    throw typed(error);
  }
}
