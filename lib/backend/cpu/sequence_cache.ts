/** What a sequence has in its cache: which tokens, and their keys and values in whatever form the model wants them. */

import type * as ort from 'onnxruntime-node';

/** What every layer's cache looks like, read from the model's inputs. */
export interface KvLayout {
  layerCount: number;
  kvHeadCount: number;
  headDim: number;
  type: 'float32' | 'float16';
}

/** Key then value of each layer. */
export interface KvBinding {
  past: readonly ort.Tensor[];
  /** Where the run writes; undefined where it is to make tensors of its own. */
  present: readonly ort.Tensor[] | undefined;
}

export abstract class SequenceCache {
  protected held: number[] = [];

  /** Tokens held. */
  get length(): number {
    return this.held.length;
  }

  /** Drops what does not begin `tokens`, and keeps at least the last of them to be run. Returns the length left. */
  rewindTo(tokens: Uint32Array): number {
    let shared = 0;
    const most = Math.min(this.held.length, tokens.length - 1);
    while (shared < most && this.held[shared] === tokens[shared]) shared++;
    this.held.length = shared;
    return shared;
  }

  /** Tensors for a run of `count` tokens after those held. Valid until the next call of anything here. */
  abstract bind(count: number): KvBinding;

  /** Notes that `tokens` were run; `present` is what the run made where it was bound to make tensors of its own. */
  commit(tokens: Uint32Array, present: readonly ort.Tensor[] | undefined): void {
    for (const token of tokens) this.held.push(token);
    this.accept(present);
  }

  /** The same tokens in a cache of their own. */
  abstract fork(): SequenceCache;

  dispose(): void {
    this.held = [];
    this.release();
  }

  protected abstract accept(present: readonly ort.Tensor[] | undefined): void;
  protected abstract release(): void;
}
