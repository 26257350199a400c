/** Norms before matrices, which can take a factor from their columns. */

import {float16ToFloat32, float32ToFloat16} from '../import/numeric/float16.js';
import {DataType} from '../onnx/data_type.js';
import {GraphIndex} from '../onnx/graph.js';
import type {Model} from '../onnx/model.js';
import type {TensorProto} from '../onnx/onnx_pb.js';
import {BytesSource, readSource} from '../onnx/tensor_source.js';
import {normVectors} from './norm_vectors.js';
import {bytesOf} from './weight_reader.js';
import {findWeights, type Weight} from './weights.js';

/** Vectors that a norm multiplies by before some matrices and nothing else. */
export class Norms {
  readonly #index: GraphIndex;
  readonly #weights: ReadonlyMap<string, Weight>;

  constructor(readonly model: Model) {
    this.#index = new GraphIndex(model.graph);
    this.#weights = new Map(findWeights(model).map((weight) => [weight.name, weight]));
  }

  /** The vectors (of a layer norm two), or none where others would see that they were changed. */
  before(names: readonly string[]): TensorProto[] | undefined {
    const uses = names.flatMap((name) => this.#weights.get(name)!.uses);
    const value = uses[0]!.input;
    if (uses.some(({kind, input}) => kind !== 'product' || input !== value)) return undefined;
    return normVectors(this.#index, value, (node) => uses.some((use) => use.node === node));
  }

  async divide(vectors: readonly TensorProto[], factors: Float32Array): Promise<void> {
    for (const tensor of vectors) {
      const divided = (await this.#numbers(tensor)).map((value, at) => value / factors[at]!);
      const half = tensor.dataType === DataType.FLOAT16;
      this.model.setSource(tensor, new BytesSource(bytesOf(half ? float32ToFloat16(divided) : divided)));
    }
  }

  async #numbers(tensor: TensorProto): Promise<Float32Array> {
    const bytes = (await readSource(this.model.source(tensor))).slice();
    return tensor.dataType === DataType.FLOAT16 ? float16ToFloat32(new Uint16Array(bytes.buffer)) : new Float32Array(bytes.buffer);
  }
}
