/** Reads an ONNX model and checks it; bytes in external files stay there until they are asked for. */

import {readFile, stat} from 'node:fs/promises';
import {resolve} from 'node:path';

import {fromBinary} from '@bufbuild/protobuf';

import {FormatError, throwIfAborted} from '../errors.js';
import {checkModel} from './check.js';
import {DataType} from './data_type.js';
import {ExternalDataResolver} from './external_data.js';
import {checkInlineBytes} from './inline_data.js';
import {Model, tensorsOf} from './model.js';
import {TensorProto_DataLocation as DataLocation, type ModelProto, ModelProtoSchema, type TensorProto} from './onnx_pb.js';

/** Protocol buffers end at 2 GiB; larger models have external data. */
const MAX_PROTOBUF_BYTES = 2 ** 31 - 1;

export interface ReadOptions {
  signal?: AbortSignal;
}

/**
 * Throws FormatError: ERR_NOT_FOUND (the model, a file of external data), ERR_PATH_OUTSIDE (external data outside the
 * model's folder), ERR_ONNX (anything else that is wrong with it); UnsupportedError for a data type this version does
 * not know; AbortError.
 */
export async function readModel(path: string, {signal}: ReadOptions = {}): Promise<Model> {
  throwIfAborted(signal);
  const absolute = resolve(path);
  const bytes = await readBytes(absolute, signal);
  const proto = parseModel(bytes, absolute);
  const model = new Model(proto, absolute, bytes);
  const external = new ExternalDataResolver(absolute);
  for (const tensor of tensorsOf(proto)) {
    throwIfAborted(signal);
    if (isExternal(tensor)) model.setSource(tensor, await external.resolve(tensor));
    else if (tensor.dataType !== DataType.STRING) checkInlineBytes(tensor, absolute);
  }
  return model;
}

/** A checked model from bytes that hold all of it; `label` names it in errors. Bytes of tensors are views on `bytes`. */
export function parseModel(bytes: Uint8Array, label: string): ModelProto {
  let proto: ModelProto;
  try {
    proto = fromBinary(ModelProtoSchema, bytes);
  } catch (cause) {
    throw new FormatError('ERR_ONNX', label, 'is not an ONNX model, or it is truncated', undefined, {cause});
  }
  checkModel(proto, label);
  return proto;
}

export function isExternal(tensor: TensorProto): boolean {
  return tensor.dataLocation === DataLocation.EXTERNAL;
}

async function readBytes(path: string, signal: AbortSignal | undefined): Promise<Uint8Array> {
  try {
    const found = await stat(path);
    if (!found.isFile()) throw new FormatError('ERR_ONNX', path, 'is not a file');
    if (found.size > MAX_PROTOBUF_BYTES) {
      throw new FormatError('ERR_ONNX', path, `has ${found.size} bytes, and a protocol buffer at most ${MAX_PROTOBUF_BYTES}`);
    }
    const bytes = await readFile(path, {signal});
    // Not a Buffer: its `slice` shares memory, and so would that of every tensor's bytes.
    return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  } catch (cause) {
    throwIfAborted(signal);
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') {
      throw new FormatError('ERR_NOT_FOUND', path, 'no such file', undefined, {cause});
    }
    throw cause;
  }
}
