/** Float16 tensors for ONNX Runtime on every Node. */

import * as ort from 'onnxruntime-node';

/**
 * A tensor over `bits`. Where Node has Float16Array a Tensor keeps its halves in one, which onnxruntime-node 1.30 takes
 * for empty when the tensor is fed ("not enough space: expected …, got 0").
 */
export function halfTensor(bits: Uint16Array, dims: readonly number[]): ort.Tensor {
  return Object.defineProperty(new ort.Tensor('float16', bits, dims), 'data', {value: bits});
}

/** The bits of a float16 tensor, in the tensor's memory. */
export function halfBits({data}: ort.Tensor): Uint16Array {
  const array = data as Uint16Array;
  return new Uint16Array(array.buffer, array.byteOffset, array.length);
}
