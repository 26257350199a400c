/**
 * Lets ONNX Runtime write into our buffers without handing them back.
 *
 * onnxruntime-node copies every output of a run into a new ArrayBuffer, those we gave buffers for included: 0.5 ms a
 * megabyte, so 50 ms a token for a cache of 100 MB. It converts outputs in the graph's order and refuses a sequence,
 * after the run. So the graph gets an empty sequence as its first output: the run happens, our buffers hold the
 * results, and the conversion ends at once with an error that `wasUnreturned` knows. A binding that learns to convert
 * sequences only costs us the copies again.
 */

import {create} from '@bufbuild/protobuf';

import {DataType} from '../../../onnx/data_type.js';
import {GraphBuilder, int} from '../../../onnx/graph_builder.js';
import type {Model} from '../../../onnx/model.js';
import {ValueInfoProtoSchema} from '../../../onnx/onnx_pb.js';

export const UNRETURNED = 'unreturned_outputs';

export function addUnreturnedOutput(model: Model): void {
  const builder = GraphBuilder.extend(model);
  builder.node('SequenceEmpty', [], {outputs: [UNRETURNED], attributes: {dtype: int(DataType.FLOAT)}});
  const elemType = {value: {case: 'tensorType' as const, value: {elemType: DataType.FLOAT}}};
  model.graph.output.unshift(create(ValueInfoProtoSchema, {name: UNRETURNED, type: {value: {case: 'sequenceType', value: {elemType}}}}));
}

/** Whether a run did all of its work and only its outputs were not converted. */
export function wasUnreturned(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith('Non tensor type is temporarily not supported');
}
