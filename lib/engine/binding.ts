/** Inputs and outputs of fixed shapes that stay in pinned memory, for runs that cost microseconds. */

import type {NativeBinding, NativeTensorInfo} from '../native/engine_addon.js';
import {rethrowTyped, translated, typed} from '../native/errors.js';
import {type Tensor, type TensorData, tensorArray} from './tensor.js';

/** Made by `engine.bind`; has an execution context of its own, so that bindings run beside each other. */
export class Binding implements Disposable {
  readonly #native: NativeBinding;
  readonly #onDispose: (binding: Binding) => void;
  /** Write into `data`. */
  readonly inputs: Readonly<Record<string, Tensor>>;
  /** `dims` and `data` are those of the last run; the memory is the same in each, unless an output grows. */
  readonly outputs: Readonly<Record<string, Tensor>>;

  /** @internal */
  constructor(
    native: NativeBinding,
    tensors: readonly NativeTensorInfo[],
    dims: readonly (readonly number[])[],
    onDispose: (binding: Binding) => void,
  ) {
    this.#native = native;
    this.#onDispose = onDispose;
    const inputs = tensors.filter(({mode}) => mode === 'input');
    const outputs = tensors.filter(({mode}) => mode === 'output');
    const memory = native.inputs;
    this.inputs = Object.freeze(
      Object.fromEntries(
        inputs.map(({name, type}, index) => {
          const shape = Object.freeze([...dims[index]!]);
          return [name, Object.freeze({type, dims: shape, data: tensorArray(type, shape, memory[index]!)})];
        }),
      ),
    );
    this.outputs = Object.freeze(Object.fromEntries(outputs.map((info, index) => [info.name, new BoundOutput(native, info, index)])));
  }

  /** Whether runs replay a CUDA graph. */
  get graph(): boolean {
    return this.#native.graph;
  }

  /**
   * Copies the inputs in, runs, and copies the outputs out. Leave the arrays alone until it resolves; one run at a
   * time. Rejects with TensorrtNodeError: ERR_BUSY, ERR_DISPOSED, CudaError, TensorrtError, ERR_BACKEND.
   */
  run(): Promise<void> {
    try {
      return this.#native.run().catch(rethrowTyped);
    } catch (error) {
      return Promise.reject(typed(error));
    }
  }

  /** As run(), but blocks this thread until it is done: for engines that take less than a hop through the event loop. */
  runSync(): void {
    try {
      this.#native.runSync();
    } catch (error) {
      throw typed(error);
    }
  }

  /** GPU time of the last run in milliseconds, copies included. Throws UnsupportedError where `timing` was not asked for, or on the CPU. */
  get gpuMilliseconds(): number {
    return translated(() => this.#native.gpuMilliseconds());
  }

  /** Detaches the arrays and gives the memory back; behind a run under way. More calls do nothing. */
  dispose(): void {
    this.#onDispose(this);
    translated(() => this.#native.dispose());
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** An output whose shape may depend on the data. */
class BoundOutput implements Tensor {
  readonly #native: NativeBinding;
  readonly #info: NativeTensorInfo;
  readonly #index: number;
  #dims: readonly number[] | undefined;
  #data: TensorData | undefined;

  constructor(native: NativeBinding, info: NativeTensorInfo, index: number) {
    this.#native = native;
    this.#info = info;
    this.#index = index;
  }

  get type(): Tensor['type'] {
    return this.#info.type;
  }

  get dims(): readonly number[] {
    // Of a binding, only shapes that the engine leaves open can differ between runs.
    if (this.#dims !== undefined && this.#info.dims.every((dim) => dim >= 0)) return this.#dims;
    const dims = translated(() => this.#native.outputDims())[this.#index]!;
    if (this.#dims?.join() !== dims.join()) {
      this.#dims = Object.freeze(dims);
      this.#data = undefined;
    }
    return this.#dims!;
  }

  get data(): TensorData {
    const {dims} = this;
    const buffer = this.#native.outputs[this.#index]!;
    if (this.#data === undefined || this.#data.buffer !== buffer) this.#data = tensorArray(this.#info.type, dims, buffer);
    return this.#data;
  }
}
