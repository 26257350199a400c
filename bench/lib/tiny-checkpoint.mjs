/**
 * Writes small Hugging Face folders of the Llama family with random weights: config.json, model.safetensors and a
 * byte-level tokenizer. Weights are scaled so that activations keep their size from layer to layer and logits
 * spread over several units, as in a trained model; with PyTorch's default of 0.02 every token would be as likely.
 */

import {mkdirSync, writeFileSync} from 'node:fs';
import path from 'node:path';

import {normal, uniform} from './random.mjs';

/** `config` is config.json's content; `head_dim` may be left out. Returns the folder. */
export function writeTinyCheckpoint(folder, config, seed) {
  mkdirSync(folder, {recursive: true});
  writeFileSync(path.join(folder, 'config.json'), JSON.stringify(config, null, 2));
  writeFileSync(path.join(folder, 'model.safetensors'), safetensors(weights(config, normal(uniform(seed)))));
  const {tokenizer, tokenizerConfig} = byteTokenizer(config.vocab_size);
  writeFileSync(path.join(folder, 'tokenizer.json'), JSON.stringify(tokenizer));
  writeFileSync(path.join(folder, 'tokenizer_config.json'), JSON.stringify(tokenizerConfig, null, 2));
  return folder;
}

/** A Llama of about 100,000 parameters, for tests of everything but the numbers. */
export const TINY_LLAMA = {
  architectures: ['LlamaForCausalLM'],
  model_type: 'llama',
  hidden_size: 64,
  intermediate_size: 128,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  vocab_size: 320,
  max_position_embeddings: 256,
  rms_norm_eps: 1e-5,
  rope_theta: 10000,
  hidden_act: 'silu',
  tie_word_embeddings: true,
  bos_token_id: 256,
  eos_token_id: 257,
  torch_dtype: 'float32',
};

function weights(config, gaussian) {
  const hidden = config.hidden_size;
  const headDim = config.head_dim ?? hidden / config.num_attention_heads;
  const queries = config.num_attention_heads * headDim;
  const keys = config.num_key_value_heads * headDim;
  const qkvBias = config.model_type === 'qwen2';
  const qkNorm = config.model_type === 'qwen3';

  const random = (shape, scale, mean = 0) => {
    const data = new Float32Array(shape.reduce((product, n) => product * n, 1));
    for (let i = 0; i < data.length; i++) data[i] = mean + scale * gaussian();
    return {shape, data};
  };
  const linear = (out, inputs, gain = 1) => random([out, inputs], gain / Math.sqrt(inputs));
  const norm = (size) => random([size], 0.2, 1);

  const tensors = {'model.embed_tokens.weight': random([config.vocab_size, hidden], 3 / Math.sqrt(hidden))};
  for (let layer = 0; layer < config.num_hidden_layers; layer++) {
    const prefix = `model.layers.${layer}`;
    tensors[`${prefix}.input_layernorm.weight`] = norm(hidden);
    for (const [name, size] of [
      ['q_proj', queries],
      ['k_proj', keys],
      ['v_proj', keys],
    ]) {
      tensors[`${prefix}.self_attn.${name}.weight`] = linear(size, hidden, 1.5);
      if (qkvBias) tensors[`${prefix}.self_attn.${name}.bias`] = random([size], 0.5);
    }
    if (qkNorm) {
      tensors[`${prefix}.self_attn.q_norm.weight`] = norm(headDim);
      tensors[`${prefix}.self_attn.k_norm.weight`] = norm(headDim);
    }
    tensors[`${prefix}.self_attn.o_proj.weight`] = linear(hidden, queries);
    tensors[`${prefix}.post_attention_layernorm.weight`] = norm(hidden);
    tensors[`${prefix}.mlp.gate_proj.weight`] = linear(config.intermediate_size, hidden, 1.5);
    tensors[`${prefix}.mlp.up_proj.weight`] = linear(config.intermediate_size, hidden, 1.5);
    tensors[`${prefix}.mlp.down_proj.weight`] = linear(hidden, config.intermediate_size);
  }
  tensors['model.norm.weight'] = norm(hidden);
  if (!config.tie_word_embeddings) tensors['lm_head.weight'] = linear(config.vocab_size, hidden, 3);
  return tensors;
}

function safetensors(tensors) {
  const header = {__metadata__: {format: 'pt'}};
  let offset = 0;
  for (const [name, {shape, data}] of Object.entries(tensors)) {
    header[name] = {dtype: 'F32', shape, data_offsets: [offset, offset + data.byteLength]};
    offset += data.byteLength;
  }
  let json = JSON.stringify(header);
  json += ' '.repeat((8 - (json.length % 8)) % 8);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  return Buffer.concat([
    length,
    Buffer.from(json),
    ...Object.values(tensors).map(({data}) => Buffer.from(data.buffer, data.byteOffset, data.byteLength)),
  ]);
}

/** GPT-2's byte-level BPE with a handful of merges: ids 0 to 255 are bytes, then special tokens, merges and filler. */
function byteTokenizer(vocabSize) {
  const bytes = byteCharacters();
  const special = ['<|endoftext|>', '<|im_end|>', '<|im_start|>'];
  const merges = ['t h', 'th e', 'i n', 'a n', 'an d', 'o r', 'e r', 'Ġ t', 'Ġ a', 'o n'];
  const vocab = {};
  for (const [byte, character] of bytes.entries()) vocab[character] = byte;
  for (const token of special) vocab[token] = Object.keys(vocab).length;
  for (const merge of merges) vocab[merge.replace(' ', '')] = Object.keys(vocab).length;
  if (vocabSize < Object.keys(vocab).length) throw new Error(`vocab_size must be at least ${Object.keys(vocab).length}`);
  for (let id = Object.keys(vocab).length; id < vocabSize; id++) vocab[`filler${id}`] = id;

  const tokenizer = {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: special.map((content) => ({
      id: vocab[content],
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
    })),
    normalizer: null,
    pre_tokenizer: {type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true},
    post_processor: null,
    decoder: {type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true},
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab,
      merges,
    },
  };
  const tokenizerConfig = {
    tokenizer_class: 'GPT2Tokenizer',
    bos_token: '<|endoftext|>',
    eos_token: '<|im_end|>',
    clean_up_tokenization_spaces: false,
    model_max_length: 256,
    chat_template:
      "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}{% endfor %}" +
      "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}",
  };
  return {tokenizer, tokenizerConfig};
}

/** The printable character that stands for each byte in GPT-2's vocabulary. */
function byteCharacters() {
  const printable = (byte) => (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
  let shifted = 256;
  return Array.from({length: 256}, (_, byte) => String.fromCodePoint(printable(byte) ? byte : shifted++));
}
