/** What a checkpoint reader (GGUF, safetensors) gives to the graph builder: a config, named tensors, tokenizer files. */

export type TensorType = 'F32' | 'F16' | 'BF16' | 'Q8_0' | 'Q4_0' | 'Q4_1' | 'Q4_K' | 'Q5_K' | 'Q6_K';

/** A tensor as the checkpoint stores it. Its bytes stay on disk until `read`. */
export interface CheckpointTensor {
  /** Hugging Face's name, whatever the source: `model.layers.0.self_attn.q_proj.weight`. */
  name: string;
  type: TensorType;
  /** Row-major, outermost first: a Linear's weight is [out_features, in_features]. Rows of `in_features` hold the blocks. */
  shape: readonly number[];
  /** Bytes `read` returns: rows in order, blocks as the format defines them. */
  byteLength: number;
  /** The raw bytes, freshly read. Rows in Hugging Face's order (llama.cpp's q/k permutation already undone). */
  read(): Promise<Uint8Array>;
}

export type RopeScaling =
  | {type: 'linear'; factor: number}
  | {type: 'llama3'; factor: number; lowFreqFactor: number; highFreqFactor: number; originalMaxPositionEmbeddings: number}
  | {type: 'yarn'; factor: number; originalMaxPositionEmbeddings: number; betaFast: number; betaSlow: number; attentionFactor: number}
  | {
      type: 'longrope';
      shortFactor: readonly number[];
      longFactor: readonly number[];
      originalMaxPositionEmbeddings: number;
      attentionFactor: number;
    }
  /** GGUF's `rope_freqs.weight`: each inverse frequency is divided by its factor. */
  | {type: 'factors'; factors: readonly number[]};

/** The Llama family in one shape; names as in Hugging Face's config.json. */
export interface DecoderConfig {
  architecture: 'llama' | 'mistral' | 'qwen2' | 'qwen3';
  hiddenSize: number;
  intermediateSize: number;
  layerCount: number;
  headCount: number;
  kvHeadCount: number;
  headDim: number;
  vocabSize: number;
  maxPositionEmbeddings: number;
  rmsNormEps: number;
  ropeTheta: number;
  ropeScaling?: RopeScaling;
  /** Tokens a query looks back on; undefined for full attention. */
  slidingWindow?: number;
  tieWordEmbeddings: boolean;
  bosTokenId?: number;
  /** All the tokens that end a reply. */
  eosTokenIds: readonly number[];
  padTokenId?: number;
}

/** Text of the files that go beside the model. */
export interface TokenizerFiles {
  /** tokenizer.json: read as it is, or rebuilt from GGUF's vocabulary and merges. */
  tokenizerJson: string;
  /** tokenizer_config.json, with `chat_template` inside when the source has one. */
  tokenizerConfigJson: string;
}

export interface Checkpoint extends AsyncDisposable {
  /** 'gguf' or 'safetensors', and where from, for messages. */
  readonly format: 'gguf' | 'safetensors';
  readonly path: string;
  readonly config: DecoderConfig;
  /** By Hugging Face name. `lm_head.weight` is absent when the embeddings are tied. */
  readonly tensors: ReadonlyMap<string, CheckpointTensor>;
  readonly tokenizer: TokenizerFiles;
}
