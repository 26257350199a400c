/** Writes GGUF files for tests: sound ones from a config and tensors as llama.cpp's converter would, and any damaged variant of them. */

import type {CheckpointTensor, DecoderConfig, TensorType} from '../../lib/import/checkpoint.js';

export interface GgufValue {
  type: number;
  bytes: Buffer;
}

export interface GgufTensor {
  name: string;
  /** A name of TYPES, or any number. */
  type: TensorType | number;
  /** Innermost first, as in the file. */
  dimensions: readonly (number | bigint)[];
  data: Uint8Array;
  /** From the start of the data; the next aligned place if left out. */
  offset?: number | bigint;
}

export interface GgufFile {
  magic?: string;
  version?: number;
  metadata?: Readonly<Record<string, GgufValue>> | readonly (readonly [string, GgufValue])[];
  tensors?: readonly GgufTensor[];
  /** What the header claims, where that is not the truth. */
  tensorCount?: number | bigint;
  entryCount?: number | bigint;
  alignment?: number;
}

const TYPES: Record<TensorType, number> = {F32: 0, F16: 1, BF16: 30, Q8_0: 8, Q4_0: 2, Q4_1: 3, Q4_K: 12, Q5_K: 13, Q6_K: 14};

function little(bytes: number, write: (buffer: Buffer) => void): Buffer {
  const buffer = Buffer.alloc(bytes);
  write(buffer);
  return buffer;
}

export const bytes32 = (value: number) => little(4, (buffer) => buffer.writeUInt32LE(value >>> 0));
export const bytes64 = (value: number | bigint) => little(8, (buffer) => buffer.writeBigUInt64LE(BigInt.asUintN(64, BigInt(value))));
const text = (value: string | Uint8Array) => Buffer.concat([bytes64(Buffer.from(value as string).length), Buffer.from(value as string)]);
const array = (type: number, count: number, elements: Buffer): GgufValue => ({
  type: 9,
  bytes: Buffer.concat([bytes32(type), bytes64(count), elements]),
});

export const u32 = (value: number): GgufValue => ({type: 4, bytes: bytes32(value)});
export const u64 = (value: number | bigint): GgufValue => ({type: 10, bytes: bytes64(value)});
export const f32 = (value: number): GgufValue => ({type: 6, bytes: little(4, (buffer) => buffer.writeFloatLE(value))});
export const bool = (value: boolean): GgufValue => ({type: 7, bytes: Buffer.of(value ? 1 : 0)});
export const string = (value: string): GgufValue => ({type: 8, bytes: text(value)});
export const strings = (values: readonly string[]): GgufValue => array(8, values.length, Buffer.concat(values.map(text)));
export const i32s = (values: readonly number[]): GgufValue => array(5, values.length, Buffer.from(Int32Array.from(values).buffer));
export const f32s = (values: readonly number[]): GgufValue => array(6, values.length, Buffer.from(Float32Array.from(values).buffer));
/** An array whose header says more than it holds. */
export const falseArray = (type: number, count: number | bigint): GgufValue => ({
  type: 9,
  bytes: Buffer.concat([bytes32(type), bytes64(count)]),
});

export function ggufBytes({magic = 'GGUF', version = 3, metadata = {}, tensors = [], alignment = 32, ...claims}: GgufFile): Buffer {
  const entries = Array.isArray(metadata) ? metadata : Object.entries(metadata);
  const align = (at: number) => Math.ceil(at / alignment) * alignment;
  const parts: Buffer[] = [
    Buffer.from(magic),
    bytes32(version),
    bytes64(claims.tensorCount ?? tensors.length),
    bytes64(claims.entryCount ?? entries.length),
  ];
  for (const [key, value] of entries) parts.push(text(key), bytes32(value.type), value.bytes);
  let end = 0;
  const data: {offset: number; bytes: Uint8Array}[] = [];
  for (const tensor of tensors) {
    const offset = tensor.offset ?? align(end);
    parts.push(text(tensor.name), bytes32(tensor.dimensions.length), ...tensor.dimensions.map(bytes64));
    parts.push(bytes32(typeof tensor.type === 'number' ? tensor.type : TYPES[tensor.type]), bytes64(offset));
    if (typeof offset === 'number') {
      data.push({offset, bytes: tensor.data});
      end = offset + tensor.data.length;
    }
  }
  const header = Buffer.concat(parts);
  const start = data.length > 0 ? align(header.length) : header.length;
  const size = data.reduce((most, {offset, bytes}) => Math.max(most, offset + bytes.length), 0);
  const file = Buffer.alloc(start + size);
  header.copy(file);
  for (const {offset, bytes} of data) file.set(bytes, start + offset);
  return file;
}

/** Metadata of a checkpoint with this config and a byte-level tokenizer of `config.vocabSize` tokens. */
export function decoderMetadata(config: DecoderConfig): Record<string, GgufValue> {
  const {architecture: name} = config;
  return {
    'general.architecture': string(name),
    [`${name}.block_count`]: u32(config.layerCount),
    [`${name}.context_length`]: u32(config.maxPositionEmbeddings),
    [`${name}.embedding_length`]: u32(config.hiddenSize),
    [`${name}.feed_forward_length`]: u32(config.intermediateSize),
    [`${name}.attention.head_count`]: u32(config.headCount),
    [`${name}.attention.head_count_kv`]: u32(config.kvHeadCount),
    [`${name}.attention.key_length`]: u32(config.headDim),
    [`${name}.attention.value_length`]: u32(config.headDim),
    [`${name}.attention.layer_norm_rms_epsilon`]: f32(config.rmsNormEps),
    [`${name}.rope.freq_base`]: f32(config.ropeTheta),
    [`${name}.rope.dimension_count`]: u32(config.headDim),
    ...byteLevelMetadata(config.vocabSize),
  };
}

/** A control token, then letters of the byte-level alphabet, then one merge; names of no meaning fill up the rest. */
export function byteLevelMetadata(vocabSize: number): Record<string, GgufValue> {
  const tokens = ['<|end|>', ...'abcdefghijklmnopqrstuvwxyz', 'Ġ', 'th'];
  while (tokens.length < vocabSize) tokens.push(`[filler ${tokens.length}]`);
  return {
    'tokenizer.ggml.model': string('gpt2'),
    'tokenizer.ggml.pre': string('gpt-2'),
    'tokenizer.ggml.tokens': strings(tokens),
    'tokenizer.ggml.token_type': i32s(tokens.map((_, id) => (id === 0 ? 3 : 1))),
    'tokenizer.ggml.merges': strings(['t h']),
    'tokenizer.ggml.eos_token_id': u32(0),
  };
}

/** llama.cpp's names and, for 'llama', its order of the rows of q and k (`LlamaModel.permute` of its converter). */
export async function decoderTensors(config: DecoderConfig, tensors: ReadonlyMap<string, CheckpointTensor>): Promise<GgufTensor[]> {
  const written: GgufTensor[] = [];
  for (const [name, {type, shape, read}] of tensors) {
    let data = await read();
    const projection = /\.([qk])_proj\./.exec(name)?.[1];
    if (projection && config.architecture === 'llama') {
      data = permuteRows(data, projection === 'q' ? config.headCount : config.kvHeadCount, config.headDim);
    }
    written.push({name: ggufName(name), type, dimensions: [...shape].reverse(), data});
  }
  return written;
}

/** `weights.reshape(heads, 2, headDim / 2, -1).swapaxes(1, 2)` */
function permuteRows(data: Uint8Array, heads: number, headDim: number): Uint8Array {
  const row = data.length / (heads * headDim);
  const out = new Uint8Array(data.length);
  let to = 0;
  for (let head = 0; head < heads; head++) {
    for (let pair = 0; pair < headDim / 2; pair++) {
      for (let part = 0; part < 2; part++) {
        const from = (head * headDim + part * (headDim / 2) + pair) * row;
        out.set(data.subarray(from, from + row), to);
        to += row;
      }
    }
  }
  return out;
}

function ggufName(name: string): string {
  return name
    .replace('model.layers.', 'blk.')
    .replace('self_attn.q_norm', 'attn_q_norm')
    .replace('self_attn.k_norm', 'attn_k_norm')
    .replace('self_attn.q_proj', 'attn_q')
    .replace('self_attn.k_proj', 'attn_k')
    .replace('self_attn.v_proj', 'attn_v')
    .replace('self_attn.o_proj', 'attn_output')
    .replace('mlp.gate_proj', 'ffn_gate')
    .replace('mlp.up_proj', 'ffn_up')
    .replace('mlp.down_proj', 'ffn_down')
    .replace('input_layernorm', 'attn_norm')
    .replace('post_attention_layernorm', 'ffn_norm')
    .replace('model.embed_tokens', 'token_embd')
    .replace('model.norm', 'output_norm')
    .replace('lm_head', 'output');
}
