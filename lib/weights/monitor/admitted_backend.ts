/** A backend whose requests wait, or are refused, while memory is short. */

import type {Backend, BackendListener, BackendRequest, BackendRequestHandle, MemoryPart} from '../../backend/backend.js';
import {afterWaiting, submitAfter} from '../../backend/submit_after.js';
import type {MemoryMonitor} from './memory_monitor.js';

export class AdmittedBackend implements Backend {
  readonly name: Backend['name'];
  readonly description: string;
  readonly limits: Backend['limits'];
  readonly vocabSize: number;

  constructor(
    private readonly backend: Backend,
    private readonly monitor: Pick<MemoryMonitor, 'admit'>,
  ) {
    ({name: this.name, description: this.description, limits: this.limits, vocabSize: this.vocabSize} = backend);
  }

  submit(request: BackendRequest, listener: BackendListener): BackendRequestHandle {
    return submitAfter(
      (signal) => this.monitor.admit({signal}),
      (_, waited) => this.backend.submit(request, afterWaiting(listener, waited)),
      listener,
    );
  }

  createSequence(): number {
    return this.backend.createSequence();
  }

  forkSequence(sequence: number): number {
    return this.backend.forkSequence(sequence);
  }

  disposeSequence(sequence: number): void {
    this.backend.disposeSequence(sequence);
  }

  async score(tokens: Uint32Array): Promise<Float32Array> {
    await this.monitor.admit();
    return this.backend.score(tokens);
  }

  memory(): readonly MemoryPart[] {
    return this.backend.memory?.() ?? [];
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve(this.backend[Symbol.asyncDispose]());
  }
}
