/** A rewritten model as the bytes ONNX Runtime loads; external data stays where it is. */

import {toBinary} from '@bufbuild/protobuf';

import {type Model, tensorsOf} from '../../../onnx/model.js';
import {ModelProtoSchema} from '../../../onnx/onnx_pb.js';
import {isExternal} from '../../../onnx/read.js';

export async function serialize(model: Model): Promise<Uint8Array> {
  for (const tensor of tensorsOf(model.proto)) {
    if (isExternal(tensor) || tensor.rawData.byteLength > 0) continue;
    const source = model.source(tensor);
    // Typed fields (floatData and the like) give their bytes as a source too; raw ones take less room and one form.
    if (source.byteLength === 0) continue;
    tensor.rawData = await model.readTensorData(tensor);
    Object.assign(tensor, {floatData: [], int32Data: [], int64Data: [], doubleData: [], uint64Data: []});
  }
  return toBinary(ModelProtoSchema, model.proto);
}
