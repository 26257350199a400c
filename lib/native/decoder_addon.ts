/** What the addon exports for decoders: language models whose steps run on the GPU, scheduled by a thread of its own. */

import type {NativeLayerTimes} from './engine_addon.js';

/** Types of floats that weights are stored or wanted in. */
export type NativeFloatType = 'float16' | 'bfloat16' | 'float32';

/** Bytes of a file, or bytes at hand. */
export type NativeSource = {path: string; offset: number; bytes: number} | {inline: Uint8Array};

/** Rows of a matrix, below those of the pieces before it. */
export type NativePiece =
  | {form: 'plain' | 'transposed'; rows: number; stored: NativeFloatType; values: NativeSource}
  | {
      form: 'quantized';
      rows: number;
      /** [rows, blocks, blockSize] of code bits; transposed [columns, rows]. */
      values: NativeSource;
      codes: 'uint4' | 'int4' | 'uint8' | 'int8' | 'float8';
      /** The matrix's columns, or more: a row has one scale. */
      blockSize: number;
      transposed: boolean;
      /** [rows, blocks]; transposed [blocks, rows]. */
      scales: NativeSource;
      scaleType: NativeFloatType;
      /** Packed codes, transposed a byte each, or numbers of a type; left out: the middle of the codes everywhere. */
      zeroPoints?: {type: NativeFloatType | 'codes'; values: NativeSource};
    };

/** Dense and row-major; a vector has one column, and as many rows as elements. */
export interface NativeMatrix {
  name: string;
  type: NativeFloatType;
  columns: number;
  pieces: readonly NativePiece[];
  /** Where it stays quantized for kernels that take it so: `bytes` is how large it is packed, so that no two opinions go unnoticed. */
  packed?: {
    codes: 'uint4' | 'uint8' | 'float8';
    offsets: 'middle' | 'codes' | 'floating';
    block: number;
    gated: boolean;
    bytes: number;
  };
}

/** Where the weights of a run are between steps. */
export type NativeTier = 'vram' | 'ram' | 'disk';

export interface NativeDecoderRequest {
  /** What recordings call the model. Default: 'model'. */
  name?: string;
  device: number;
  /** Candidates for libnvinfer, most wanted first. */
  tensorrt: readonly string[];
  type: 'float16' | 'bfloat16';
  layers: number;
  kvHeads: number;
  headSize: number;
  /** What pages of the cache hold. Default 'auto': elements of `type`. */
  kvCacheType?: 'auto' | 'fp8' | 'int8';
  hiddenSize: number;
  vocabularySize: number;
  /** Plans of each part; where one is left out, the one for `decode` serves. They must not change until the promise settles. */
  parts: readonly {decode: Uint8Array; wide?: Uint8Array; prefill?: Uint8Array}[];
  /** The prologue first, the epilogue last. `layer`: whose cache the part's attention has. */
  sequence: readonly {part: number; layer?: number; weights: readonly {name: string; weight: number}[]}[];
  weights: readonly NativeMatrix[];
  /** Of each entry of `sequence`; left out: all in VRAM. */
  placement?: readonly NativeTier[];
  /** Places in VRAM that runs of the other tiers share; left out: chosen. */
  prefetchDepth?: number;
  /** Numbers of weights that stay in VRAM though their run does not. */
  kept?: readonly number[];
  /** Where blocks of the disk tier that need conversion are written, ready to be read. */
  offloadFolder?: string;
  /** Every step has the same shapes, and nothing is taken from the cache: tokens do not depend on what else runs. */
  deterministic: boolean;
  limits: {
    /** Sequences decoded at once. */
    slots: number;
    /** Rows of a decode step: at most what the wide plans take, or the decode plans where there are none. */
    decodeRows: number;
    /** Rows up to which the decode plans serve. */
    narrowRows: number;
    /** Rows of a prefill step: at most what the prefill plans take. */
    prefillRows: number;
    /** Rows whose logits `score` makes at a time: at most what the epilogue's plan takes. */
    scoreRows: number;
    /** Pages of 64 tokens of the key/value cache, of all sequences. */
    pages: number;
    /** Tokens a sequence may hold. */
    maxContext: number;
    /** Requests that may wait; more are refused. */
    maxWaiting: number;
  };
}

/** As `SamplingParameters` in backend.ts. */
export interface NativeDecoderSampling {
  temperature: number;
  topK: number;
  topP: number;
  minP: number;
  repetitionPenalty: number;
  presencePenalty: number;
  frequencyPenalty: number;
  /** Tokens, and what is added to the logit of each. */
  biasTokens: Int32Array;
  biasValues: Float32Array;
  seed: number;
  stopTokens: Int32Array;
  /** Most likely tokens to report, 0 to 20; -1 for none, and no logprob. */
  logprobs: number;
}

export interface NativeDecoderTokens {
  request: number;
  tokens: Int32Array;
  /** Of each token, where they were asked for. */
  logprobs?: Float32Array;
  /** [tokens, logprobs asked for]. */
  topTokens?: Int32Array;
  topLogprobs?: Float32Array;
  ending?:
    | {
        reason: 'stop' | 'length' | 'aborted';
        /** Milliseconds, and tokens that were run. */
        timings: {queue: number; prefill: number; decode: number; prefilledTokens: number};
      }
    /** As the addon throws errors. */
    | {error: Error};
}

export interface NativeDecoderListener {
  /** What happened to requests since the last call, one entry a request. Does not keep the process alive. */
  tokens(batches: readonly NativeDecoderTokens[]): void;
}

export interface NativeDecoderStats {
  /** Requests that have not begun. */
  waiting: number;
  slots: number;
  slotsInUse: number;
  pages: number;
  /** Held by requests. */
  pagesInUse: number;
  /** Of no request, but good for what they hold. */
  pagesKept: number;
  prefillSteps: number;
  decodeSteps: number;
  /** Of decode steps. */
  decodeRows: number;
  /** Of those, the ones that chose nothing because their slot had ended. */
  wastedRows: number;
  /** Steps that ended with an error of their requests alone, as their weights could not be brought. */
  lostSteps: number;
  suspended: boolean;
  weights: NativeWeightCounters;
}

/** Counts of values up to each of `bounds`, ascending, and last of those above all. */
export interface NativeHistogram {
  bounds: number[];
  counts: number[];
  sum: number;
}

/** Of all steps since the model was loaded. */
export interface NativeStepHistograms {
  /** From the end of the step before, or from when it was queued where that was later, to when its end was seen. */
  prefillSeconds: NativeHistogram;
  decodeSeconds: NativeHistogram;
  /** Sequences of decode steps. */
  decodeRows: NativeHistogram;
  /** What steps waited for weights that move, for copies and for the disk. */
  weightsWaitSeconds: NativeHistogram;
}

/** What moving weights took since they were loaded; all 0 where all are in VRAM. Times in seconds. */
export interface NativeWeightCounters {
  /** Brought to a place in VRAM. */
  blocks: number;
  /** From pinned memory to those places. */
  bytesCopied: number;
  /** With a copy under way. */
  copySeconds: number;
  /** From disk. */
  reads: number;
  bytesRead: number;
  /** Steps waited for copies. */
  computeWaitSeconds: number;
  /** Copies waited for a free place. */
  prefetchWaitSeconds: number;
  /** The thread that queues steps waited for the disk. */
  hostWaitSeconds: number;
  /** Times that copies began again out of turn, after failures. */
  restarts: number;
}

/** Bytes. */
export interface NativeDecoderMemory {
  /** In VRAM: weights that stay there, places of those that do not, and what these pass through when they need conversion. */
  weightsBytes: number;
  placesBytes: number;
  stagingBytes: number;
  /** In VRAM: keys and values, and what steps compute in. */
  cacheBytes: number;
  scratchBytes: number;
  /** In pinned memory: weights, what weights from disk pass through, and keys and values of a suspended decoder. */
  pinnedWeightsBytes: number;
  pinnedStagingBytes: number;
  pinnedCacheBytes: number;
  /** Weights that are read from disk in each step, as they are in VRAM. */
  diskBytes: number;
}

export interface NativeSuspendOptions {
  /** Requests that have begun end as usual, and those that wait bring the decoder back; else all fail with ERR_SUSPENDED. */
  finishRunning: boolean;
  /** Weights are kept in pinned memory; else they are read from their files again. */
  keepRam: boolean;
}

export interface NativeStepLayersRequest {
  /** A row each of so many sequences, or so many rows of one. */
  step: 'decode' | 'prefill';
  rows: number;
  /** Tokens that come before in each sequence. */
  context: number;
  runs: number;
  warmUp: number;
}

export interface NativeStepLayers {
  /** Rows that the step has, padding included. */
  rows: number;
  /** In the order of the step; `part` is its place in the request that the decoder was loaded with. */
  parts: {
    part: number;
    /** Runs of it in a step: `milliseconds` has one entry for each of them, step after step. */
    count: number;
    layers: NativeLayerTimes[];
    /** What TensorRT's engine inspector tells of them, as JSON text. */
    information: string;
  }[];
  /** Milliseconds of all parts together in each step, as steps run them and without the profiler. */
  steps: Float32Array;
}

export interface NativeDecoder {
  /** Refuses with ERR_BUSY when too many wait. Ids are the caller's, for requests and sequences alike, never used twice. */
  submit(id: number, tokens: Int32Array, maxNewTokens: number, sampling: NativeDecoderSampling, sequence?: number): void;
  abort(id: number): void;
  /** So many of the delivered tokens are the consumer's no longer. */
  consumed(id: number, tokens: number): void;
  createSequence(id: number): void;
  forkSequence(id: number, copy: number): void;
  disposeSequence(id: number): void;
  /** Logits after each token, [tokens, vocabularySize]. */
  score(tokens: Int32Array): Promise<Float32Array>;
  /**
   * Times the layers of such steps with TensorRT's profiler, in contexts of their own; requests that come meanwhile wait.
   * Rejects with ERR_BUSY while requests run or wait, ERR_SUSPENDED, ERR_ABORTED after cancel(), ERR_UNSUPPORTED for more
   * rows or tokens than there are, and as steps fail.
   */
  profileLayers(request: NativeStepLayersRequest): {readonly result: Promise<NativeStepLayers>; cancel(): void};
  memory(): NativeDecoderMemory;
  /** As of the last step. */
  stats(): NativeDecoderStats;
  histograms(): NativeStepHistograms;
  /**
   * Gives VRAM back once nothing runs: weights, keys and values, and what steps compute in. What sequences hold of keys
   * and values stays, if there is pinned memory for it. Rejects with ERR_OUT_OF_MEMORY where there is none for the
   * weights, ERR_CUDA where the driver has no virtual memory, ERR_SUSPENDED where resume() comes before: all is as it was then.
   * What is asked of a suspended decoder brings it back, or fails with what resume() would reject with.
   */
  suspend(options: NativeSuspendOptions): Promise<void>;
  /** Rejects with ERR_OUT_OF_MEMORY, or as file system calls do, and is suspended still. */
  resume(): Promise<void>;
  /** Ends all requests as disposed of, and frees the GPU. */
  dispose(): Promise<void>;
}

/** What measuring asks of the addon's decoders, and nothing else. */
export interface MeasuredDecoder extends NativeDecoder {
  /** As `submit`, of tokens that only the addon sees. Seconds from the first to the last. */
  count(id: number, tokens: Int32Array, maxNewTokens: number, sampling: NativeDecoderSampling): Promise<{tokens: number; seconds: number}>;
}

export interface DecoderAddon {
  /** Loads the kernels that decoders run on a GPU. Throws where the addon has none for it. */
  loadKernels(device: number): void;
  /** `onProgress`: bytes of weights read, then graphs captured, of all. `cancel` makes `result` reject with ERR_ABORTED. */
  loadDecoder(
    request: NativeDecoderRequest,
    listener: NativeDecoderListener,
    onProgress: (what: 'weights' | 'graphs', done: number, total: number) => void,
  ): {result: Promise<NativeDecoder>; cancel(): void};
}
