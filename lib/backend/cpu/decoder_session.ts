/** A language model in ONNX Runtime: runs tokens against a sequence's cache and gives logits. */

import * as ort from 'onnxruntime-node';

import {FormatError} from '../../errors.js';
import {float16ToFloat32} from '../../import/numeric/float16.js';
import {readModel} from '../../onnx/read.js';
import {backendError} from '../../onnxruntime/backend_error.js';
import {type FloatArray, floatArray, floatTensor} from '../../onnxruntime/float_tensor.js';
import {guardedRun, type RunGuard} from '../../onnxruntime/run_guard.js';
import {createSession} from '../../onnxruntime/session.js';
import {ConcatCache} from './concat_cache.js';
import {KvCache, KvPool, SMALLEST_CAPACITY} from './kv_cache.js';
import {hasDequantizedIntegers} from './rewrite/dequantized_products.js';
import {KEEP_INPUT} from './rewrite/keep_logits.js';
import {type PrepareOptions, prepare, sharesCache} from './rewrite/prepare.js';
import {serialize} from './rewrite/serialize.js';
import {UNRETURNED, wasUnreturned} from './rewrite/unreturned_outputs.js';
import type {KvLayout, SequenceCache} from './sequence_cache.js';

export interface DecoderSessionOptions extends PrepareOptions {
  /** Threads a run uses. */
  threads: number;
  /** Tokens a sequence may hold. */
  maxContext: number;
  /** Sequences that run at once: as many small caches are kept for the next ones, or one of the whole context. */
  maxBatch: number;
  /** Told of every call into ONNX Runtime. */
  guard: RunGuard;
}

export class DecoderSession implements AsyncDisposable {
  private readonly pool: KvPool;
  /** Ones, as many as any run so far needed. */
  private mask = new BigInt64Array();
  /** Logits of one position, written by each run. */
  private readonly lastLogits: FloatArray;

  private constructor(
    private readonly session: ort.InferenceSession,
    private readonly contract: Contract,
    /** Whether runs write into the cache's buffers; else they make new ones. */
    private readonly sharedCache: boolean,
    readonly options: DecoderSessionOptions,
  ) {
    this.pool = new KvPool(contract.kv, options.maxContext, Math.max(options.maxContext, options.maxBatch * SMALLEST_CAPACITY));
    this.lastLogits = floatArray(contract.logitsType, contract.vocabSize);
  }

  /** Throws FormatError or UnsupportedError for a model that cannot be a decoder here, TensorrtNodeError ERR_BACKEND otherwise. */
  static async load(path: string, options: DecoderSessionOptions): Promise<DecoderSession> {
    const model = await readModel(path);
    await prepare(model, options);
    const bytes = await serialize(model);
    const dequantized = hasDequantizedIntegers(model) ? options.accuracyLevel : 'float';
    const session = await guardedRun(options.guard, () =>
      createSession({path, bytes, proto: model.proto, threads: options.threads, dequantized}),
    );
    try {
      return new DecoderSession(session, contractOf(path, session), sharesCache(model), options);
    } catch (error) {
      await session.release();
      throw error;
    }
  }

  get vocabSize(): number {
    return this.contract.vocabSize;
  }

  createCache(): SequenceCache {
    return this.sharedCache ? new KvCache(this.pool) : new ConcatCache(this.contract.kv);
  }

  /**
   * Runs `tokens` after what `cache` holds and notes them there. Returns logits, [kept, vocabSize], of the last
   * position or of all; the former live in a buffer that the next run overwrites. Throws TensorrtNodeError ERR_BACKEND
   * or ERR_OUT_OF_MEMORY.
   */
  async run(tokens: Uint32Array, cache: SequenceCache, keep: 'last' | 'all' = 'last'): Promise<Float32Array> {
    try {
      return await this.runTokens(tokens, cache, keep);
    } catch (error) {
      throw backendError(error);
    }
  }

  private async runTokens(tokens: Uint32Array, cache: SequenceCache, keep: 'last' | 'all'): Promise<Float32Array> {
    const {contract} = this;
    const past = cache.length;
    const total = past + tokens.length;
    const {past: pastTensors, present: presentTensors} = cache.bind(tokens.length);

    const kept = keep === 'all' || !contract.inputs.has(KEEP_INPUT) ? tokens.length : 1;
    const logits = kept === 1 ? this.lastLogits : floatArray(contract.logitsType, kept * contract.vocabSize);
    const feeds: Record<string, ort.Tensor> = {
      input_ids: new ort.Tensor('int64', BigInt64Array.from(tokens, BigInt), [1, tokens.length]),
      attention_mask: new ort.Tensor('int64', this.ones(total), [1, total]),
    };
    if (contract.inputs.has('position_ids')) {
      const positions = BigInt64Array.from(tokens, (_, index) => BigInt(past + index));
      feeds.position_ids = new ort.Tensor('int64', positions, [1, tokens.length]);
    }
    if (contract.inputs.has(KEEP_INPUT)) feeds[KEEP_INPUT] = new ort.Tensor('int64', BigInt64Array.of(BigInt(kept)), contract.keepDims);
    const fetches: Record<string, ort.Tensor | null> = {logits: floatTensor(logits, [1, kept, contract.vocabSize])};
    if (this.sharedCache) fetches[UNRETURNED] = null;
    for (const [index, tensor] of pastTensors.entries()) {
      feeds[contract.pastNames[index]!] = tensor;
      fetches[contract.presentNames[index]!] = presentTensors?.[index] ?? null;
    }

    const results = await this.runSession(feeds, fetches);
    cache.commit(tokens, presentTensors === undefined ? contract.presentNames.map((name) => results[name]!) : undefined);
    const floats = logits instanceof Float32Array ? logits : float16ToFloat32(logits);
    return keep === 'last' ? floats.subarray(floats.length - contract.vocabSize) : floats;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.session.release();
  }

  private ones(count: number): BigInt64Array {
    if (this.mask.length < count) this.mask = new BigInt64Array(Math.max(count, 2 * this.mask.length)).fill(1n);
    return this.mask.subarray(0, count);
  }

  /** Results that were handed back; none of those written into our buffers. */
  private async runSession(
    feeds: Record<string, ort.Tensor>,
    fetches: Record<string, ort.Tensor | null>,
  ): Promise<Readonly<Record<string, ort.Tensor>>> {
    try {
      return (await guardedRun(this.options.guard, () => this.session.run(feeds, fetches))) as Record<string, ort.Tensor>;
    } catch (error) {
      if (wasUnreturned(error)) return {};
      throw error;
    }
  }
}

/** What the model's inputs and outputs say about it. */
interface Contract {
  kv: KvLayout;
  vocabSize: number;
  logitsType: 'float32' | 'float16';
  inputs: ReadonlySet<string>;
  /** Key then value of each layer, as the caches have them. */
  pastNames: readonly string[];
  presentNames: readonly string[];
  keepDims: readonly number[];
}

function contractOf(path: string, session: ort.InferenceSession): Contract {
  const inputs = new Map(session.inputMetadata.map((each) => [each.name, each]));
  const outputs = new Map(session.outputMetadata.map((each) => [each.name, each]));
  const pastNames: string[] = [];
  const presentNames: string[] = [];
  for (let layer = 0; inputs.has(`past_key_values.${layer}.key`); layer++) {
    for (const kind of ['key', 'value']) {
      pastNames.push(`past_key_values.${layer}.${kind}`);
      presentNames.push(`present.${layer}.${kind}`);
    }
  }
  const missing = ['input_ids', 'attention_mask', 'past_key_values.0.key'].filter((name) => !inputs.has(name));
  missing.push(...['logits', ...presentNames].filter((name) => !outputs.has(name)));
  if (missing.length > 0) {
    throw new FormatError('ERR_ONNX', path, `is not a language model with a cache: it has no ${missing.join(', ')}`);
  }

  const key = tensorMetadata(path, inputs.get('past_key_values.0.key')!);
  const logits = tensorMetadata(path, outputs.get('logits')!);
  const [, kvHeadCount, , headDim] = key.shape;
  const vocabSize = logits.shape.at(-1);
  if (typeof kvHeadCount !== 'number' || typeof headDim !== 'number' || typeof vocabSize !== 'number') {
    throw new FormatError('ERR_ONNX', path, 'does not say the shapes of its cache and logits');
  }
  const keep = inputs.get(KEEP_INPUT);
  return {
    kv: {layerCount: pastNames.length / 2, kvHeadCount, headDim, type: floatType(path, key)},
    vocabSize,
    logitsType: floatType(path, logits),
    inputs: new Set(inputs.keys()),
    pastNames,
    presentNames,
    keepDims: keep?.isTensor ? keep.shape.map(() => 1) : [],
  };
}

function tensorMetadata(path: string, metadata: ort.InferenceSession.ValueMetadata): ort.InferenceSession.TensorValueMetadata {
  if (metadata.isTensor) return metadata;
  throw new FormatError('ERR_ONNX', path, `${metadata.name} is not a tensor`);
}

function floatType(path: string, {name, type}: ort.InferenceSession.TensorValueMetadata): 'float32' | 'float16' {
  if (type === 'float32' || type === 'float16') return type;
  throw new FormatError('ERR_ONNX', path, `${name} is ${type}; a decoder's is float32 or float16`);
}
