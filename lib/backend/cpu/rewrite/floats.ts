/** A float32 tensor's values. */

import type {Model} from '../../../onnx/model.js';
import type {TensorProto} from '../../../onnx/onnx_pb.js';

export async function floats(model: Model, tensor: TensorProto): Promise<Float32Array> {
  const bytes = await model.readTensorData(tensor);
  // A view on a file's buffer may start anywhere; floats must start at a multiple of four.
  const aligned = bytes.byteOffset % Float32Array.BYTES_PER_ELEMENT === 0 ? bytes : bytes.slice();
  return new Float32Array(aligned.buffer, aligned.byteOffset, aligned.byteLength / Float32Array.BYTES_PER_ELEMENT);
}
