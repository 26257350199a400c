/** A decoder on ONNX Runtime, a sequence a session: the reference that lowered ones are compared with. */

import * as ort from 'onnxruntime-node';

import {serialize} from '../../lib/backend/cpu/rewrite/serialize.js';
import {float16ToFloat32} from '../../lib/import/numeric/float16.js';
import {GraphIndex} from '../../lib/onnx/graph.js';
import type {Model} from '../../lib/onnx/model.js';
import {halfBits, halfTensor} from './half_tensor.js';

export class DecoderSession implements AsyncDisposable {
  #cache = new Map<string, ort.Tensor>();
  #length = 0;

  private constructor(readonly session: ort.InferenceSession) {}

  /** Takes the model by its contract: input_ids, attention_mask, position_ids where it has them, past_key_values.N. */
  static async create(model: Model, cacheDims: readonly [kvHeads: number, headSize: number]): Promise<DecoderSession> {
    // Codes become floats for products, whose other factor is not rounded to 8 bits.
    const extra = {session: {disable_quant_qdq: '1'}};
    const options: ort.InferenceSession.SessionOptions = {intraOpNumThreads: 2, logSeverityLevel: 3, extra};
    const session = model.path
      ? await ort.InferenceSession.create(model.path, options)
      : await ort.InferenceSession.create(await serialize(model), options);
    const made = new DecoderSession(session);
    const index = new GraphIndex(model.graph);
    for (const name of session.inputNames.filter((each) => each.startsWith('past_key_values.'))) {
      const dims = [1, cacheDims[0], 0, cacheDims[1]];
      const half = index.tensorInfo(name)?.type === 10;
      made.#cache.set(name, half ? halfTensor(new Uint16Array(), dims) : new ort.Tensor('float32', new Float32Array(), dims));
    }
    return made;
  }

  /** Logits after each of the tokens, which follow those before. */
  async step(tokens: readonly number[]): Promise<Float32Array[]> {
    const {session} = this;
    const total = this.#length + tokens.length;
    const int64 = (values: readonly number[]) => new ort.Tensor('int64', BigInt64Array.from(values, BigInt), [1, values.length]);
    const all: Record<string, ort.Tensor> = {
      input_ids: int64(tokens),
      attention_mask: int64(Array<number>(total).fill(1)),
      position_ids: int64(tokens.map((_, at) => this.#length + at)),
      ...Object.fromEntries(this.#cache),
    };
    const feeds = Object.fromEntries(session.inputNames.map((name) => [name, all[name]!]));
    const results = await session.run(feeds);
    for (const name of this.#cache.keys()) {
      const present = results[name.replace('past_key_values', 'present')]!;
      this.#cache.set(name, present.type === 'float16' ? halfTensor(halfBits(present), present.dims) : present);
    }
    this.#length = total;
    const logits = results.logits!;
    const values = logits.type === 'float16' ? float16ToFloat32(halfBits(logits)) : (logits.data as Float32Array);
    const width = values.length / tokens.length;
    return tokens.map((_, at) => values.slice(at * width, (at + 1) * width));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.session.release();
  }
}
