/** A model that somebody has for a while. */

import type {LanguageModel} from '../../generate/model.js';
import type {Use} from './shared_backend.js';

export class ModelLease implements AsyncDisposable {
  readonly #use: Use;
  readonly #released: (use: Use) => void;

  /** Made by `ModelRegistry.acquire`. */
  constructor(
    /** In memory until the lease is released; after that each of its requests waits for its turn. */
    readonly model: LanguageModel,
    use: Use,
    released: (use: Use) => void,
  ) {
    this.#use = use;
    this.#released = released;
  }

  /** Lets the model go, once its requests under way have ended. More calls do nothing. A lost lease is released when it is collected. */
  release(): void {
    this.#released(this.#use);
    this.#use.release();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.release();
  }
}
