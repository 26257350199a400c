/** Small checkpoints with random weights of any tensor type, the same for the same seed. */

import type {CheckpointTensor, DecoderConfig, TensorType} from '../../lib/import/checkpoint.js';
import {BLOCKS} from '../../lib/import/numeric/blocks.js';
import {float32ToFloat16} from '../../lib/import/numeric/float16.js';

/** Four heads of 48 that share two: neither 64 nor hidden / heads. */
export function tinyConfig(changes: Partial<DecoderConfig> = {}): DecoderConfig {
  return {
    architecture: 'llama',
    hiddenSize: 64,
    intermediateSize: 96,
    layerCount: 2,
    headCount: 4,
    kvHeadCount: 2,
    headDim: 48,
    vocabSize: 80,
    maxPositionEmbeddings: 64,
    rmsNormEps: 1e-5,
    ropeTheta: 10_000,
    tieWordEmbeddings: false,
    eosTokenIds: [0],
    ...changes,
  };
}

export interface RandomCheckpointOptions {
  seed?: number;
  /** Type of each matrix by name; F32 where it gives none. Vectors are F32. */
  type?: (name: string) => TensorType | undefined;
  /** Biases on all projections, as `attention_bias` and `mlp_bias` give Llama. Qwen2 has those of q, k and v anyway. */
  biases?: boolean;
}

/** The tensors `config` asks for. */
export function randomTensors(
  config: DecoderConfig,
  {seed = 1, type, biases = false}: RandomCheckpointOptions = {},
): Map<string, CheckpointTensor> {
  const random = mulberry32(seed);
  const tensors = new Map<string, CheckpointTensor>();
  const matrix = (name: string, rows: number, columns: number): void => {
    tensors.set(name, randomTensor(name, type?.(name) ?? 'F32', [rows, columns], random));
  };
  const vector = (name: string, size: number, mean: number): void => {
    const values = Float32Array.from({length: size}, () => mean + (random() - 0.5) * 0.4);
    tensors.set(name, tensorOf(name, 'F32', [size], new Uint8Array(values.buffer)));
  };
  const linear = (name: string, rows: number, columns: number, bias: boolean): void => {
    matrix(`${name}.weight`, rows, columns);
    if (bias) vector(`${name}.bias`, rows, 0);
  };

  const {hiddenSize, intermediateSize, headCount, kvHeadCount, headDim, vocabSize, architecture} = config;
  matrix('model.embed_tokens.weight', vocabSize, hiddenSize);
  for (let layer = 0; layer < config.layerCount; layer++) {
    const name = `model.layers.${layer}`;
    vector(`${name}.input_layernorm.weight`, hiddenSize, 1);
    vector(`${name}.post_attention_layernorm.weight`, hiddenSize, 1);
    for (const [part, heads] of [
      ['q', headCount],
      ['k', kvHeadCount],
      ['v', kvHeadCount],
    ] as const) {
      linear(`${name}.self_attn.${part}_proj`, heads * headDim, hiddenSize, biases || architecture === 'qwen2');
      if (architecture === 'qwen3' && part !== 'v') vector(`${name}.self_attn.${part}_norm.weight`, headDim, 1);
    }
    linear(`${name}.self_attn.o_proj`, hiddenSize, headCount * headDim, biases);
    linear(`${name}.mlp.gate_proj`, intermediateSize, hiddenSize, biases);
    linear(`${name}.mlp.up_proj`, intermediateSize, hiddenSize, biases);
    linear(`${name}.mlp.down_proj`, hiddenSize, intermediateSize, biases);
  }
  vector('model.norm.weight', hiddenSize, 1);
  if (!config.tieWordEmbeddings) matrix('lm_head.weight', vocabSize, hiddenSize);
  return tensors;
}

export function tensorOf(name: string, type: TensorType, shape: readonly number[], bytes: Uint8Array): CheckpointTensor {
  return {name, type, shape, byteLength: bytes.byteLength, read: async () => bytes.slice()};
}

/** Values of about 1 / sqrt(columns) either way. In types with offsets some blocks are constant, some zero. */
export function randomTensor(name: string, type: TensorType, shape: readonly [number, number], random: () => number): CheckpointTensor {
  const [rows, columns] = shape;
  const reach = 1.7 / Math.sqrt(columns);
  const elements = rows * columns;
  const plain = () => Float32Array.from({length: elements}, () => (random() * 2 - 1) * reach);
  switch (type) {
    case 'F32':
      return tensorOf(name, type, shape, new Uint8Array(plain().buffer));
    case 'F16':
      return tensorOf(name, type, shape, new Uint8Array(float32ToFloat16(plain()).buffer));
    case 'BF16':
      return tensorOf(name, type, shape, new Uint8Array(Uint16Array.from(new Uint32Array(plain().buffer), (word) => word >>> 16).buffer));
    default: {
      const layout = BLOCKS[type];
      const blocks = elements / layout.elements;
      const bytes = Uint8Array.from({length: blocks * layout.bytes}, () => random() * 256);
      const view = new DataView(bytes.buffer);
      for (let block = 0; block < blocks; block++) {
        const kind = random();
        const constant = kind < 0.1;
        for (const [at, value] of blockHalves(type, reach * (0.5 + random()))) {
          view.setUint16(
            block * layout.bytes + at,
            float32ToFloat16(Float32Array.of(constant && at === 0 ? 0 : kind < 0.05 ? 0 : value))[0]!,
            true,
          );
        }
      }
      return tensorOf(name, type, shape, bytes);
    }
  }
}

/** Where a block keeps its halves, and values for them that make its elements reach about `reach`. */
function blockHalves(type: Exclude<TensorType, 'F32' | 'F16' | 'BF16'>, reach: number): [number, number][] {
  switch (type) {
    case 'Q8_0':
      return [[0, reach / 127]];
    case 'Q4_0':
      return [[0, reach / 8]];
    case 'Q4_1':
      return [
        [0, reach / 8],
        [2, -reach],
      ];
    case 'Q4_K':
      return [
        [0, reach / 8 / 32],
        [2, reach / 32],
      ];
    case 'Q5_K':
      return [
        [0, reach / 16 / 32],
        [2, reach / 32],
      ];
    case 'Q6_K':
      return [[208, reach / 32 / 64]];
  }
}

/** A generator of numbers in [0, 1) (T. Ettinger's mulberry32). */
export function mulberry32(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
