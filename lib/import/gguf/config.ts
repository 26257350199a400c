/** A GGUF file's metadata as a DecoderConfig. Keys: docs/gguf.md of ggml and llama-arch.cpp of llama.cpp. */

import {FormatError, UnsupportedError} from '../../errors.js';
import type {DecoderConfig, RopeScaling} from '../checkpoint.js';
import type {Metadata} from './metadata.js';

const ARCHITECTURES = ['llama', 'qwen2', 'qwen3'] as const;

/** What the tensors say and the metadata does not. */
export interface TensorFacts {
  vocabSize: number;
  tieWordEmbeddings: boolean;
  /** `rope_freqs.weight`. */
  ropeFactors?: readonly number[];
  /** `rope_factors_short.weight` and `rope_factors_long.weight`. */
  ropeShortFactor?: readonly number[];
  ropeLongFactor?: readonly number[];
}

export interface SpecialTokenIds {
  bosTokenId?: number;
  eosTokenIds: readonly number[];
  padTokenId?: number;
}

/** 'llama' (Llama, Mistral, SmolLM), 'qwen2' or 'qwen3'; UnsupportedError names any other. */
export function readArchitecture(metadata: Metadata): (typeof ARCHITECTURES)[number] {
  const name = metadata.string('general.architecture');
  const known = ARCHITECTURES.find((each) => each === name);
  if (known) return known;
  throw new UnsupportedError(
    name === undefined ? 'the GGUF file names no general.architecture' : `the GGUF architecture ${JSON.stringify(name)} is not read`,
    `architectures read: ${ARCHITECTURES.join(', ')}`,
  );
}

export function readConfig(path: string, metadata: Metadata, facts: TensorFacts, tokens: SpecialTokenIds): DecoderConfig {
  const architecture = readArchitecture(metadata);
  const keys = new ArchitectureKeys(path, metadata, architecture);
  if ((keys.integer('expert_count') ?? 0) > 0)
    throw new UnsupportedError(`mixtures of experts are not read (${architecture}.expert_count)`);
  if (metadata.get(`${architecture}.attention.sliding_window_pattern`) !== undefined) {
    throw new UnsupportedError(`layers that differ in attention are not read (${architecture}.attention.sliding_window_pattern)`);
  }

  const hiddenSize = keys.required('embedding_length');
  const headCount = keys.required('attention.head_count');
  const headDim = keys.integer('attention.key_length') ?? hiddenSize / headCount;
  const valueDim = keys.integer('attention.value_length') ?? headDim;
  if (valueDim !== headDim) throw new UnsupportedError(`values of another length (${valueDim}) than keys (${headDim}) are not read`);
  const rotaryDim = keys.integer('rope.dimension_count') ?? headDim;
  if (rotaryDim !== headDim) {
    throw new UnsupportedError(
      `rotary embeddings on ${rotaryDim} of ${headDim} dimensions are not read (${architecture}.rope.dimension_count)`,
    );
  }
  const maxPositionEmbeddings = keys.required('context_length');
  const slidingWindow = keys.integer('attention.sliding_window');

  return {
    architecture,
    hiddenSize,
    intermediateSize: keys.required('feed_forward_length'),
    layerCount: keys.required('block_count'),
    headCount,
    kvHeadCount: keys.integer('attention.head_count_kv') ?? headCount,
    headDim,
    vocabSize: facts.vocabSize,
    maxPositionEmbeddings,
    rmsNormEps: shortest(keys.requiredNumber('attention.layer_norm_rms_epsilon')),
    ropeTheta: shortest(keys.number('rope.freq_base') ?? 10_000),
    ropeScaling: readRopeScaling(keys, facts, maxPositionEmbeddings),
    slidingWindow: slidingWindow === 0 ? undefined : slidingWindow,
    tieWordEmbeddings: facts.tieWordEmbeddings,
    ...tokens,
  };
}

function readRopeScaling(keys: ArchitectureKeys, facts: TensorFacts, contextLength: number): RopeScaling | undefined {
  const type = keys.string('rope.scaling.type') ?? 'linear'; // llama.cpp's default, which does nothing without a factor
  const factor = shortest(keys.number('rope.scaling.factor') ?? keys.number('rope.scale_linear') ?? 1);
  const original = keys.integer('rope.scaling.original_context_length') ?? contextLength;
  const attention = shortest(keys.number('rope.scaling.attn_factor') ?? 1);

  const scaling = ((): RopeScaling | undefined => {
    switch (type) {
      case 'none':
        return undefined;
      case 'linear':
        // 0 stands for "no scaling" in files of llama.cpp's early days.
        return factor === 1 || factor === 0 ? undefined : {type, factor};
      case 'yarn':
        for (const key of ['rope.scaling.yarn_log_multiplier', 'rope.scaling.yarn_ext_factor', 'rope.scaling.yarn_attn_factor']) {
          const value = keys.number(key);
          const neutral = key.endsWith('log_multiplier') ? 0 : 1;
          if (value !== undefined && value !== neutral)
            throw new UnsupportedError(`rope scaling with ${keys.name(key)} ${value} is not read`);
        }
        return {
          type,
          factor,
          originalMaxPositionEmbeddings: original,
          betaFast: keys.number('rope.scaling.yarn_beta_fast') ?? 32,
          betaSlow: keys.number('rope.scaling.yarn_beta_slow') ?? 1,
          attentionFactor: attention * (factor > 1 ? 0.1 * Math.log(factor) + 1 : 1),
        };
      case 'longrope':
        if (!facts.ropeShortFactor || !facts.ropeLongFactor) throw keys.error('rope scaling is longrope, but its factors are missing');
        return {
          type,
          shortFactor: facts.ropeShortFactor,
          longFactor: facts.ropeLongFactor,
          originalMaxPositionEmbeddings: original,
          attentionFactor: attention,
        };
      default:
        throw new UnsupportedError(`the rope scaling ${JSON.stringify(type)} is not read (${keys.name('rope.scaling.type')})`);
    }
  })();

  if (!facts.ropeFactors) return scaling;
  if (scaling) throw new UnsupportedError(`rope_freqs.weight together with ${scaling.type} rope scaling is not read`);
  return {type: 'factors', factors: facts.ropeFactors};
}

/** The shortest decimal with the same float32: GGUF stores 1e-5 as 9.999999747378752e-6. */
function shortest(value: number): number {
  for (let digits = 1; digits < 9; digits++) {
    const candidate = Number(value.toPrecision(digits));
    if (Math.fround(candidate) === Math.fround(value)) return candidate;
  }
  return value;
}

/** The metadata keys of one architecture, given without its name. */
class ArchitectureKeys {
  constructor(
    private readonly path: string,
    private readonly metadata: Metadata,
    private readonly architecture: string,
  ) {}

  name(key: string): string {
    return `${this.architecture}.${key}`;
  }

  error(problem: string): FormatError {
    return new FormatError('ERR_GGUF', this.path, problem);
  }

  /** A number, or an array that says the same number for every layer. */
  integer(key: string): number | undefined {
    const name = this.name(key);
    if (!ArrayBuffer.isView(this.metadata.get(name))) return this.metadata.integer(name);
    const values = new Set<number>(this.metadata.numbers(name));
    const [first] = values;
    if (values.size > 1) throw new UnsupportedError(`layers that differ are not read (${name})`);
    return first;
  }

  required(key: string): number {
    return this.integer(key) ?? this.missing(key);
  }

  number(key: string): number | undefined {
    return this.metadata.number(this.name(key));
  }

  requiredNumber(key: string): number {
    return this.number(key) ?? this.missing(key);
  }

  string(key: string): string | undefined {
    return this.metadata.string(this.name(key));
  }

  private missing(key: string): never {
    throw this.error(`metadata ${this.name(key)} is missing`);
  }
}
