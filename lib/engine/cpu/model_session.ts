/** An ONNX model in ONNX Runtime, with tensors as engines have them. */

import * as ort from 'onnxruntime-node';

import {FormatError, UnsupportedError} from '../../errors.js';
import {DataType, dataTypeName} from '../../onnx/data_type.js';
import {tensorInfo} from '../../onnx/graph.js';
import type {GraphProto, ValueInfoProto} from '../../onnx/onnx_pb.js';
import {readModel} from '../../onnx/read.js';
import {backendError} from '../../onnxruntime/backend_error.js';
import {floatTensor} from '../../onnxruntime/float_tensor.js';
import {guardedRun, type RunGuard} from '../../onnxruntime/run_guard.js';
import {createSession} from '../../onnxruntime/session.js';
import {checkModelHash} from '../model_hash.js';
import {describeTensor, type TensorType, tensorArray} from '../tensor.js';
import type {ModelTensor, TensorMessage} from './messages.js';

/** Types that both ONNX Runtime's binding and engines have. */
const TYPES: ReadonlyMap<number, TensorType> = new Map([
  [DataType.FLOAT, 'float32'],
  [DataType.FLOAT16, 'float16'],
  [DataType.INT8, 'int8'],
  [DataType.UINT8, 'uint8'],
  [DataType.INT32, 'int32'],
  [DataType.INT64, 'int64'],
  [DataType.BOOL, 'bool'],
]);

export interface ModelSessionOptions {
  /** What `hashModel` must tell of the model. */
  sha256?: string;
  threads: number;
  spinning: boolean;
  profile?: string;
  guard: RunGuard;
}

export class ModelSession implements AsyncDisposable {
  private constructor(
    private readonly session: ort.InferenceSession,
    private readonly guard: RunGuard,
    readonly inputs: ModelTensor[],
    readonly outputs: ModelTensor[],
  ) {}

  /** Throws FormatError, or UnsupportedError for operators and for types of inputs and outputs. */
  static async load(path: string, {sha256, threads, spinning, profile, guard}: ModelSessionOptions): Promise<ModelSession> {
    const model = sha256 === undefined ? await readModel(path) : await checkModelHash(path, sha256);
    const {inputs, outputs} = tensorsOf(path, model.graph);
    const session = await guardedRun(guard, () => createSession({path, proto: model.proto, threads, spinning, profile}));
    return new ModelSession(session, guard, inputs, outputs);
  }

  /** Throws TensorrtNodeError: ERR_BACKEND, ERR_OUT_OF_MEMORY. */
  async run(inputs: readonly TensorMessage[]): Promise<TensorMessage[]> {
    const feeds: Record<string, ort.Tensor> = {};
    for (const [index, {dims, buffer}] of inputs.entries()) {
      const {name, type} = this.inputs[index]!;
      feeds[name] = onnxTensor(type, dims, buffer);
    }
    try {
      const results = await guardedRun(this.guard, () => this.session.run(feeds));
      return this.outputs.map(({name}) => message(results[name] as ort.Tensor));
    } catch (error) {
      throw backendError(error);
    }
  }

  /** Of one that was loaded for a profile: writes it. */
  endProfiling(): Promise<void> {
    return guardedRun(this.guard, async () => this.session.endProfiling());
  }

  /** Throws FormatError where the inputs and outputs of `other` are not these. */
  checkSame(path: string, other: ModelSession): void {
    const differing = [...this.inputs, ...this.outputs].find((each, index) => {
      const found = [...other.inputs, ...other.outputs][index];
      return found?.name !== each.name || found.type !== each.type || found.dims.join() !== each.dims.join();
    });
    if (differing === undefined && other.inputs.length === this.inputs.length && other.outputs.length === this.outputs.length) return;
    const what =
      differing === undefined ? 'more inputs or outputs' : `no '${differing.name}' of ${describeTensor(differing.type, differing.dims)}`;
    throw new FormatError('ERR_ONNX', path, `is another model: it has ${what}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.session.release();
  }
}

function onnxTensor(type: TensorType, dims: readonly number[], buffer: ArrayBuffer): ort.Tensor {
  if (type === 'float16') return floatTensor(new Uint16Array(buffer), dims);
  return new ort.Tensor(type as 'float32', tensorArray(type, dims, buffer) as Float32Array, dims);
}

function message({dims, data}: ort.Tensor): TensorMessage {
  const {buffer, byteOffset, byteLength} = data as Uint8Array<ArrayBuffer>;
  return {dims, buffer: byteLength === buffer.byteLength ? buffer : buffer.slice(byteOffset, byteOffset + byteLength)};
}

function tensorsOf(path: string, {input, output, initializer}: GraphProto): {inputs: ModelTensor[]; outputs: ModelTensor[]} {
  // Old models list their weights among the inputs too.
  const weights = new Set(initializer.map(({name}) => name));
  return {
    inputs: input.filter(({name}) => !weights.has(name)).map((each) => modelTensor(path, 'input', each)),
    outputs: output.map((each) => modelTensor(path, 'output', each)),
  };
}

function modelTensor(path: string, what: string, value: ValueInfoProto): ModelTensor {
  const {name} = value;
  const info = tensorInfo(value);
  if (info === undefined) throw new UnsupportedError(`${path}: ${what} '${name}' is not a tensor`);
  const {type: elemType, dims} = info;
  const known = TYPES.get(elemType);
  if (known === undefined) {
    const names = [...TYPES.values()].join(', ');
    throw new UnsupportedError(`${path}: ${what} '${name}' is ${dataTypeName(elemType)}; the CPU backend has ${names}`);
  }
  if (dims === undefined && what === 'input') throw new UnsupportedError(`${path}: input '${name}' says nothing of its shape`);
  return {name, type: known, dims: (dims ?? []).map((dim) => (typeof dim === 'number' ? dim : -1))};
}
