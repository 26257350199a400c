/** Keys and values of models that concatenate: each run takes exactly the past and makes a longer one. */

import type * as ort from 'onnxruntime-node';

import {type FloatArray, floatArray, floatTensor} from '../../onnxruntime/float_tensor.js';
import {type KvBinding, type KvLayout, SequenceCache} from './sequence_cache.js';

export class ConcatCache extends SequenceCache {
  /** [1, kvHeadCount, length, headDim] each, never written to: forks share them. */
  private tensors: readonly ort.Tensor[] | undefined;

  constructor(private readonly layout: KvLayout) {
    super();
  }

  bind(): KvBinding {
    const {layerCount, kvHeadCount, headDim, type} = this.layout;
    this.tensors ??= Array.from({length: 2 * layerCount}, () => floatTensor(floatArray(type, 0), [1, kvHeadCount, 0, headDim]));
    this.tensors = this.tensors.map((tensor) => firstPositions(tensor, this.length));
    return {past: this.tensors, present: undefined};
  }

  fork(): ConcatCache {
    const copy = new ConcatCache(this.layout);
    copy.held = this.held.slice();
    copy.tensors = this.tensors;
    return copy;
  }

  protected accept(present: readonly ort.Tensor[]): void {
    this.tensors = present.map(({data, dims}) => floatTensor(bits(data as FloatArray), dims));
  }

  protected release(): void {
    this.tensors = undefined;
  }
}

function firstPositions(tensor: ort.Tensor, length: number): ort.Tensor {
  const [, heads, held, headDim] = tensor.dims as [number, number, number, number];
  if (held === length) return tensor;
  const from = tensor.data as FloatArray;
  const kept = floatArray(from instanceof Float32Array ? 'float32' : 'float16', heads * length * headDim);
  for (let head = 0; head < heads; head++) {
    const start = head * held * headDim;
    kept.set(from.subarray(start, start + length * headDim), head * length * headDim);
  }
  return floatTensor(kept, [1, heads, length, headDim]);
}

/** Where Node has Float16Array, results come in it. */
function bits(data: FloatArray): FloatArray {
  if (data instanceof Float32Array || data instanceof Uint16Array) return data;
  const {buffer, byteOffset, length} = data as Uint16Array;
  return new Uint16Array(buffer, byteOffset, length);
}
