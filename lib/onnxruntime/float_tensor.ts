/** ONNX Runtime tensors of either float type, on every Node. */

import * as ort from 'onnxruntime-node';

export type FloatArray = Float32Array | Uint16Array;

/** A tensor over `data`, Uint16Array for halves. */
export function floatTensor(data: FloatArray, dims: readonly number[]): ort.Tensor {
  if (data instanceof Float32Array) return new ort.Tensor('float32', data, dims);
  // Where Node has Float16Array a Tensor keeps its halves in one, which onnxruntime-node 1.30 takes for empty.
  return Object.defineProperty(new ort.Tensor('float16', data, dims), 'data', {value: data});
}

export function floatArray(type: 'float32' | 'float16', length: number): FloatArray {
  return type === 'float32' ? new Float32Array(length) : new Uint16Array(length);
}
