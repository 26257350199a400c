/** A sequence's keys and values on the CPU backend: one buffer a layer, given to ONNX Runtime as past and present at once. */

import type * as ort from 'onnxruntime-node';

import {type FloatArray, floatArray, floatTensor} from './float_tensor.js';

/** What every layer's cache looks like, read from the model's inputs. */
export interface KvLayout {
  layerCount: number;
  kvHeadCount: number;
  headDim: number;
  type: 'float32' | 'float16';
}

/** Capacities are powers of two from here, so that freed buffers fit the next sequence. */
const SMALLEST_CAPACITY = 256;

/** Tensors [1, kvHeadCount, capacity, headDim], key then value of each layer. Their data pointers never change. */
class KvBuffers {
  readonly arrays: FloatArray[];
  readonly tensors: ort.Tensor[];

  constructor(
    readonly layout: KvLayout,
    readonly capacity: number,
  ) {
    const elements = layout.kvHeadCount * capacity * layout.headDim;
    const dims = [1, layout.kvHeadCount, capacity, layout.headDim];
    this.arrays = Array.from({length: 2 * layout.layerCount}, () => floatArray(layout.type, elements));
    this.tensors = this.arrays.map((array) => floatTensor(array, dims));
  }

  /** Copies the first `length` positions of every head. */
  copyFrom(source: KvBuffers, length: number): void {
    const {kvHeadCount, headDim} = this.layout;
    for (const [index, array] of this.arrays.entries()) {
      const from = source.arrays[index]!;
      for (let head = 0; head < kvHeadCount; head++) {
        const start = head * source.capacity * headDim;
        array.set(from.subarray(start, start + length * headDim), head * this.capacity * headDim);
      }
    }
  }
}

/** Lends buffers and takes them back, so that sequences that come and go allocate nothing. */
export class KvPool {
  private readonly free = new Map<number, KvBuffers[]>();
  private freeCount = 0;

  constructor(
    readonly layout: KvLayout,
    readonly maxContext: number,
    /** Sets of buffers kept for later, at most. */
    private readonly maxFree: number,
  ) {}

  take(length: number): KvBuffers {
    const capacity = this.capacityFor(length);
    const kept = this.free.get(capacity)?.pop();
    if (kept === undefined) return new KvBuffers(this.layout, capacity);
    this.freeCount--;
    return kept;
  }

  giveBack(buffers: KvBuffers): void {
    if (this.freeCount >= this.maxFree) return;
    const sameSize = this.free.get(buffers.capacity);
    if (sameSize) sameSize.push(buffers);
    else this.free.set(buffers.capacity, [buffers]);
    this.freeCount++;
  }

  private capacityFor(length: number): number {
    let capacity = SMALLEST_CAPACITY;
    while (capacity < length) capacity *= 2;
    return Math.min(capacity, this.maxContext);
  }
}

/** The cache of one sequence: which tokens it holds, and their keys and values. */
export class KvCache {
  private buffers: KvBuffers | undefined;
  private held: number[] = [];

  constructor(private readonly pool: KvPool) {}

  get length(): number {
    return this.held.length;
  }

  /** Past and present at once: key then value of each layer. Valid until the next `reserve` or `dispose`. */
  get tensors(): readonly ort.Tensor[] {
    return this.buffers?.tensors ?? [];
  }

  /** Drops what does not begin `tokens`, and keeps at least the last of them to be run. Returns the length left. */
  rewindTo(tokens: Uint32Array): number {
    let shared = 0;
    const most = Math.min(this.held.length, tokens.length - 1);
    while (shared < most && this.held[shared] === tokens[shared]) shared++;
    this.held.length = shared;
    return shared;
  }

  /** Makes room for `length` tokens in all, keeping what is held. */
  reserve(length: number): void {
    if (this.buffers !== undefined && this.buffers.capacity >= length) return;
    const larger = this.pool.take(length);
    if (this.buffers !== undefined) {
      larger.copyFrom(this.buffers, this.held.length);
      this.pool.giveBack(this.buffers);
    }
    this.buffers = larger;
  }

  /** Notes that the keys and values of `tokens` were written. */
  append(tokens: Uint32Array): void {
    for (const token of tokens) this.held.push(token);
  }

  fork(): KvCache {
    const copy = new KvCache(this.pool);
    if (this.buffers !== undefined) {
      copy.reserve(Math.max(1, this.held.length));
      copy.buffers!.copyFrom(this.buffers, this.held.length);
      copy.held = this.held.slice();
    }
    return copy;
  }

  dispose(): void {
    if (this.buffers !== undefined) this.pool.giveBack(this.buffers);
    this.buffers = undefined;
    this.held = [];
  }
}
