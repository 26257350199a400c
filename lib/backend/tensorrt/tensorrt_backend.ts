/** The backend for NVIDIA GPUs: a decoder of TensorRT engines, which a thread of the addon schedules. */

import type {DecoderShape} from '../../decoder/lowered_decoder.js';
import type {BuildEnvironment} from '../../engine/build/environment.js';
import {type NamedPart, stepProfile} from '../../engine/layer_profile.js';
import {AbortError, messageOf, OptionError, TensorrtNodeError, throwIfAborted} from '../../errors.js';
import type {
  NativeDecoder,
  NativeDecoderListener,
  NativeDecoderRequest,
  NativeDecoderStats,
  NativeDecoderTokens,
  NativeStepHistograms,
} from '../../native/decoder_addon.js';
import {translated, typedWithFiles} from '../../native/errors.js';
import {onAbort} from '../../on_abort.js';
import type {OnProgress, Progress} from '../../progress.js';
import type {MemoryAmounts, Reservation} from '../../weights/budget.js';
import type {CheckedPlacement} from '../../weights/placement_option.js';
import type {MemoryPlan} from '../../weights/plan_memory.js';
import type {
  Backend,
  BackendListener,
  BackendRequest,
  BackendRequestHandle,
  MemoryPart,
  ModelLimits,
  StepOptions,
  StepProfile,
  TokenEvent,
} from '../backend.js';
import type {KvCacheType} from '../kv_cache_type.js';
import {readDecoderFolder} from './decoder_folder.js';
import type {DecoderFolder} from './decoder_manifest.js';
import {decoderMemory, reserveMemory} from './decoder_memory.js';
import {type LoadDecoderOptions, loadNativeDecoder} from './load_decoder.js';
import {nativeRequest} from './native_request.js';
import {type PreparedDecoder, prepareDecoder} from './prepare.js';
import {nativeSampling} from './sampling.js';

export interface TensorrtBackendOptions extends ModelLimits {
  modelPath: string;
  /** What recordings call it. Default: 'model'. */
  name?: string;
  /** The engines that were built for it, and their limits are no smaller; left out, they are built or in the cache. */
  engines?: DecoderFolder;
  /** Driver, GPU and TensorRT, found to be there. */
  environment: BuildEnvironment;
  /** Whether a request's tokens must not depend on what else runs. Default false. */
  deterministic?: boolean;
  /** Hidden type. Default: bfloat16 where the model's weights are, else float16. */
  type?: 'float16' | 'bfloat16';
  /** Whether quantized weights become floats of that type when they are loaded. Default false. */
  dequantize?: boolean;
  /** What keys and values are kept in. Default 'auto': the hidden type. With engines it is theirs. */
  kvCacheType?: KvCacheType;
  /** Where weights are. Default: in VRAM what fits, the rest in RAM, what does not fit there on disk. */
  placement?: CheckedPlacement;
  /** Where weights that are streamed from disk are kept in the form that steps take. Default: they are made of the model's files each time. */
  offloadFolder?: string;
  signal?: AbortSignal;
  /** Phases 'build', in plans, where some are missing; 'read', in bytes of weights, with their speed; 'capture', in graphs of steps. */
  onProgress?: OnProgress;
}

/** Numbers for requests and sequences alike. */
type Ids = () => number;

function countFromOne(): Ids {
  let last = 0;
  return () => ++last;
}

/** Of all models of this thread, so that the number in a recording's step is that of one request. */
const commonIds = countFromOne();

/** Requests that wait; more are refused with ERR_BUSY. */
const MOST_WAITING = 1024;

interface RunningRequest {
  listener: BackendListener;
  /** Whether logprobs were asked for. */
  logprobs: boolean;
}

export class TensorrtBackend implements Backend {
  readonly name = 'tensorrt';
  readonly #requests = new Map<number, RunningRequest>();
  #closing: Promise<void> | undefined;
  /** Why nothing can be asked of the decoder any more. */
  #ended: TensorrtNodeError | undefined;
  #scores = 0;
  /** Or being suspended, or resumed. */
  #suspended = false;
  /** Bytes that it had of the GPU before it was suspended. */
  #residentGpu = 0;

  private constructor(
    private readonly decoder: NativeDecoder,
    readonly limits: ModelLimits,
    readonly vocabSize: number,
    readonly description: string,
    private readonly reservation: Reservation | undefined,
    private readonly ids: Ids,
    private readonly parts: readonly NamedPart[],
  ) {}

  /**
   * Builds the plans that are not in the engine cache. Throws UnsupportedError for a model that cannot be lowered,
   * DoesNotFitError, both before anything is built, FormatError, AbortError, CudaError (ERR_OUT_OF_MEMORY too), TensorrtError, BuildError.
   */
  static async load(options: TensorrtBackendOptions): Promise<TensorrtBackend> {
    const {modelPath, environment, engines, maxContext, maxBatch, signal, onProgress} = options;
    const prepared = engines
      ? await readDecoderFolder(engines, environment, signal)
      : // What does not fit is not built either.
        await prepareDecoder(modelPath, {...options, device: environment.device, onLowered: (index) => void decoderMemory(index, options)});
    throwIfAborted(signal);
    const {addon, gpu, tensorrtVersion} = environment;
    const memory = decoderMemory(prepared.index, {...options, scratchBytes: prepared.scratchBytes});
    const request = requestFor(prepared, memory, options);
    const reservation = reserveMemory(modelPath, memory, environment);
    const readSpeed = byteSpeed();
    return TensorrtBackend.open((listener, loadOptions) => loadNativeDecoder(addon, request, listener, loadOptions), {
      reservation,
      ids: commonIds,
      limits: {maxContext, maxBatch},
      shape: prepared.index.shape,
      parts: prepared.index.parts.map(({name, weights}) => ({name, weights: weights.map((weight) => weight.name)})),
      where: `TensorRT ${tensorrtVersion} on ${gpu.name}`,
      signal,
      onProgress: (what, done, total) =>
        onProgress?.(
          what === 'weights'
            ? {phase: 'read', done, total, unit: 'bytes', ...readSpeed(done)}
            : {phase: 'capture', done, total, unit: 'steps', detail: what},
        ),
    });
  }

  /** A backend over whatever decoder `load` makes for the listener it is given. */
  static async open(
    load: (listener: NativeDecoderListener, options: LoadDecoderOptions) => Promise<NativeDecoder>,
    {
      limits,
      shape,
      where,
      reservation,
      ids = countFromOne(),
      parts = [],
      ...options
    }: LoadDecoderOptions & {
      limits: ModelLimits;
      shape: Pick<DecoderShape, 'type' | 'vocabularySize' | 'kvCacheType'>;
      where: string;
      /** Of the memory that it takes; given back when it is disposed of, or not made. */
      reservation?: Reservation;
      ids?: Ids;
      /** In the order of its request. */
      parts?: readonly NamedPart[];
    },
  ): Promise<TensorrtBackend> {
    // Nothing is told of before something is asked for, of the backend.
    let backend: TensorrtBackend | undefined;
    try {
      const decoder = await load({tokens: (batches) => backend?.receive(batches)}, options);
      backend = new TensorrtBackend(
        decoder,
        limits,
        shape.vocabularySize,
        `${where}, ${shape.type}${cacheOf(shape)}`,
        reservation,
        ids,
        parts,
      );
    } catch (error) {
      reservation?.[Symbol.dispose]();
      throw error;
    }
    reservation?.settle(backend.#taken());
    return backend;
  }

  submit(request: BackendRequest, listener: BackendListener): BackendRequestHandle {
    const id = this.ids();
    try {
      this.#check();
      const {tokens, maxNewTokens, sequence, logprobs} = request;
      this.decoder.submit(id, Int32Array.from(tokens), maxNewTokens, nativeSampling(request), sequence);
      this.#requests.set(id, {listener, logprobs: logprobs !== undefined});
    } catch (error) {
      const failure = errorOf(error);
      queueMicrotask(() => listener.failed(failure));
    }
    return {
      consumed: (tokens) => void (this.#requests.has(id) && this.decoder.consumed(id, tokens)),
      abort: () => void (this.#requests.has(id) && this.decoder.abort(id)),
    };
  }

  createSequence(): number {
    const sequence = this.ids();
    if (this.#ended === undefined) translated(() => this.decoder.createSequence(sequence));
    return sequence;
  }

  forkSequence(sequence: number): number {
    const copy = this.ids();
    if (this.#ended === undefined) translated(() => this.decoder.forkSequence(sequence, copy));
    return copy;
  }

  disposeSequence(sequence: number): void {
    if (this.#ended === undefined) translated(() => this.decoder.disposeSequence(sequence));
  }

  async score(tokens: Uint32Array): Promise<Float32Array> {
    this.#check();
    this.#scores++;
    try {
      return await this.decoder.score(Int32Array.from(tokens));
    } catch (error) {
      throw errorOf(error);
    } finally {
      this.#scores--;
    }
  }

  async profileLayers(step: StepOptions, signal?: AbortSignal): Promise<StepProfile> {
    this.#check();
    throwIfAborted(signal);
    const profiling = translated(() => this.decoder.profileLayers(step));
    const forget = signal && onAbort(signal, () => profiling.cancel());
    try {
      const layers = await profiling.result;
      return {step: step.step, rows: layers.rows, context: step.context, ...stepProfile(layers, this.parts)};
    } catch (error) {
      if (signal?.aborted) throw new AbortError(signal.reason);
      throw errorOf(error);
    } finally {
      forget?.();
    }
  }

  memory(): readonly MemoryPart[] {
    if (this.#ended !== undefined) return [];
    const bytes = this.decoder.memory();
    return [
      {what: 'weights', where: 'gpu', bytes: bytes.weightsBytes + bytes.placesBytes + bytes.stagingBytes},
      {what: 'weights', where: 'pinned', bytes: bytes.pinnedWeightsBytes + bytes.pinnedStagingBytes},
      {what: 'cache', where: 'gpu', bytes: bytes.cacheBytes},
      {what: 'cache', where: 'pinned', bytes: bytes.pinnedCacheBytes},
      {what: 'scratch', where: 'gpu', bytes: bytes.scratchBytes},
    ];
  }

  async suspend(): Promise<void> {
    this.#check();
    if (this.#requests.size > 0 || this.#scores > 0) throw new TensorrtNodeError('ERR_BUSY', 'the model has requests under way');
    const {gpu, ram} = this.#taken();
    this.#residentGpu = gpu;
    // What it frees of the GPU is known then; of its cache only what is in use takes RAM.
    this.reservation?.resize({gpu, ram: ram + this.#bytes('weights', 'gpu')});
    this.#suspended = true;
    try {
      await this.decoder.suspend({finishRunning: true, keepRam: true});
    } catch (error) {
      this.#suspended = false;
      throw errorOf(error);
    } finally {
      this.reservation?.settle(this.#taken());
    }
  }

  async resume(): Promise<void> {
    if (this.#ended !== undefined) throw this.#ended;
    this.reservation?.resize({gpu: this.#residentGpu, ram: this.#taken().ram});
    try {
      await this.decoder.resume();
      this.#suspended = false;
    } catch (error) {
      throw errorOf(error);
    } finally {
      this.reservation?.settle(this.#taken());
    }
  }

  /** What it has of the machine now. */
  #taken(): MemoryAmounts {
    const sum = (on: (where: MemoryPart['where']) => boolean) =>
      this.memory().reduce((bytes, part) => bytes + (on(part.where) ? part.bytes : 0), 0);
    return {gpu: sum((where) => where === 'gpu'), ram: sum((where) => where !== 'gpu')};
  }

  #bytes(what: MemoryPart['what'], where: MemoryPart['where']): number {
    return this.memory().reduce((sum, part) => sum + (part.what === what && part.where === where ? part.bytes : 0), 0);
  }

  /** Of the scheduler, and of weights that move. */
  stats(): NativeDecoderStats {
    if (this.#ended !== undefined) throw this.#ended;
    return translated(() => this.decoder.stats());
  }

  stepHistograms(): NativeStepHistograms {
    if (this.#ended !== undefined) throw this.#ended;
    return translated(() => this.decoder.histograms());
  }

  /** Throws where nothing can be asked now. */
  #check(): void {
    if (this.#ended !== undefined) throw this.#ended;
    if (this.#suspended) throw new TensorrtNodeError('ERR_SUSPENDED', 'the model is suspended', 'resume it first');
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#ended = new TensorrtNodeError('ERR_DISPOSED', 'the model was disposed');
    const closing = this.decoder.dispose();
    const requests = [...this.#requests.values()];
    // What the decoder still says of them is not heard.
    this.#requests.clear();
    for (const {listener} of requests) listener.failed(this.#ended);
    try {
      await closing;
    } finally {
      this.reservation?.[Symbol.dispose]();
    }
  }

  private receive(batches: readonly NativeDecoderTokens[]): void {
    for (const batch of batches) {
      const {request: id, tokens, ending} = batch;
      const request = this.#requests.get(id);
      if (request === undefined) continue;
      if (tokens.length > 0) request.listener.tokens(eventsOf(batch, request.logprobs));
      // The listener may have disposed of the model.
      if (ending === undefined || !this.#requests.has(id)) continue;
      this.#requests.delete(id);
      if ('error' in ending) request.listener.failed(errorOf(ending.error));
      else request.listener.finished(ending.reason, {...ending.timings, request: batch.request});
    }
  }
}

/** For the description. */
function cacheOf({kvCacheType}: Pick<DecoderShape, 'kvCacheType'>): string {
  return kvCacheType === 'auto' ? '' : `, keys and values in ${kvCacheType}`;
}

function requestFor(
  {index, plans}: PreparedDecoder,
  {placed, pages, steps}: MemoryPlan,
  options: TensorrtBackendOptions,
): NativeDecoderRequest {
  const {name, environment, deterministic = false, maxContext, offloadFolder} = options;
  return nativeRequest(index, plans, {
    name,
    device: environment.device,
    tensorrt: environment.tensorrt,
    deterministic,
    tiers: placed.tiers,
    places: placed.places,
    kept: placed.kept,
    offloadFolder,
    limits: {...steps, pages, maxContext, maxWaiting: MOST_WAITING},
  });
}

/** Of bytes that have come by a call: since the first one. */
function byteSpeed(): (done: number) => Pick<Progress, 'bytesPerSecond' | 'detail'> {
  let first: {bytes: number; at: number} | undefined;
  return (done) => {
    const at = performance.now();
    first ??= {bytes: done, at};
    if (at <= first.at) return {detail: 'weights'};
    const bytesPerSecond = (1000 * (done - first.bytes)) / (at - first.at);
    return {bytesPerSecond, detail: `weights, ${(bytesPerSecond / 1e9).toFixed(1)} GB/s`};
  };
}

function eventsOf({tokens, logprobs, topTokens, topLogprobs}: NativeDecoderTokens, wanted: boolean): TokenEvent[] {
  if (!wanted || logprobs === undefined) return Array.from(tokens, (token) => ({token}));
  const each = (topTokens?.length ?? 0) / tokens.length;
  return Array.from(tokens, (token, at) => ({
    token,
    logprob: logprobs[at]!,
    top: Array.from({length: each}, (_, rank) => ({
      token: topTokens![at * each + rank]!,
      logprob: topLogprobs![at * each + rank]!,
    })),
  }));
}

/** Listeners get errors of this library. */
function errorOf(thrown: unknown): Error {
  const error = typedWithFiles(thrown);
  if (error instanceof TensorrtNodeError || error instanceof OptionError) return error;
  return new TensorrtNodeError('ERR_BACKEND', messageOf(error), undefined, {cause: thrown});
}
