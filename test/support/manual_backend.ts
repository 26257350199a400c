/** A backend whose requests the test answers itself. */

import type {Backend, BackendListener, BackendRequest, BackendRequestHandle} from '../../lib/backend/backend.js';

export interface ManualRequest extends BackendRequest {
  listener: BackendListener;
  aborted: boolean;
  /** Tokens taken. */
  consumed: number;
}

export const TIMINGS = {queue: 0, prefill: 0, decode: 0, prefilledTokens: 0};

export class ManualBackend implements Backend {
  readonly name = 'cpu';
  readonly description = 'answered by a test';
  readonly limits = {maxContext: 512, maxBatch: 1};
  readonly requests: ManualRequest[] = [];
  readonly disposed: number[] = [];
  private sequences = 0;

  constructor(readonly vocabSize: number) {}

  submit(request: BackendRequest, listener: BackendListener): BackendRequestHandle {
    const manual = {...request, listener, aborted: false, consumed: 0};
    this.requests.push(manual);
    return {
      consumed(tokens) {
        manual.consumed += tokens;
      },
      abort() {
        if (!manual.aborted) queueMicrotask(() => listener.finished('aborted', TIMINGS));
        manual.aborted = true;
      },
    };
  }

  createSequence(): number {
    return ++this.sequences;
  }

  forkSequence(): number {
    return ++this.sequences;
  }

  /** As the scheduler does with a request that uses it. */
  disposeSequence(sequence: number): void {
    this.disposed.push(sequence);
    for (const {listener, sequence: used} of this.requests) if (used === sequence) listener.finished('aborted', TIMINGS);
  }

  async score(tokens: Uint32Array): Promise<Float32Array> {
    return new Float32Array(tokens.length * this.vocabSize);
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}
