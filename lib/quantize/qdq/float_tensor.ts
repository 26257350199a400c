/** Values of initializers in float32 or float16, read and written as float32. */

import {float16ToFloat32, float32ToFloat16} from '../../import/numeric/float16.js';
import {DataType} from '../../onnx/data_type.js';
import type {Model} from '../../onnx/model.js';
import type {TensorProto} from '../../onnx/onnx_pb.js';
import {BytesSource} from '../../onnx/tensor_source.js';

/** A copy. */
export async function readFloats(model: Model, tensor: TensorProto): Promise<Float32Array> {
  const {buffer} = (await model.readTensorData(tensor)).slice();
  return tensor.dataType === DataType.FLOAT16 ? float16ToFloat32(new Uint16Array(buffer)) : new Float32Array(buffer);
}

/** Only the bytes change, not type and shape; they are in no file any more. */
export function writeFloats(model: Model, tensor: TensorProto, values: Float32Array): void {
  Object.assign(tensor, {rawData: new Uint8Array(), floatData: [], int32Data: [], externalData: [], dataLocation: 0});
  model.setSource(tensor, new BytesSource(floatBytes(tensor.dataType, values)));
}

export function floatBytes(type: DataType, values: Float32Array): Uint8Array {
  const stored = type === DataType.FLOAT16 ? float32ToFloat16(values) : values;
  return new Uint8Array(stored.buffer, stored.byteOffset, stored.byteLength);
}
