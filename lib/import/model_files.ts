/** The JSON files beside an imported model: Hugging Face's config.json and onnxruntime-genai's genai_config.json. */

import type {DecoderConfig, RopeScaling} from './checkpoint.js';

/** Where a model comes from, as its config.json tells under `tensorrt_node`. */
export interface Origin {
  /** Of this package. */
  version: string;
  source: {format: 'gguf' | 'safetensors'; name: string};
  dtype: 'fp16' | 'fp32';
  /** Tensors of the checkpoint, counted by type. */
  format: Readonly<Record<string, number>>;
}

const CLASSES: Readonly<Record<DecoderConfig['architecture'], string>> = {
  llama: 'LlamaForCausalLM',
  mistral: 'MistralForCausalLM',
  qwen2: 'Qwen2ForCausalLM',
  qwen3: 'Qwen3ForCausalLM',
};

/** Every value of the config, defaults included, so that nobody has to guess. */
export function configJson(config: DecoderConfig, origin: Origin): object {
  const qwen = config.architecture === 'qwen2' || config.architecture === 'qwen3';
  return {
    architectures: [CLASSES[config.architecture]],
    model_type: config.architecture,
    hidden_size: config.hiddenSize,
    intermediate_size: config.intermediateSize,
    num_hidden_layers: config.layerCount,
    num_attention_heads: config.headCount,
    num_key_value_heads: config.kvHeadCount,
    head_dim: config.headDim,
    vocab_size: config.vocabSize,
    max_position_embeddings: config.maxPositionEmbeddings,
    hidden_act: 'silu',
    rms_norm_eps: config.rmsNormEps,
    rope_theta: config.ropeTheta,
    rope_scaling: config.ropeScaling ? ropeScalingJson(config.ropeScaling) : null,
    sliding_window: config.slidingWindow ?? null,
    ...(qwen ? {use_sliding_window: config.slidingWindow !== undefined, max_window_layers: 0} : {}),
    tie_word_embeddings: config.tieWordEmbeddings,
    bos_token_id: config.bosTokenId ?? null,
    eos_token_id: config.eosTokenIds,
    pad_token_id: config.padTokenId ?? null,
    dtype: origin.dtype === 'fp16' ? 'float16' : 'float32',
    tensorrt_node: origin,
  };
}

/** Named as in Hugging Face's configs; 'factors' is ours, they have no name for it. */
function ropeScalingJson({type, ...values}: RopeScaling): object {
  const snakeCase = (name: string) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
  return {rope_type: type, ...Object.fromEntries(Object.entries(values).map(([name, value]) => [snakeCase(name), value]))};
}

/** The least that onnxruntime-genai needs to run the model (its model builder's layout). It refuses null for a token: those unknown stay out. */
export function genaiConfigJson(config: DecoderConfig): object {
  return {
    model: {
      type: config.architecture,
      bos_token_id: config.bosTokenId,
      eos_token_id: config.eosTokenIds,
      pad_token_id: config.padTokenId ?? config.eosTokenIds[0],
      context_length: config.maxPositionEmbeddings,
      vocab_size: config.vocabSize,
      decoder: {
        session_options: {log_id: 'onnxruntime-genai', provider_options: []},
        filename: 'model.onnx',
        head_size: config.headDim,
        hidden_size: config.hiddenSize,
        num_attention_heads: config.headCount,
        num_hidden_layers: config.layerCount,
        num_key_value_heads: config.kvHeadCount,
        inputs: {
          input_ids: 'input_ids',
          attention_mask: 'attention_mask',
          past_key_names: 'past_key_values.%d.key',
          past_value_names: 'past_key_values.%d.value',
        },
        outputs: {logits: 'logits', present_key_names: 'present.%d.key', present_value_names: 'present.%d.value'},
      },
    },
    search: {
      do_sample: false,
      max_length: config.maxPositionEmbeddings,
      num_beams: 1,
      num_return_sequences: 1,
      past_present_share_buffer: true,
      repetition_penalty: 1,
      temperature: 1,
      top_k: 1,
      top_p: 1,
    },
  };
}
