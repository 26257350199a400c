/** Inputs and outputs of fixed shapes that stay in pinned memory, for runs that cost microseconds. */

import type {NativeBinding, NativeTensorInfo} from '../native/engine_addon.js';
import {rethrowTyped, translated, typed} from '../native/errors.js';
import type {RunMeter} from './run_meter.js';
import {type Tensor, type TensorData, type TensorType, type TensorTypes, tensorArray} from './tensor.js';

/** Made by `engine.bind`; has an execution context of its own, so that bindings run beside each other. */
export class Binding<Inputs extends TensorTypes = TensorTypes, Outputs extends TensorTypes = TensorTypes> implements Disposable {
  readonly #native: NativeBinding;
  readonly #onDispose: () => void;
  readonly #runs: RunCount;
  readonly #meter: RunMeter;
  readonly #ended: () => void;
  /** Write into `data`. */
  readonly inputs: {readonly [Name in keyof Inputs]: Tensor<Inputs[Name]>};
  /** `dims` and `data` are those of the last run; the memory is the same in each, unless an output grows. */
  readonly outputs: {readonly [Name in keyof Outputs]: Tensor<Outputs[Name]>};

  /** @internal */
  constructor(
    native: NativeBinding,
    tensors: readonly NativeTensorInfo[],
    dims: readonly (readonly number[])[],
    {outputsMayGrow, meter, onDispose}: {outputsMayGrow: boolean; meter: RunMeter; onDispose: () => void},
  ) {
    this.#native = native;
    this.#onDispose = onDispose;
    this.#meter = meter;
    const runs: RunCount = {value: 0};
    this.#runs = runs;
    // Made once: a run makes no closures.
    this.#ended = () => {
      runs.value++;
    };
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
    ) as typeof this.inputs;
    this.outputs = Object.freeze(
      Object.fromEntries(outputs.map(({name, type}, index) => [name, new BoundOutput(native, type, index, runs, outputsMayGrow)])),
    ) as unknown as typeof this.outputs;
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
    const began = this.#meter.begin();
    try {
      const run = this.#native.run().then(this.#ended, rethrowTyped);
      return began === undefined ? run : this.#metered(run, began);
    } catch (error) {
      if (began !== undefined) this.#meter.failed();
      return Promise.reject(typed(error));
    }
  }

  async #metered(run: Promise<void>, began: number): Promise<void> {
    try {
      await run;
    } catch (error) {
      this.#meter.failed();
      throw error;
    }
    this.#meter.ended(began);
  }

  /** As run(), but blocks this thread until it is done: for engines that take less than a hop through the event loop. */
  runSync(): void {
    const began = this.#meter.begin();
    try {
      this.#native.runSync();
      this.#runs.value++;
      if (began !== undefined) this.#meter.ended(began);
    } catch (error) {
      if (began !== undefined) this.#meter.failed();
      throw typed(error);
    }
  }

  /** GPU time of the last run in milliseconds, copies included. Throws UnsupportedError where `timing` was not asked for, or on the CPU. */
  get gpuMilliseconds(): number {
    return translated(() => this.#native.gpuMilliseconds());
  }

  /** Detaches the arrays and gives the memory back; behind a run under way. More calls do nothing. */
  dispose(): void {
    this.#onDispose();
    translated(() => this.#native.dispose());
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** How many runs have ended: what was read of the outputs before is of another run. */
interface RunCount {
  value: number;
}

/** An output; its shape may depend on the data. */
class BoundOutput implements Tensor {
  readonly #native: NativeBinding;
  readonly #index: number;
  readonly #runs: RunCount;
  readonly #fixed: boolean;
  #readAt = -1;
  #dims: readonly number[] = [];
  #data: TensorData | undefined;
  readonly type: TensorType;

  constructor(native: NativeBinding, type: TensorType, index: number, runs: RunCount, mayGrow: boolean) {
    this.#native = native;
    this.type = type;
    this.#index = index;
    this.#runs = runs;
    this.#read();
    this.#fixed = !mayGrow && this.#dims.every((dim) => dim >= 0);
  }

  /** -1 where it depends on the data of a run, before the first. */
  get dims(): readonly number[] {
    if (!this.#fixed && this.#readAt !== this.#runs.value) this.#read();
    return this.#dims;
  }

  /** Empty while the shape is not known. */
  get data(): TensorData {
    if (!this.#fixed && this.#readAt !== this.#runs.value) this.#read();
    return this.#data!;
  }

  #read(): void {
    const dims = this.#native.outputDims()[this.#index]!;
    const buffer = this.#native.outputs[this.#index]!;
    this.#readAt = this.#runs.value;
    if (this.#data?.buffer === buffer && this.#dims.join() === dims.join()) return;
    const known = dims.every((dim) => dim >= 0);
    this.#dims = Object.freeze(dims);
    this.#data = tensorArray(this.type, known ? dims : [0], buffer);
  }
}
