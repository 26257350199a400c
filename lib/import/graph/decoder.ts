/**
 * The decoder of the Llama family as an ONNX graph, by the convention of onnxruntime-genai's model builder: contrib
 * operators, a key/value cache as inputs and outputs.
 */

import {UnsupportedError} from '../../errors.js';
import {DataType} from '../../onnx/data_type.js';
import {float, GraphBuilder, int, string} from '../../onnx/graph_builder.js';
import type {Model} from '../../onnx/model.js';
import type {CheckpointTensor, DecoderConfig} from '../checkpoint.js';
import {BLOCK_SIZE, type BlockTensor, type BlockWeights, blockWeights, isBlockType} from './blocks.js';
import {denseSource, transposedSource} from './dense.js';
import {type FloatType, onnxType} from './float_type.js';
import {rotaryParameters, rotaryTable} from './rope.js';
import {Weights} from './weights.js';

export interface DecoderOptions {
  /** What the graph computes in: its cache, its logits, and its weights unless they stay in blocks. */
  dtype: FloatType;
  /** What errors call the checkpoint. Default 'checkpoint'. */
  label?: string;
}

const MICROSOFT = 'com.microsoft';

/**
 * A model whose weights are converted while it is written.
 *
 * Inputs: input_ids int64 [batch_size, sequence_length]; attention_mask int64 [batch_size, total_sequence_length], ones
 * then zeros (rows are padded on the right); past_key_values.N.key and .value [batch_size, kvHeadCount,
 * past_sequence_length, headDim] of `dtype`, either exactly the past or a buffer longer than the sequence that is also
 * bound as the output. Outputs: logits [batch_size, sequence_length, vocabSize] and present.N.key and .value, of `dtype`.
 *
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
  checkConfig(config, label);
  return new DecoderGraph(config, new Weights(tensors, label), dtype).build();
}

function checkConfig({headCount, kvHeadCount, headDim, slidingWindow}: DecoderConfig, label: string): void {
  if (headCount % kvHeadCount !== 0) {
    throw new UnsupportedError(`${label}: ${headCount} attention heads cannot share ${kvHeadCount} key/value heads evenly`);
  }
  // What ONNX Runtime's GroupQueryAttention asks of heads that it rotates.
  if (headDim % 16 !== 0) throw new UnsupportedError(`${label}: heads of ${headDim} elements; a multiple of 16 is needed`);
  if (slidingWindow !== undefined && slidingWindow < 1) throw new UnsupportedError(`${label}: a sliding window of ${slidingWindow}`);
}

class DecoderGraph {
  readonly #builder: GraphBuilder;
  readonly #type: DataType;

  constructor(
    readonly config: DecoderConfig,
    readonly weights: Weights,
    readonly dtype: FloatType,
  ) {
    this.#builder = GraphBuilder.create({name: config.architecture, opsets: {'': 21, [MICROSOFT]: 1}});
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
    const embedding = isBlock(table) ? blockWeights(table, this.dtype) : undefined;
    let residual = embedding ? this.#embedBlocks(table, embedding, ids) : this.#embedDense(table, ids);

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
      if (embedding) this.#matMulBlocks(table, embedding, hidden, 'logits');
      else this.#matMulTransposed(table, hidden, 'logits');
    } else {
      this.#linear('lm_head', config.hiddenSize, config.vocabSize, hidden, 'logits');
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

  #embedDense(table: CheckpointTensor, ids: string): string {
    const weight = this.#builder.initializer(table.name, this.#type, table.shape, denseSource(table, this.dtype));
    return this.#builder.op('Gather', [weight, ids], {name: '/model/embed_tokens/Gather'});
  }

  #embedBlocks(table: CheckpointTensor, blocks: BlockWeights, ids: string): string {
    const builder = this.#builder;
    const [rows, columns] = table.shape as readonly [number, number];
    // The operators of the two ends want the same bytes in different shapes: two initializers, one place in the file.
    const codes = builder.initializer(`${table.name}.codes_2d`, DataType.UINT8, [rows, (columns * blocks.bits) / 8], blocks.codes);
    const scales = builder.initializer(`${table.name}.scales`, this.#type, [rows, columns / BLOCK_SIZE], blocks.scales);
    if (!blocks.zeroPoints) {
      return builder.op('GatherBlockQuantized', [codes, ids, scales], {
        domain: MICROSOFT,
        name: '/model/embed_tokens/GatherBlockQuantized',
        attributes: {bits: int(blocks.bits), block_size: int(BLOCK_SIZE), gather_axis: int(0), quantize_axis: int(1)},
      });
    }
    const zeroPoints = builder.initializer(`${table.name}.zero_points`, DataType.FLOAT, [rows, columns / BLOCK_SIZE], blocks.zeroPoints);
    return this.#embedWithZeroPoints({codes, scales, zeroPoints}, columns, ids);
  }

  /** GatherBlockQuantized knows integer zero points alone: the few rows asked for are gathered packed and unpacked here. */
  #embedWithZeroPoints(table: {codes: string; scales: string; zeroPoints: string}, columns: number, ids: string): string {
    const builder = this.#builder;
    const op = (opType: string, inputs: string[], name: string, attributes = {}): string =>
      builder.op(opType, inputs, {name: `/model/embed_tokens/${name}`, attributes});
    const nibble = (name: string, value: number): string => builder.initializer(name, DataType.UINT8, [], Uint8Array.of(value));
    const lastAxis = builder.int64('last_axis', [-1]);
    const toFloat = {to: int(DataType.FLOAT)};

    const packed = op('Gather', [table.codes, ids], 'codes/Gather');
    const low = op('BitwiseAnd', [packed, nibble('nibble_mask', 15)], 'codes/BitwiseAnd');
    const high = op('BitShift', [packed, nibble('nibble_shift', 4)], 'codes/BitShift', {direction: string('RIGHT')});
    const pairs = op(
      'Concat',
      [op('Unsqueeze', [low, lastAxis], 'codes/Unsqueeze'), op('Unsqueeze', [high, lastAxis], 'codes/Unsqueeze')],
      'codes/Concat',
      {axis: int(-1)},
    );
    const blocked = op('Reshape', [pairs, builder.int64('blocked_shape', [0, 0, columns / BLOCK_SIZE, BLOCK_SIZE])], 'codes/Reshape');
    const codes = op('Cast', [blocked], 'codes/Cast', toFloat);
    const perBlock = (initializer: string, name: string): string =>
      op('Unsqueeze', [op('Gather', [initializer, ids], `${name}/Gather`), lastAxis], `${name}/Unsqueeze`);
    const scales = perBlock(table.scales, 'scales');
    const wide = this.dtype === 'fp32' ? scales : op('Cast', [scales], 'scales/Cast', toFloat);
    const values = op('Mul', [op('Sub', [codes, perBlock(table.zeroPoints, 'zero_points')], 'Sub'), wide], 'Mul');
    const rows = op('Reshape', [values, builder.int64('row_shape', [0, 0, columns])], 'Reshape');
    return this.dtype === 'fp32' ? rows : op('Cast', [rows], 'Cast', {to: int(this.#type)});
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
    const cacheSize = config.kvHeadCount * config.headDim;
    let query = this.#linear(`${name}.q_proj`, config.hiddenSize, querySize, hidden);
    let key = this.#linear(`${name}.k_proj`, config.hiddenSize, cacheSize, hidden);
    const value = this.#linear(`${name}.v_proj`, config.hiddenSize, cacheSize, hidden);
    if (config.architecture === 'qwen3') {
      query = this.#headNorm(`${name}.q_norm`, config.headCount, query);
      key = this.#headNorm(`${name}.k_norm`, config.kvHeadCount, key);
    }

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
    return this.#linear(`${name}.o_proj`, querySize, config.hiddenSize, attended);
  }

  #mlp(name: string, hidden: string): string {
    const {hiddenSize, intermediateSize} = this.config;
    const builder = this.#builder;
    const gate = this.#linear(`${name}.gate_proj`, hiddenSize, intermediateSize, hidden);
    const up = this.#linear(`${name}.up_proj`, hiddenSize, intermediateSize, hidden);
    // SiLU: x * sigmoid(x).
    const sigmoid = builder.op('Sigmoid', [gate], {name: `${nodeName(name)}/act_fn/Sigmoid`});
    const activated = builder.op('Mul', [gate, sigmoid], {name: `${nodeName(name)}/act_fn/Mul`});
    const product = builder.op('Mul', [activated, up], {name: `${nodeName(name)}/Mul`});
    return this.#linear(`${name}.down_proj`, intermediateSize, hiddenSize, product);
  }

  /** `hidden · weightᵀ`, and the bias if the checkpoint has one; the value is called `output` if given. */
  #linear(name: string, inputs: number, outputs: number, hidden: string, output?: string): string {
    const weight = this.weights.get(`${name}.weight`, [outputs, inputs]);
    const hasBias = this.weights.has(`${name}.bias`) || (this.config.architecture === 'qwen2' && /\.[qkv]_proj$/.test(name));
    const product = isBlock(weight)
      ? this.#matMulBlocks(weight, blockWeights(weight, this.dtype), hidden, hasBias ? undefined : output)
      : this.#matMulDense(weight, hidden, hasBias ? undefined : output);
    if (!hasBias) return product;
    const bias = this.#vector(`${name}.bias`, outputs);
    return this.#builder.op('Add', [product, bias], {name: `${nodeName(name)}/Add`, output});
  }

  #matMulDense(weight: CheckpointTensor, hidden: string, output: string | undefined): string {
    const [outputs, inputs] = weight.shape as readonly [number, number];
    const transposed = this.#builder.initializer(weight.name, this.#type, [inputs, outputs], transposedSource(weight, this.dtype));
    return this.#builder.op('MatMul', [hidden, transposed], {name: `${nodeName(weight.name)}/MatMul`, output});
  }

  /** With the matrix as the embedding stores it. ONNX Runtime transposes a constant once, at load, as it packs it anyway. */
  #matMulTransposed(weight: CheckpointTensor, hidden: string, output: string): string {
    const transposed = this.#builder.op('Transpose', [weight.name], {name: '/lm_head/Transpose'});
    return this.#builder.op('MatMul', [hidden, transposed], {name: '/lm_head/MatMul', output});
  }

  #matMulBlocks(weight: CheckpointTensor, {bits, ...sources}: BlockWeights, hidden: string, output: string | undefined): string {
    const [outputs, inputs] = weight.shape as readonly [number, number];
    const builder = this.#builder;
    const blocks = inputs / BLOCK_SIZE;
    const codes = builder.initializer(`${weight.name}.codes`, DataType.UINT8, [outputs, blocks, (BLOCK_SIZE * bits) / 8], sources.codes);
    // The embedding may have brought the other two already.
    const initializer = (name: string, type: DataType, source: BlockWeights['scales']): string =>
      builder.has(name) ? name : builder.initializer(name, type, [outputs, blocks], source);
    const scales = initializer(`${weight.name}.scales`, this.#type, sources.scales);
    const zeroPoints = sources.zeroPoints ? [initializer(`${weight.name}.zero_points`, DataType.FLOAT, sources.zeroPoints)] : [];
    return this.#builder.op('MatMulNBits', [hidden, codes, scales, ...zeroPoints], {
      domain: MICROSOFT,
      name: `${nodeName(weight.name)}/MatMulNBits`,
      output,
      attributes: {K: int(inputs), N: int(outputs), bits: int(bits), block_size: int(BLOCK_SIZE)},
    });
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
    const tensor = this.weights.get(name, [size]);
    return this.#builder.initializer(name, this.#type, [size], denseSource(tensor, this.dtype));
  }
}

function isBlock(tensor: CheckpointTensor): tensor is BlockTensor {
  return isBlockType(tensor.type);
}

/** `model.layers.0.mlp.up_proj.weight` to `/model/layers.0/mlp/up_proj`: what genai calls the node. */
function nodeName(tensor: string): string {
  const path = tensor.replace(/\.weight$/, '').replace(/\.(?!\d)/g, '/');
  return `/${path}`;
}
