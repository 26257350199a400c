/** X^T X of the rows that matrices are given, and what GPTQ makes of it: on the host's threads, or on a GPU. */

import {type Format, type NativeGpuHessian, type QuantizedRows, quantizeAddon, type Running} from '../native.js';

export interface HessianMatrix {
  values: Float32Array;
  outer: number;
  inner: number;
  format: Format;
  rows: QuantizedRows;
}

/** Of one input; methods are called one after another. */
export interface Hessian extends Disposable {
  readonly size: number;
  /** Rows so far. */
  readonly count: number;
  /** Sum of the diagonal. */
  readonly trace: number;
  /** `rows`: [n, size]. */
  add(rows: Float32Array): Promise<void>;
  /** The whole of it, [size, size]; not to be changed. */
  read(): Promise<Float32Array>;
  /** Can be done again. Rejects with code ERR_NUMBERS where it is not positive definite with `damping` on its diagonal. */
  factorize(damping: number, order: Int32Array | undefined): Promise<void>;
  /** Rounds a matrix, by the last factor. */
  gptq(matrix: HessianMatrix): Promise<void>;
}

export class HostHessian implements Hessian {
  count = 0;
  trace = 0;
  #mirrored = false;
  #factor: {values: Float32Array; order: Int32Array | undefined} | undefined;

  constructor(
    readonly size: number,
    readonly running: Running,
    readonly sum = new Float32Array(size * size),
  ) {}

  async add(rows: Float32Array): Promise<void> {
    const {running, sum: hessian, size} = this;
    await quantizeAddon().addGram({...running, hessian, size, rows});
    this.count += rows.length / size;
    this.trace = 0;
    for (let each = 0; each < size; each++) this.trace += hessian[each * (size + 1)]!;
    this.#mirrored = false;
  }

  /** X^T X of inputs times `factors`. */
  static async scaled(from: Hessian, factors: Float32Array, running: Running): Promise<HostHessian> {
    const {size} = from;
    const sum = await from.read();
    const result = new HostHessian(size, running);
    for (let row = 0; row < size; row++) {
      const factor = factors[row]!;
      for (let at = row * size, column = 0; column < size; at++, column++) result.sum[at] = sum[at]! * factor * factors[column]!;
      result.trace += result.sum[row * (size + 1)]!;
    }
    result.count = from.count;
    result.#mirrored = true;
    return result;
  }

  async read(): Promise<Float32Array> {
    if (!this.#mirrored) await quantizeAddon().mirror({hessian: this.sum, size: this.size});
    this.#mirrored = true;
    return this.sum;
  }

  async factorize(damping: number, order: Int32Array | undefined): Promise<void> {
    const sum = await this.read();
    const values = order ? permuted(sum, this.size, order) : sum.slice();
    await quantizeAddon().factorize({...this.running, hessian: values, size: this.size, damping});
    this.#factor = {values, order};
  }

  async gptq({rows, ...matrix}: HessianMatrix): Promise<void> {
    const {values: factor, order} = this.#factor!;
    await quantizeAddon().gptq({...this.running, ...matrix, ...rows, factor, order});
  }

  [Symbol.dispose](): void {
    this.#factor = undefined;
  }
}

export class GpuHessian implements Hessian {
  count = 0;
  trace = 0;
  #order: Int32Array | undefined;
  readonly #native: NativeGpuHessian;

  constructor(
    readonly size: number,
    readonly running: Running,
    device: number,
  ) {
    const {GpuHessian: Native} = quantizeAddon();
    this.#native = new Native!(device, size);
  }

  async add(rows: Float32Array): Promise<void> {
    await this.#native.add({rows});
    this.count += rows.length / this.size;
    let sum = 0;
    for (let at = 0; at < rows.length; at++) sum += rows[at]! * rows[at]!;
    this.trace += sum;
  }

  async read(): Promise<Float32Array> {
    const hessian = new Float32Array(this.size * this.size);
    await this.#native.read({hessian});
    return hessian;
  }

  async factorize(damping: number, order: Int32Array | undefined): Promise<void> {
    await this.#native.factorize({damping, order});
    this.#order = order;
  }

  async gptq({rows, ...matrix}: HessianMatrix): Promise<void> {
    if (this.#order === undefined) {
      await this.#native.gptq({...this.running, ...matrix, ...rows});
      return;
    }
    // In another order the host rounds: the factor is what takes time.
    const factor = new Float32Array(this.size * this.size);
    await this.#native.readFactor({factor});
    await quantizeAddon().gptq({...this.running, ...matrix, ...rows, factor, order: this.#order});
  }

  [Symbol.dispose](): void {
    this.#native.dispose();
  }
}

function permuted(values: Float32Array, size: number, order: Int32Array): Float32Array {
  const result = new Float32Array(size * size);
  for (let row = 0; row < size; row++) {
    const from = order[row]! * size;
    for (let column = 0; column < size; column++) result[row * size + column] = values[from + order[column]!]!;
  }
  return result;
}
