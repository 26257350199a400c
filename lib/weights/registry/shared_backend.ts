/** A model of a registry as its users see it: there whenever they ask, after waiting for its turn. */

import type {Backend, BackendListener, BackendRequest, BackendRequestHandle} from '../../backend/backend.js';
import {afterWaiting, submitAfter} from '../../backend/submit_after.js';
import type {BackendFacts, ResidentModel} from './resident_model.js';

/** While it lasts the model is in memory. */
export interface Use {
  /** More calls do nothing. `error`: what a request ended with, which may say that the backend is of no more use. */
  release(error?: Error): void;
}

/** How a user comes to the model. */
export interface Doors {
  /** Waits for the model. Throws TensorrtNodeError, AbortError, or what loading the model throws. */
  enter(signal: AbortSignal): Promise<Use>;
  /** At once, for one who uses it already. */
  join(): Use;
}

export class SharedBackend implements Backend, BackendFacts {
  readonly name: Backend['name'];
  readonly description: string;
  readonly limits: Backend['limits'];
  readonly vocabSize: number;
  /** Whether its user has the model now: requests then wait for nobody. */
  held = true;

  constructor(
    private readonly model: ResidentModel,
    private readonly doors: Doors,
  ) {
    ({name: this.name, description: this.description, limits: this.limits, vocabSize: this.vocabSize} = model.facts);
  }

  submit(request: BackendRequest, listener: BackendListener): BackendRequestHandle {
    if (this.held) return this.#run(this.doors.join(), 0, request, listener);
    return submitAfter(
      (signal) => this.doors.enter(signal),
      (use, waited) => this.#run(use, waited, request, listener),
      listener,
    );
  }

  createSequence(): number {
    return this.model.createSequence();
  }

  forkSequence(sequence: number): number {
    return this.model.forkSequence(sequence);
  }

  disposeSequence(sequence: number): void {
    this.model.disposeSequence(sequence);
  }

  async score(tokens: Uint32Array): Promise<Float32Array> {
    const use = this.held ? this.doors.join() : await this.doors.enter(new AbortController().signal);
    try {
      return await this.model.score(tokens);
    } finally {
      use.release();
    }
  }

  /** The model is the registry's to free. */
  async [Symbol.asyncDispose](): Promise<void> {}

  #run(use: Use, waited: number, request: BackendRequest, listener: BackendListener): BackendRequestHandle {
    const timed = afterWaiting(listener, waited);
    return this.model.submit(request, {
      tokens: (batch) => timed.tokens(batch),
      finished(reason, timings) {
        use.release();
        timed.finished(reason, timings);
      },
      failed(error) {
        use.release(error);
        timed.failed(error);
      },
    });
  }
}
