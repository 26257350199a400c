/** Takes turns between requests: a chunk of a prompt or one token each, so that none waits for another's end. */

import {TensorrtNodeError} from '../../errors.js';
import type {BackendFinish, BackendRequest, BackendTimings, TokenEvent} from '../backend.js';
import {Sampler} from './sampler.js';
import type {SequenceCache} from './sequence_cache.js';

/** What the scheduler needs of a model; `DecoderSession` is one. */
export interface Decoder {
  run(tokens: Uint32Array, cache: SequenceCache): Promise<Float32Array>;
  createCache(): SequenceCache;
}

export interface SchedulerEvents {
  tokens(id: number, batch: TokenEvent[]): void;
  finished(id: number, reason: BackendFinish, timings: BackendTimings): void;
  failed(id: number, error: unknown): void;
}

export interface SchedulerOptions {
  maxBatch: number;
  maxContext: number;
  /** Tokens of a prompt run in one turn. */
  prefillChunk: number;
}

interface Sequence {
  readonly cache: SequenceCache;
  /** A request is using it; the next one on it waits. */
  inUse: boolean;
  /** Nobody will ask for it again: its cache goes back once it is not in use. */
  disposed: boolean;
}

interface Waiting {
  readonly id: number;
  readonly request: BackendRequest;
  readonly submittedAt: number;
}

interface Running {
  readonly id: number;
  readonly request: BackendRequest;
  readonly sequence: Sequence;
  readonly sampler: Sampler;
  /** Not yet run: the rest of the prompt, or the token sampled last. */
  pending: Uint32Array;
  /** Tokens of prompt and reply. */
  length: number;
  generated: number;
  readonly timings: BackendTimings;
  readonly startedAt: number;
  firstTokenAt: number;
}

export class Scheduler {
  private waiting: Waiting[] = [];
  private running: Running[] = [];
  private readonly aborted = new Set<number>();
  private readonly sequences = new Map<number, Sequence>();
  private looping = false;

  constructor(
    private readonly decoder: Decoder,
    private readonly options: SchedulerOptions,
    private readonly events: SchedulerEvents,
  ) {}

  submit(id: number, request: BackendRequest): void {
    this.waiting.push({id, request, submittedAt: performance.now()});
    if (!this.looping) void this.loop();
  }

  /** Takes effect before the request's next step; unknown and ended requests are ignored. */
  abort(id: number): void {
    if (this.running.some((each) => each.id === id)) this.aborted.add(id);
    for (const {submittedAt} of this.takeWaiting((each) => each.id === id)) {
      this.events.finished(id, 'aborted', {queue: performance.now() - submittedAt, prefill: 0, decode: 0, prefilledTokens: 0});
    }
  }

  createSequence(id: number): void {
    this.sequences.set(id, newSequence(this.decoder.createCache()));
  }

  /** Copies what `id` holds now; a request that uses it goes on undisturbed. */
  forkSequence(id: number, copy: number): void {
    this.sequences.set(copy, newSequence(this.forkCache(this.sequences.get(id)) ?? this.decoder.createCache()));
  }

  /** Undefined where there is no memory for it: a cache that holds less costs time, and its request fails for itself. */
  private forkCache(sequence: Sequence | undefined): SequenceCache | undefined {
    try {
      return sequence?.cache.fork();
    } catch {
      return undefined;
    }
  }

  disposeSequence(id: number): void {
    const sequence = this.sequences.get(id);
    if (sequence === undefined) return;
    this.sequences.delete(id);
    sequence.disposed = true;
    if (!sequence.inUse) sequence.cache.dispose();
    for (const {id: request, sequence: used} of this.running) if (used === sequence) this.aborted.add(request);
    for (const each of this.takeWaiting(({request}) => request.sequence === id)) this.events.failed(each.id, sequenceDisposed());
  }

  private takeWaiting(condition: (each: Waiting) => boolean): Waiting[] {
    const taken = this.waiting.filter(condition);
    this.waiting = this.waiting.filter((each) => !condition(each));
    return taken;
  }

  private async loop(): Promise<void> {
    this.looping = true;
    while (this.waiting.length + this.running.length > 0) {
      this.admit();
      for (const request of [...this.running]) await this.turn(request);
    }
    this.looping = false;
  }

  /** Moves requests from waiting to running, in order, as far as there is room and their sequences are free. */
  private admit(): void {
    const still: Waiting[] = [];
    for (const each of this.waiting) {
      if (this.running.length >= this.options.maxBatch || !this.begin(each)) {
        still.push(each);
      }
    }
    this.waiting = still;
  }

  /** False if the request has to wait for its sequence. */
  private begin({id, request, submittedAt}: Waiting): boolean {
    const sequence = this.sequenceOf(request);
    if (sequence === undefined) {
      this.events.failed(id, sequenceDisposed());
      return true;
    }
    if (sequence.inUse) return false;
    sequence.inUse = true;
    const cached = sequence.cache.rewindTo(request.tokens);
    const now = performance.now();
    this.running.push({
      id,
      request,
      sequence,
      sampler: new Sampler(request.sampling, request.logprobs, request.tokens),
      pending: request.tokens.subarray(cached),
      length: request.tokens.length,
      generated: 0,
      timings: {queue: now - submittedAt, prefill: 0, decode: 0, prefilledTokens: request.tokens.length - cached},
      startedAt: now,
      firstTokenAt: 0,
    });
    return true;
  }

  private sequenceOf({sequence}: BackendRequest): Sequence | undefined {
    if (sequence !== undefined) return this.sequences.get(sequence);
    return {...newSequence(this.decoder.createCache()), disposed: true};
  }

  private async turn(request: Running): Promise<void> {
    if (this.aborted.delete(request.id)) return this.finish(request, 'aborted');
    try {
      const chunk = request.pending.subarray(0, this.options.prefillChunk);
      const logits = await this.decoder.run(chunk, request.sequence.cache);
      request.pending = request.pending.subarray(chunk.length);
      if (request.pending.length === 0) this.sample(request, logits);
    } catch (error) {
      this.end(request);
      this.events.failed(request.id, error);
    }
  }

  private sample(running: Running, logits: Float32Array): void {
    const {request, timings} = running;
    const event = running.sampler.next(logits, running.length);
    const now = performance.now();
    if (running.generated === 0) {
      running.firstTokenAt = now;
      timings.prefill = now - running.startedAt;
    }
    timings.decode = now - running.firstTokenAt;
    running.length++;
    running.generated++;
    running.pending = Uint32Array.of(event.token);
    this.events.tokens(running.id, [event]);
    if (request.stopTokens.has(event.token)) this.finish(running, 'stop');
    else if (running.generated >= request.maxNewTokens || running.length > this.options.maxContext) this.finish(running, 'length');
  }

  private finish(running: Running, reason: BackendFinish): void {
    this.end(running);
    this.events.finished(running.id, reason, running.timings);
  }

  private end(running: Running): void {
    this.running = this.running.filter((each) => each !== running);
    this.aborted.delete(running.id);
    const {sequence} = running;
    sequence.inUse = false;
    if (sequence.disposed) sequence.cache.dispose();
  }
}

function sequenceDisposed(): TensorrtNodeError {
  return new TensorrtNodeError('ERR_DISPOSED', 'the session was disposed before its request began');
}

function newSequence(cache: SequenceCache): Sequence {
  return {cache, inUse: false, disposed: false};
}
