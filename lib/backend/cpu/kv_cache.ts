/** A sequence's keys and values on the CPU backend: one buffer a layer, given to ONNX Runtime as past and present at once. */

import type * as ort from 'onnxruntime-node';

import {type FloatArray, floatArray, floatTensor} from '../../onnxruntime/float_tensor.js';
import {type KvBinding, type KvLayout, SequenceCache} from './sequence_cache.js';

/** Capacities are powers of two from here, so that freed buffers fit the next sequence. */
export const SMALLEST_CAPACITY = 256;

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
  private freePositions = 0;

  constructor(
    readonly layout: KvLayout,
    readonly maxContext: number,
    /** Positions that buffers kept for later may have in all: an idle model must not hold what its busiest moment took. */
    private readonly maxFreePositions: number,
  ) {}

  take(length: number): KvBuffers {
    const capacity = this.capacityFor(length);
    const kept = this.free.get(capacity)?.pop();
    if (kept === undefined) return new KvBuffers(this.layout, capacity);
    this.freePositions -= capacity;
    return kept;
  }

  giveBack(buffers: KvBuffers): void {
    if (this.freePositions + buffers.capacity > this.maxFreePositions) return;
    const sameSize = this.free.get(buffers.capacity);
    if (sameSize) sameSize.push(buffers);
    else this.free.set(buffers.capacity, [buffers]);
    this.freePositions += buffers.capacity;
  }

  private capacityFor(length: number): number {
    let capacity = SMALLEST_CAPACITY;
    while (capacity < length) capacity *= 2;
    return Math.min(capacity, this.maxContext);
  }
}

export class KvCache extends SequenceCache {
  private buffers: KvBuffers | undefined;

  constructor(private readonly pool: KvPool) {
    super();
  }

  bind(count: number): KvBinding {
    const {tensors} = this.reserve(this.length + count);
    return {past: tensors, present: tensors};
  }

  fork(): KvCache {
    const copy = new KvCache(this.pool);
    copy.held = this.held.slice();
    if (this.buffers !== undefined) copy.reserve(Math.max(1, this.length)).copyFrom(this.buffers, this.length);
    return copy;
  }

  /** Room for `length` tokens in all, with what is held. */
  private reserve(length: number): KvBuffers {
    if (this.buffers !== undefined && this.buffers.capacity >= length) return this.buffers;
    const larger = this.pool.take(length);
    if (this.buffers !== undefined) {
      larger.copyFrom(this.buffers, this.length);
      this.pool.giveBack(this.buffers);
    }
    this.buffers = larger;
    return larger;
  }

  /** The run wrote into the buffers. */
  protected accept(): void {}

  protected release(): void {
    if (this.buffers !== undefined) this.pool.giveBack(this.buffers);
    this.buffers = undefined;
  }
}
