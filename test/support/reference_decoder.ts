/** A Llama-family decoder in plain loops and double precision: what the ONNX graph must compute. No cache, one sequence. */

import type {CheckpointTensor, DecoderConfig} from '../../lib/import/checkpoint.js';
import {dequantize} from '../../lib/import/numeric/dequantize.js';

export interface ReferenceRotary {
  inverseFrequencies: readonly number[];
  factor: number;
}

export class ReferenceDecoder {
  readonly #weights = new Map<string, Float64Array>();

  private constructor(
    readonly config: DecoderConfig,
    readonly rotary: ReferenceRotary,
  ) {}

  /** `rotary`: frequencies computed by the test itself; unscaled RoPE if left out. */
  static async create(
    config: DecoderConfig,
    tensors: ReadonlyMap<string, CheckpointTensor>,
    rotary?: ReferenceRotary,
  ): Promise<ReferenceDecoder> {
    const plain = Array.from({length: config.headDim / 2}, (_, pair) => 1 / config.ropeTheta ** ((2 * pair) / config.headDim));
    const decoder = new ReferenceDecoder(config, rotary ?? {inverseFrequencies: plain, factor: 1});
    for (const [name, tensor] of tensors) decoder.#weights.set(name, Float64Array.from(dequantize(tensor.type, await tensor.read())));
    return decoder;
  }

  /** Logits after each token. */
  forward(tokens: readonly number[]): Float64Array[] {
    const {config} = this;
    const table = this.#weights.get('model.embed_tokens.weight')!;
    let stream = tokens.map((token) => table.slice(token * config.hiddenSize, (token + 1) * config.hiddenSize));
    for (let layer = 0; layer < config.layerCount; layer++) {
      const name = `model.layers.${layer}`;
      const attended = this.#attention(
        `${name}.self_attn`,
        stream.map((row) => this.#norm(`${name}.input_layernorm`, row)),
      );
      stream = stream.map((row, at) => row.map((value, index) => value + attended[at]![index]!));
      stream = stream.map((row) => {
        const fed = this.#mlp(`${name}.mlp`, this.#norm(`${name}.post_attention_layernorm`, row));
        return row.map((value, index) => value + fed[index]!);
      });
    }
    return stream.map((row) => {
      const normed = this.#norm('model.norm', row);
      return config.tieWordEmbeddings ? multiply(table, normed) : this.#linear('lm_head', normed);
    });
  }

  #norm(name: string, row: Float64Array): Float64Array {
    const weight = this.#weights.get(`${name}.weight`)!;
    const meanSquare = row.reduce((sum, value) => sum + value * value, 0) / row.length;
    return row.map((value, index) => (value / Math.sqrt(meanSquare + this.config.rmsNormEps)) * weight[index]!);
  }

  #linear(name: string, row: Float64Array): Float64Array {
    const product = multiply(this.#weights.get(`${name}.weight`)!, row);
    const bias = this.#weights.get(`${name}.bias`);
    return bias ? product.map((value, index) => value + bias[index]!) : product;
  }

  #mlp(name: string, row: Float64Array): Float64Array {
    const gate = this.#linear(`${name}.gate_proj`, row);
    const up = this.#linear(`${name}.up_proj`, row);
    return this.#linear(
      `${name}.down_proj`,
      gate.map((value, index) => (value / (1 + Math.exp(-value))) * up[index]!),
    );
  }

  #attention(name: string, rows: readonly Float64Array[]): Float64Array[] {
    const {headCount, kvHeadCount, slidingWindow = Infinity} = this.config;
    const heads = (row: Float64Array, kind: 'q' | 'k' | 'v', position: number): Float64Array[] => {
      const all = this.#linear(`${name}.${kind}_proj`, row);
      const count = kind === 'q' ? headCount : kvHeadCount;
      return Array.from({length: count}, (_, head) => {
        let own: Float64Array = all.slice((head * all.length) / count, ((head + 1) * all.length) / count);
        if (kind === 'v') return own;
        if (this.#weights.has(`${name}.${kind}_norm.weight`)) own = this.#norm(`${name}.${kind}_norm`, own);
        return this.#rotate(own, position);
      });
    };
    const queries = rows.map((row, position) => heads(row, 'q', position));
    const keys = rows.map((row, position) => heads(row, 'k', position));
    const values = rows.map((row, position) => heads(row, 'v', position));
    return rows.map((_, position) => {
      const joined = queries[position]!.flatMap((query, head) => {
        const shared = Math.floor(head / (headCount / kvHeadCount));
        // A query sees `slidingWindow` tokens, itself among them.
        const seen = keys.map((_key, other) => other).filter((other) => other <= position && position - other < slidingWindow);
        const scores = seen.map((other) => dot(query, keys[other]![shared]!) / Math.sqrt(query.length));
        const largest = Math.max(...scores);
        const weights = scores.map((score) => Math.exp(score - largest));
        const total = weights.reduce((sum, weight) => sum + weight, 0);
        return Array.from(query, (_value, index) =>
          seen.reduce((sum, other, at) => sum + (weights[at]! / total) * values[other]![shared]![index]!, 0),
        );
      });
      return this.#linear(`${name}.o_proj`, Float64Array.from(joined));
    });
  }

  /** Element i turns with element i + half, as in Hugging Face's `rotate_half`. */
  #rotate(head: Float64Array, position: number): Float64Array {
    const half = head.length / 2;
    const {inverseFrequencies, factor} = this.rotary;
    return head.map((value, index) => {
      const angle = position * inverseFrequencies[index % half]!;
      const partner = index < half ? -head[index + half]! : head[index - half]!;
      return (value * Math.cos(angle) + partner * Math.sin(angle)) * factor;
    });
  }
}

function multiply(matrix: Float64Array, row: Float64Array): Float64Array {
  return Float64Array.from({length: matrix.length / row.length}, (_, out) => {
    let sum = 0;
    for (let index = 0; index < row.length; index++) sum += matrix[out * row.length + index]! * row[index]!;
    return sum;
  });
}

function dot(left: Float64Array, right: Float64Array): number {
  return left.reduce((sum, value, index) => sum + value * right[index]!, 0);
}
