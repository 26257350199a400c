/** One model of a registry: its weights while they are there, and its sequences, which outlive them. */

import type {Backend, BackendListener, BackendRequest, BackendRequestHandle} from '../../backend/backend.js';
import {TensorrtNodeError} from '../../errors.js';
import type {OpenedModel} from '../../generate/load.js';
import type {Memory} from './residency.js';

/** What is known of a backend before and after it is there. */
export type BackendFacts = Pick<Backend, 'name' | 'description' | 'limits' | 'vocabSize'>;

export class ResidentModel {
  #backend: Backend | undefined;
  #facts: BackendFacts | undefined;
  #suspended = false;
  #nextSequence = 1;
  /** To the backend's own, of those that it has: what is lost with the weights is run again when it is needed. */
  readonly #sequences = new Map<number, number | undefined>();

  /** `expected`: what it takes on a backend that does not say. */
  constructor(
    private readonly loadBackend: OpenedModel['loadBackend'],
    private readonly expected: Memory,
  ) {}

  /** Of the last backend loaded. */
  get facts(): BackendFacts {
    if (this.#facts === undefined) throw new Error('the model was never loaded');
    return this.#facts;
  }

  /** Throws as `loadModel` does. */
  async load(signal?: AbortSignal): Promise<void> {
    this.#backend = await this.loadBackend({signal});
    this.#suspended = false;
    const {name, description, limits, vocabSize} = this.#backend;
    this.#facts = {name, description, limits, vocabSize};
  }

  /** Throws what the backend does, and UnsupportedError's kin where it has no such thing; then all is as it was. */
  async suspend(): Promise<void> {
    const backend = this.#loaded();
    if (backend.suspend === undefined) throw new TensorrtNodeError('ERR_UNSUPPORTED', 'the backend cannot be suspended');
    await backend.suspend();
    this.#suspended = true;
  }

  async resume(): Promise<void> {
    await this.#loaded().resume!();
    this.#suspended = false;
  }

  async unload(): Promise<void> {
    const backend = this.#backend;
    this.#backend = undefined;
    this.#suspended = false;
    for (const sequence of this.#sequences.keys()) this.#sequences.set(sequence, undefined);
    await backend?.[Symbol.asyncDispose]();
  }

  /** What it holds now. */
  memory(): Memory {
    if (this.#backend === undefined) return {gpu: 0, ram: 0};
    const parts = this.#backend.memory?.();
    if (parts === undefined) return this.expected;
    const memory = {gpu: 0, ram: 0};
    for (const {where, bytes} of parts) memory[where === 'gpu' ? 'gpu' : 'ram'] += bytes;
    return memory;
  }

  /** The weights must be there. */
  submit(request: BackendRequest, listener: BackendListener): BackendRequestHandle {
    const backend = this.#loaded();
    if (request.sequence === undefined) return backend.submit(request, listener);
    if (!this.#sequences.has(request.sequence)) {
      queueMicrotask(() => listener.failed(new TensorrtNodeError('ERR_DISPOSED', 'the session was disposed')));
      return {consumed() {}, abort() {}};
    }
    const sequence = this.#sequences.get(request.sequence) ?? backend.createSequence();
    this.#sequences.set(request.sequence, sequence);
    return backend.submit({...request, sequence}, listener);
  }

  /** The weights must be there. */
  score(tokens: Uint32Array): Promise<Float32Array> {
    return this.#loaded().score(tokens);
  }

  createSequence(): number {
    return this.#newSequence(undefined);
  }

  forkSequence(sequence: number): number {
    const own = this.#sequences.get(sequence);
    const copies = own !== undefined && this.#backend !== undefined && !this.#suspended;
    return this.#newSequence(copies ? this.#backend!.forkSequence(own) : undefined);
  }

  disposeSequence(sequence: number): void {
    const own = this.#sequences.get(sequence);
    this.#sequences.delete(sequence);
    if (own !== undefined) this.#backend?.disposeSequence(own);
  }

  #newSequence(own: number | undefined): number {
    const sequence = this.#nextSequence++;
    this.#sequences.set(sequence, own);
    return sequence;
  }

  #loaded(): Backend {
    if (this.#backend === undefined) throw new Error('the model is not loaded');
    return this.#backend;
  }
}
