/**
 * The decoder of the Llama family as an ONNX graph, by the convention of onnxruntime-genai's model builder: contrib
 * operators, a key/value cache as inputs and outputs.
 */

import {UnsupportedError} from '../../errors.js';
import {DataType} from '../../onnx/data_type.js';
import {float, GraphBuilder, int} from '../../onnx/graph_builder.js';
import type {Model} from '../../onnx/model.js';
import type {CheckpointTensor, DecoderConfig} from '../checkpoint.js';
import {denseSource} from './dense.js';
import {embed} from './embedding.js';
import {type FloatType, onnxType} from './float_type.js';
import {joinRows} from './join_rows.js';
import {type GraphContext, MICROSOFT, multiply} from './matrix.js';
import {rotaryParameters, rotaryTable} from './rope.js';
import {Weights} from './weights.js';

export interface DecoderOptions {
  /** What the graph computes in: its cache, its logits, and its weights unless they stay in blocks. */
  dtype: FloatType;
  /** What errors call the checkpoint. Default 'checkpoint'. */
  label?: string;
}

/**
 * A model whose weights are converted while it is written. `config` has passed checkConfig.
 *
 * Inputs: input_ids int64 [batch_size, sequence_length]; attention_mask int64 [batch_size, total_sequence_length], ones
 * then zeros (rows are padded on the right); past_key_values.N.key and .value [batch_size, kvHeadCount,
 * past_sequence_length, headDim] of `dtype`, either exactly the past or a buffer longer than the sequence that is also
 * bound as the output. On ONNX Runtime's CPU several tokens at a time after a past need batch_size 1. Outputs: logits
 * [batch_size, sequence_length, vocabSize] and present.N.key and .value, of `dtype`.
 *
 * q, k and v, and gate and up, are packed into one product each where their types are the same.
 * Matrices in Q8_0, Q4_0, Q4_1 and Q4_K stay in their blocks (see blockWeights for what is exact); all others become
 * dense. Tied embeddings are stored once.
 *
 * Throws FormatError (ERR_CONFIG) for a tensor that is missing or of the wrong shape, UnsupportedError for one that has
 * no place, for a config this graph cannot express and, while it is written, for weights beyond half precision.
 */
export function buildDecoder(
  config: DecoderConfig,
  tensors: ReadonlyMap<string, CheckpointTensor>,
  {dtype, label = 'checkpoint'}: DecoderOptions,
): Model {
  // What ONNX Runtime's GroupQueryAttention asks of heads that it rotates.
  if (config.headDim % 16 !== 0) throw new UnsupportedError(`${label}: heads of ${config.headDim} elements; a multiple of 16 is needed`);
  return new DecoderGraph(config, new Weights(tensors, label), dtype).build();
}

class DecoderGraph {
  readonly #builder: GraphBuilder;
  readonly #context: GraphContext;
  readonly #type: DataType;

  constructor(
    readonly config: DecoderConfig,
    readonly weights: Weights,
    readonly dtype: FloatType,
  ) {
    this.#builder = GraphBuilder.create({name: config.architecture, opsets: {'': 21, [MICROSOFT]: 1}});
    this.#context = {builder: this.#builder, dtype};
    this.#type = onnxType(dtype);
  }

  build(): Model {
    const {config, weights} = this;
    const builder = this.#builder;
    const ids = builder.input('input_ids', DataType.INT64, ['batch_size', 'sequence_length']);
    const mask = builder.input('attention_mask', DataType.INT64, ['batch_size', 'total_sequence_length']);
    const lengths = this.#lengths(mask);
    const rotary = this.#rotary();

    const table = weights.get('model.embed_tokens.weight', [config.vocabSize, config.hiddenSize]);
    const embedding = embed(this.#context, table, ids);

    let residual = embedding.rows;
    let hidden = this.#firstNorm('model.layers.0.input_layernorm', residual);
    for (let layer = 0; layer < config.layerCount; layer++) {
      const name = `model.layers.${layer}`;
      const attended = this.#attention(layer, `${name}.self_attn`, hidden, lengths, rotary);
      const middle = this.#addAndNorm(`${name}.post_attention_layernorm`, attended, residual);
      const fed = this.#mlp(`${name}.mlp`, middle.normed);
      const last = layer === config.layerCount - 1;
      const next = last ? 'model.norm' : `model.layers.${layer + 1}.input_layernorm`;
      ({sum: residual, normed: hidden} = this.#addAndNorm(next, fed, middle.sum, last));
    }

    if (config.tieWordEmbeddings) {
      weights.ignore('lm_head.weight');
      embedding.project(hidden, 'logits');
    } else {
      this.#project('lm_head', config.hiddenSize, config.vocabSize, hidden, 'logits');
    }
    builder.output('logits', this.#type, ['batch_size', 'sequence_length', config.vocabSize]);
    for (let layer = 0; layer < config.layerCount; layer++) {
      for (const part of ['key', 'value']) {
        builder.output(`present.${layer}.${part}`, this.#type, this.#cacheShape('total_sequence_length'));
      }
    }
    weights.refuseUnused();
    return builder.build();
  }

  #cacheShape(length: string): (number | string)[] {
    return ['batch_size', this.config.kvHeadCount, length, this.config.headDim];
  }

  /** What GroupQueryAttention wants to know: the last position of each row and the longest row, both int32. */
  #lengths(mask: string): {last: string; total: string} {
    const builder = this.#builder;
    const toInt32 = {attributes: {to: int(DataType.INT32)}};
    const sum = builder.op('ReduceSum', [mask, builder.int64('axis_1', [1])], {
      name: '/model/attn_mask/ReduceSum',
      attributes: {keepdims: int(0)},
    });
    const last = builder.op('Sub', [sum, builder.int64('one', [1])], {name: '/model/attn_mask/Sub'});
    const shape = builder.op('Shape', [mask], {name: '/model/attn_mask/Shape'});
    const total = builder.op('Gather', [shape, builder.int64('index_1', [1], [])], {
      name: '/model/attn_mask/Gather',
      attributes: {axis: int(0)},
    });
    return {
      last: builder.op('Cast', [last], {name: '/model/attn_mask/seqlens_k', ...toInt32}),
      total: builder.op('Cast', [total], {name: '/model/attn_mask/total_sequence_length', ...toInt32}),
    };
  }

  #rotary(): {cos: string; sin: string} {
    const parameters = rotaryParameters(this.config);
    const {maxPositionEmbeddings: positions, headDim} = this.config;
    const table = (name: string, wave: (angle: number) => number): string =>
      this.#builder.initializer(name, this.#type, [positions, headDim / 2], rotaryTable(parameters, wave, positions, this.dtype));
    return {cos: table('cos_cache', Math.cos), sin: table('sin_cache', Math.sin)};
  }

  #attention(
    layer: number,
    name: string,
    hidden: string,
    lengths: {last: string; total: string},
    rotary: {cos: string; sin: string},
  ): string {
    const {config} = this;
    const builder = this.#builder;
    const querySize = config.headCount * config.headDim;
    const [query, key, value] = this.#queryKeyValue(name, hidden);

    const past = ['key', 'value'].map((part) =>
      builder.input(`past_key_values.${layer}.${part}`, this.#type, this.#cacheShape('past_sequence_length')),
    );
    const attended = `${nodeName(name)}/GroupQueryAttention/output`;
    builder.node('GroupQueryAttention', [query, key, value, ...past, lengths.last, lengths.total, rotary.cos, rotary.sin], {
      domain: MICROSOFT,
      name: `${nodeName(name)}/GroupQueryAttention`,
      outputs: [attended, `present.${layer}.key`, `present.${layer}.value`],
      attributes: {
        num_heads: int(config.headCount),
        kv_num_heads: int(config.kvHeadCount),
        scale: float(1 / Math.sqrt(config.headDim)),
        do_rotary: int(1),
        rotary_interleaved: int(0),
        ...(config.slidingWindow === undefined ? {} : {local_window_size: int(config.slidingWindow)}),
      },
    });
    return this.#project(`${name}.o_proj`, querySize, config.hiddenSize, attended);
  }

  /** One value that holds all three, as GroupQueryAttention takes it, or query, key and value. */
  #queryKeyValue(name: string, hidden: string): [string, string, string] {
    const {architecture, hiddenSize, headCount, kvHeadCount, headDim} = this.config;
    const parts = [
      {name: `${name}.q_proj`, outputs: headCount * headDim},
      {name: `${name}.k_proj`, outputs: kvHeadCount * headDim},
      {name: `${name}.v_proj`, outputs: kvHeadCount * headDim},
    ];
    const normed = architecture === 'qwen3';
    if (!normed && this.#canPack(parts)) return [this.#linear(`${name}.qkv_proj`, hiddenSize, hidden, parts), '', ''];
    const [query, key, value] = parts.map((part) => this.#linear(part.name, hiddenSize, hidden, [part])) as [string, string, string];
    if (!normed) return [query, key, value];
    return [this.#headNorm(`${name}.q_norm`, headCount, query), this.#headNorm(`${name}.k_norm`, kvHeadCount, key), value];
  }

  #gateUp(name: string, hidden: string): [string, string] {
    const {hiddenSize, intermediateSize: outputs} = this.config;
    const parts = ['gate_proj', 'up_proj'].map((part) => ({name: `${name}.${part}`, outputs}));
    if (!this.#canPack(parts)) return parts.map((part) => this.#linear(part.name, hiddenSize, hidden, [part])) as [string, string];
    const both = this.#linear(`${name}.gate_up_proj`, hiddenSize, hidden, parts);
    const split = nodeName(`${name}.gate_up_proj`);
    const halves: [string, string] = [`${split}/gate`, `${split}/up`];
    this.#builder.node('Split', [both], {outputs: halves, name: `${split}/Split`, attributes: {axis: int(-1), num_outputs: int(2)}});
    return halves;
  }

  #mlp(name: string, hidden: string): string {
    const {intermediateSize} = this.config;
    const builder = this.#builder;
    const [gate, up] = this.#gateUp(name, hidden);
    // SiLU: x * sigmoid(x).
    const sigmoid = builder.op('Sigmoid', [gate], {name: `${nodeName(name)}/act_fn/Sigmoid`});
    const activated = builder.op('Mul', [gate, sigmoid], {name: `${nodeName(name)}/act_fn/Mul`});
    const product = builder.op('Mul', [activated, up], {name: `${nodeName(name)}/Mul`});
    return this.#project(`${name}.down_proj`, intermediateSize, this.config.hiddenSize, product);
  }

  #project(name: string, inputs: number, outputs: number, hidden: string, output?: string): string {
    return this.#linear(name, inputs, hidden, [{name, outputs}], output);
  }

  /** Whether modules can be one product: all of one type, and all with a bias or none. */
  #canPack(parts: readonly Part[]): boolean {
    const types = new Set(parts.map((part) => this.weights.tensors.get(`${part.name}.weight`)?.type));
    const biases = new Set(parts.map((part) => this.#hasBias(part.name)));
    return types.size === 1 && biases.size === 1;
  }

  #hasBias(name: string): boolean {
    return this.weights.has(`${name}.bias`) || (this.config.architecture === 'qwen2' && /\.[qkv]_proj$/.test(name));
  }

  /**
   * `hidden · weightᵀ`, and the bias if the checkpoint has one, of modules side by side: one pass over `hidden` and
   * one kernel instead of several. The value is called `output` if given.
   */
  #linear(name: string, inputs: number, hidden: string, parts: readonly Part[], output?: string): string {
    const weight = joinRows(
      `${name}.weight`,
      parts.map((part) => this.weights.get(`${part.name}.weight`, [part.outputs, inputs])),
    );
    const hasBias = this.#hasBias(parts[0]!.name);
    const product = multiply(this.#context, weight, hidden, {name: nodeName(name), output: hasBias ? undefined : output});
    if (!hasBias) return product;
    const bias = joinRows(
      `${name}.bias`,
      parts.map((part) => this.weights.get(`${part.name}.bias`, [part.outputs])),
    );
    return this.#builder.op('Add', [product, this.#initializer(bias)], {name: `${nodeName(name)}/Add`, output});
  }

  #firstNorm(name: string, hidden: string): string {
    const weight = this.#vector(`${name}.weight`, this.config.hiddenSize);
    return this.#rmsNorm(`${nodeName(name)}/LayerNorm`, hidden, weight);
  }

  /** RMSNorm of each head on its own. */
  #headNorm(name: string, heads: number, hidden: string): string {
    const builder = this.#builder;
    const {headDim} = this.config;
    const weight = this.#vector(`${name}.weight`, headDim);
    const split = builder.op('Reshape', [hidden, builder.int64(`${name}.split_shape`, [0, 0, heads, headDim])], {
      name: `${nodeName(name)}/Reshape`,
    });
    const normed = this.#rmsNorm(`${nodeName(name)}/LayerNorm`, split, weight);
    return builder.op('Reshape', [normed, builder.int64(`${name}.joined_shape`, [0, 0, heads * headDim])], {
      name: `${nodeName(name)}/Reshape`,
    });
  }

  #rmsNorm(name: string, hidden: string, weight: string): string {
    return this.#builder.op('SimplifiedLayerNormalization', [hidden, weight], {
      name,
      attributes: {epsilon: float(this.config.rmsNormEps), axis: int(-1), stash_type: int(1)},
    });
  }

  /** The residual sum and its norm in one operator; after the last block nobody takes the sum. */
  #addAndNorm(name: string, added: string, residual: string, last = false): {sum: string; normed: string} {
    const builder = this.#builder;
    const weight = this.#vector(`${name}.weight`, this.config.hiddenSize);
    const node = `${nodeName(name)}/SkipLayerNorm`;
    const normed = `${node}/output`;
    const sum = last ? '' : `${node}/sum`;
    builder.node('SkipSimplifiedLayerNormalization', [residual, added, weight], {
      domain: MICROSOFT,
      name: node,
      outputs: last ? [normed] : [normed, '', '', sum],
      attributes: {epsilon: float(this.config.rmsNormEps)},
    });
    return {sum, normed};
  }

  #vector(name: string, size: number): string {
    return this.#initializer(this.weights.get(name, [size]));
  }

  #initializer(tensor: CheckpointTensor): string {
    return this.#builder.initializer(tensor.name, this.#type, [...tensor.shape], denseSource(tensor, this.dtype));
  }
}

/** A module of the checkpoint, and how many rows its weight has. */
interface Part {
  name: string;
  outputs: number;
}

/** `model.layers.0.mlp.up_proj` to `/model/layers.0/mlp/up_proj`, as genai names nodes. */
function nodeName(module: string): string {
  return `/${module.replace(/\.(?!\d)/g, '/')}`;
}
