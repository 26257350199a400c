/** Lowers a decoder's ONNX model to parts that TensorRT builds without weights. */

import {create} from '@bufbuild/protobuf';
import {KV_CACHE_TYPES, type KvCacheType} from '../backend/kv_cache_type.js';

import {OptionError, throwIfAborted, UnsupportedError} from '../errors.js';
import {DataType} from '../onnx/data_type.js';
import {foldConstants} from '../onnx/lower/fold_constants.js';
import {fuseActivation} from '../onnx/lower/fuse_activation.js';
import {fuseAttention} from '../onnx/lower/fuse_attention.js';
import {fuseRmsNorm} from '../onnx/lower/fuse_rms_norm.js';
import {fuseRotary} from '../onnx/lower/fuse_rotary.js';
import {removeUnused} from '../onnx/lower/remove_unused.js';
import {splitSkipNorm} from '../onnx/lower/split_skip_norm.js';
import {Model, tensorsOf} from '../onnx/model.js';
import {GraphProtoSchema, ModelProtoSchema, NodeProtoSchema} from '../onnx/onnx_pb.js';
import {integer, oneOf} from '../options.js';
import {cutIntoBlocks, type Section, signature} from './blocks.js';
import {type EmitOptions, emitSection, type NamedWeight} from './emit.js';
import type {ByRange, DecoderPart, DecoderShape, Execution, LoweredDecoder} from './lowered_decoder.js';
import type {OperatorOf, RowsGraph, Weight} from './rows_graph.js';
import {loadSources} from './translate/constants.js';
import {translate} from './translate/translate.js';
import {type WeightRef, weightKey} from './weight_ref.js';

export interface LowerOptions {
  /** Default: bfloat16 where the model's weights are, else float16. */
  type?: 'float16' | 'bfloat16';
  /** Positions of rotary tables that the graph does not hold but computes. Default 4096. */
  maxPositions?: number;
  /** Whether quantized weights become floats of `type` when they are loaded. Default false: they stay as they are. */
  dequantize?: boolean;
  /** What pages of the key/value cache hold. Default 'auto': `type`. */
  kvCacheType?: KvCacheType;
  signal?: AbortSignal;
}

/** Tokens in a page of the key/value cache. */
const PAGE_SIZE = 64;

/**
 * `model`, which is not changed, follows the contract: input_ids, past_key_values.N.key and .value, logits.
 * Throws OptionError; UnsupportedError that names the node which cannot be lowered, and why; FormatError (ERR_ONNX) for a
 * graph that makes no sense; AbortError.
 */
export async function lowerDecoder(
  model: Model,
  {type, dequantize = false, kvCacheType = 'auto', signal, ...options}: LowerOptions = {},
): Promise<LoweredDecoder> {
  if (type !== undefined && type !== 'float16' && type !== 'bfloat16') throw new OptionError('type', "'float16' or 'bfloat16'", type);
  oneOf('kvCacheType', kvCacheType, KV_CACHE_TYPES);
  const maxPositions = integer('maxPositions', options.maxPositions ?? 4096, {min: 1});
  throwIfAborted(signal);
  const copy = copyModel(model);
  await loadSources(copy);
  await canonicalize(copy, maxPositions, signal);

  const {graph, logits} = translate(copy);
  const sections = cutIntoBlocks(graph, logits, copy.label);
  const shape = shapeOf(graph, sections, {type: type ?? typeOf(model), maxPositions, kvCacheType, label: copy.label});
  return assemble(graph, sections, {shape, dequantize});
}

/** Changes `model` to the few forms that `translate` knows; it computes the same. */
async function canonicalize(model: Model, maxPositions: number, signal: AbortSignal | undefined): Promise<void> {
  // The cache is the runtime's: what goes into it need not be named.
  model.graph.output = model.graph.output.filter(({name}) => name === 'logits');
  if (model.graph.output.length === 0) throw new UnsupportedError(`${model.label}: has no output 'logits'`);
  removeUnused(model.graph);
  await foldConstants(model);
  throwIfAborted(signal);
  splitSkipNorm(model);
  fuseRmsNorm(model);
  fuseActivation(model);
  await fuseRotary(model, maxPositions);
  throwIfAborted(signal);
  await fuseAttention(model, maxPositions);
  throwIfAborted(signal);
}

/** A model whose nodes can be changed; tensors and their bytes are shared. */
function copyModel(model: Model): Model {
  const {graph} = model;
  // `create` would take a copied message as it is, without the defaults that its prototype has.
  const node = graph.node.map((each) =>
    Object.assign(create(NodeProtoSchema), each, {input: [...each.input], output: [...each.output], attribute: [...each.attribute]}),
  );
  const copied = Object.assign(create(GraphProtoSchema), graph, {
    node,
    input: [...graph.input],
    output: [...graph.output],
    initializer: [...graph.initializer],
  });
  const proto = Object.assign(create(ModelProtoSchema), model.proto, {graph: copied, opsetImport: [...model.proto.opsetImport]});
  const copy = new Model(proto, model.path, model.fileBytes);
  for (const tensor of tensorsOf(model.proto)) if (tensor.dataType !== DataType.STRING) copy.setSource(tensor, model.source(tensor));
  return copy;
}

function typeOf({graph}: Model): 'float16' | 'bfloat16' {
  return graph.initializer.some(({dataType, dims}) => dataType === DataType.BFLOAT16 && dims.length > 1) ? 'bfloat16' : 'float16';
}

interface ShapeContext {
  type: 'float16' | 'bfloat16';
  maxPositions: number;
  kvCacheType: KvCacheType;
  label: string;
}

function shapeOf(graph: RowsGraph, sections: readonly Section[], {type, maxPositions, kvCacheType, label}: ShapeContext): DecoderShape {
  const attentions = sections.flatMap(({values}) => values.flatMap((value) => graph.as(value, 'Attention') ?? []));
  const first = attentions[0]!.shape;
  for (const [layer, {shape}] of attentions.entries()) {
    // One page number serves all layers.
    if (shape.kvHeads !== first.kvHeads || shape.headSize !== first.headSize) {
      throw new UnsupportedError(
        `${label}: layer ${layer} has ${shape.kvHeads} key/value heads of ${shape.headSize}, layer 0 ${first.kvHeads} of ${first.headSize}`,
      );
    }
  }
  const rotated = attentions.find(({rotary}) => rotary !== undefined);
  const norm = sections[1]!.values
    .map((value) => graph.as(value, 'RmsNorm'))
    .find((each): each is OperatorOf<'RmsNorm'> => each !== undefined);
  const positions = attentions.flatMap(({rotary}) => (rotary ? [rotary.cos.outer] : []));
  return {
    type,
    layers: attentions.length,
    heads: first.heads,
    kvHeads: first.kvHeads,
    headSize: first.headSize,
    rotarySize: rotated?.shape.rotarySize ?? 0,
    interleaved: rotated?.shape.interleaved ?? false,
    hiddenSize: graph.get(sections[1]!.input!).width,
    vocabularySize: graph.get(sections.at(-1)!.values.at(-1)!).width,
    maxPositions: positions.length > 0 ? Math.min(...positions) : maxPositions,
    windows: attentions.map(({shape}) => shape.window),
    scale: first.scale,
    softcap: first.softcap,
    epsilon: norm?.epsilon ?? 0,
    pageSize: PAGE_SIZE,
    kvCacheType,
  };
}

type PartOptions = Omit<EmitOptions, 'range'>;

function assemble(graph: RowsGraph, sections: readonly Section[], options: PartOptions): LoweredDecoder {
  const parts: DecoderPart[] = [];
  const sequence: Execution[] = [];
  const models = new Map<string, ByRange<Model>>();
  const names = new Map<string, string>();
  const weights = new WeightTable();
  for (const section of sections) {
    const decode = emitSection(graph, section, {...options, range: 'decode'});
    const key = JSON.stringify([signature(graph, section), decode.weights.map(({packed}) => packed)]);
    let name = names.get(key);
    if (name === undefined) {
      const alike = parts.filter(({kind}) => kind === section.kind).length;
      name = alike === 0 ? section.kind : `${section.kind}_${alike}`;
      names.set(key, name);
      parts.push({
        name,
        kind: section.kind,
        weights: decode.weights.map(({weight: _, ...input}) => input),
      });
      models.set(name, modelsOf(graph, section, options, decode.model));
    }
    const layer = section.values.map((value) => graph.as(value, 'Attention')?.layer).find((each) => each !== undefined);
    sequence.push({
      part: name,
      ...(layer === undefined ? {} : {layer}),
      weights: Object.fromEntries(decode.weights.map((weight) => [weight.name, weights.add(weight)])),
    });
  }
  return {shape: options.shape, parts, sequence, weights: weights.refs, models};
}

/** A prologue looks rows up, and an epilogue is for the rows whose logits are wanted, which are few in every step. */
function modelsOf(graph: RowsGraph, section: Section, options: PartOptions, decode: Model): ByRange<Model> {
  if (section.kind !== 'block') return {decode};
  const emit = (range: 'wide' | 'prefill') => emitSection(graph, section, {...options, range}).model;
  return {decode, wide: emit('wide'), prefill: emit('prefill')};
}

/** Each weight once. */
class WeightTable {
  readonly refs: WeightRef[] = [];
  readonly #places = new Map<string, number>();
  /** Tables are the same object in each layer: spares their keys. */
  readonly #known = new Map<Weight, number>();

  add({weight, type, shape, packed}: NamedWeight): number {
    const known = this.#known.get(weight);
    if (known !== undefined && packed === undefined && this.refs[known]!.type === type) return known;
    const ref: WeightRef = {type, shape, rows: weight.rows, ...(packed === undefined ? {} : {packed})};
    const key = weightKey(ref);
    let place = this.#places.get(key);
    if (place === undefined) {
      place = this.refs.push(ref) - 1;
      this.#places.set(key, place);
    }
    this.#known.set(weight, place);
    return place;
  }
}
