/** What the addon's binding is, on the CPU: inputs and outputs that stay, run after run. */

import {TensorrtNodeError, UnsupportedError} from '../../errors.js';
import type {NativeBinding, NativeTensorData, NativeTensorInfo} from '../../native/engine_addon.js';
import {tensorBytes} from '../tensor.js';
import type {CpuEngine} from './cpu_engine.js';
import type {TensorMessage} from './messages.js';

export class CpuBinding implements NativeBinding {
  readonly #engine: Pick<CpuEngine, 'run' | 'runSync'>;
  readonly #feeds: readonly NativeTensorData[];
  #outputs: TensorMessage[];
  #busy = false;
  #disposed = false;
  readonly graph = false;

  constructor(engine: Pick<CpuEngine, 'run' | 'runSync'>, tensors: readonly NativeTensorInfo[], dims: readonly (readonly number[])[]) {
    this.#engine = engine;
    const inputs = tensors.filter(({mode}) => mode === 'input');
    this.#feeds = inputs.map(({type}, index) => {
      const byteLength = tensorBytes(type, dims[index]!);
      return {buffer: new ArrayBuffer(byteLength), byteOffset: 0, byteLength, dims: dims[index]!};
    });
    for (const [index, info] of inputs.entries()) fillShape(info, this.#feeds[index]!.buffer);
    this.#outputs = tryRun(engine, this.#feeds) ?? tensors.filter(({mode}) => mode === 'output').map(unknownOutput);
  }

  get inputs(): readonly ArrayBuffer[] {
    return this.#feeds.map(({buffer}) => buffer);
  }

  /** An output keeps its buffer as long as its size stays; one whose size depends on data may get another. */
  get outputs(): readonly ArrayBuffer[] {
    return this.#outputs.map(({buffer}) => buffer);
  }

  outputDims(): number[][] {
    return this.#outputs.map(({dims}) => [...dims]);
  }

  async run(): Promise<void> {
    this.#begin();
    try {
      this.#take((await this.#engine.run(this.#feeds).result) as TensorMessage[]);
    } finally {
      this.#busy = false;
    }
  }

  runSync(): void {
    this.#begin();
    try {
      this.#take(this.#engine.runSync(this.#feeds));
    } finally {
      this.#busy = false;
    }
  }

  gpuMilliseconds(): number {
    throw new UnsupportedError('the CPU backend uses no GPU whose time could be measured');
  }

  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    const buffers = [...this.inputs, ...this.outputs];
    structuredClone(undefined, {transfer: buffers});
  }

  #begin(): void {
    if (this.#disposed) throw new TensorrtNodeError('ERR_DISPOSED', 'the binding was disposed');
    if (this.#busy) throw new TensorrtNodeError('ERR_BUSY', 'the binding is at a run; one at a time', 'await it, or use another binding');
    this.#busy = true;
  }

  #take(results: readonly TensorMessage[]): void {
    if (this.#disposed) return;
    this.#outputs = results.map((result, index) => {
      const {buffer} = this.#outputs[index]!;
      if (buffer.byteLength !== result.buffer.byteLength) return result;
      new Uint8Array(buffer).set(new Uint8Array(result.buffer));
      return {dims: result.dims, buffer};
    });
  }
}

/** An input that holds a shape begins with one that the plan was optimised for, as on TensorRT. */
function fillShape({type, profiles}: NativeTensorInfo, buffer: ArrayBuffer): void {
  const values = profiles[0]?.values?.opt;
  if (values === undefined) return;
  if (type === 'int64') new BigInt64Array(buffer).set(values.map(BigInt));
  else if (type === 'int32') new Int32Array(buffer).set(values);
}

/** What a run with zeros gives; undefined where the model cannot make anything of them. */
function tryRun(engine: Pick<CpuEngine, 'runSync'>, feeds: readonly NativeTensorData[]): TensorMessage[] | undefined {
  try {
    return engine.runSync(feeds);
  } catch (error) {
    if (error instanceof TensorrtNodeError && error.code === 'ERR_BACKEND') return undefined;
    throw error;
  }
}

/** Until the first run: empty, unless the model says its shape. */
function unknownOutput({type, dims}: NativeTensorInfo): TensorMessage {
  const known = dims.every((dim) => dim >= 0);
  return {dims, buffer: new ArrayBuffer(known ? tensorBytes(type, dims) : 0)};
}
