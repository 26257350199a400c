/** Writes an ONNX model; bytes of tensors stream into a file beside it, so that none of them need be in memory. */

import type {FileHandle} from 'node:fs/promises';
import {basename, dirname, join, resolve} from 'node:path';

import {clearField, create, type Message, toBinary} from '@bufbuild/protobuf';

import {FormatError, OptionError, throwIfAborted} from '../errors.js';
import {integer} from '../options.js';
import type {OnProgress} from '../progress.js';
import {AtomicFiles} from './atomic_files.js';
import {DataType} from './data_type.js';
import {expectedByteLength} from './inline_data.js';
import {graphsOf, type Model, tensorsOf} from './model.js';
import {
  type AttributeProto,
  TensorProto_DataLocation as DataLocation,
  type GraphProto,
  type ModelProto,
  ModelProtoSchema,
  type NodeProto,
  type SparseTensorProto,
  StringStringEntryProtoSchema,
  type TensorProto,
  TensorProtoSchema,
} from './onnx_pb.js';
import {readSource, type TensorSource} from './tensor_source.js';

export interface WriteOptions {
  /** Name of the file beside the model that takes the bytes of its initializers. Without it they go into the model file, which ends at 2 GiB. */
  externalData?: string;
  /** Initializers of fewer bytes stay in the model file. Default 1024. */
  threshold?: number;
  /** Offsets in the external file are multiples of this. Default 4096, a memory page, so that tensors can be mapped. */
  alignment?: number;
  signal?: AbortSignal;
  onProgress?: OnProgress;
}

interface Placement {
  tensor: TensorProto;
  source: TensorSource;
  offset: number;
}

/**
 * Replaces what is at `path`; its folder must exist. Both files appear complete under their names or not at all
 * (only a crash of the machine between the two renames could leave the new one beside the old).
 * Initializers that share a TensorSource share its place in the external file. The model itself is not changed.
 * Throws OptionError; FormatError (ERR_ONNX) where a tensor's bytes do not fit its shape or the model file would pass
 * 2 GiB; AbortError; and what the sources throw.
 */
export async function writeModel(model: Model, path: string, options: WriteOptions = {}): Promise<void> {
  const {externalData, signal, onProgress} = options;
  const target = resolve(path);
  if (externalData !== undefined && (basename(externalData) !== externalData || ['', '.', '..', basename(target)].includes(externalData))) {
    throw new OptionError('externalData', "a file name without folders, other than the model's", externalData);
  }
  const threshold = integer('threshold', options.threshold ?? 1024, {min: 0});
  const alignment = integer('alignment', options.alignment ?? 4096, {min: 1});
  throwIfAborted(signal);

  const placements = externalData === undefined ? [] : place(model, threshold, alignment);
  const encoded = await encode(model, externalData ?? '', placements, signal);

  await using files = new AtomicFiles();
  if (externalData !== undefined && placements.length > 0) {
    // First, so that it has its name before the model that refers to it.
    await writeTensors(await files.create(join(dirname(target), externalData)), placements, model.label, signal, onProgress);
  }
  const file = await files.create(target);
  await writeFully(file, encoded, 0);
  throwIfAborted(signal);
  await files.commit();
}

function place(model: Model, threshold: number, alignment: number): Placement[] {
  const placements: Placement[] = [];
  const offsets = new Map<TensorSource, number>();
  let end = 0;
  for (const graph of graphsOf(model.proto)) {
    for (const tensor of graph.initializer) {
      if (tensor.dataType === DataType.STRING) continue;
      const source = model.source(tensor);
      checkLength(tensor, source, model.label);
      if (source.byteLength < threshold || source.byteLength === 0) continue;
      let offset = offsets.get(source);
      if (offset === undefined) {
        offset = Math.ceil(end / alignment) * alignment;
        offsets.set(source, offset);
        end = offset + source.byteLength;
        if (!Number.isSafeInteger(end)) throw new FormatError('ERR_ONNX', model.label, 'has more bytes than a file can hold');
      }
      placements.push({tensor, source, offset});
    }
  }
  return placements;
}

function checkLength(tensor: TensorProto, source: TensorSource, label: string): void {
  const expected = expectedByteLength(tensor, label);
  if (source.byteLength !== expected) {
    throw new FormatError('ERR_ONNX', label, `tensor '${tensor.name}' has ${source.byteLength} bytes where its shape needs ${expected}`);
  }
}

async function writeTensors(
  file: FileHandle,
  placements: readonly Placement[],
  label: string,
  signal: AbortSignal | undefined,
  onProgress: OnProgress | undefined,
): Promise<void> {
  const unique = [...new Map(placements.map((placement) => [placement.source, placement])).values()];
  const total = unique.reduce((sum, {source}) => sum + source.byteLength, 0);
  let done = 0;
  let end = 0;
  for (const {tensor, source, offset} of unique) {
    let at = offset;
    for await (const chunk of source.chunks()) {
      throwIfAborted(signal);
      if (chunk.byteLength > offset + source.byteLength - at) throw wrongLength(tensor, label);
      // Zeros stay holes: the file reads the same and takes no room.
      if (!isZero(chunk)) await writeFully(file, chunk, at);
      at += chunk.byteLength;
      done += chunk.byteLength;
      onProgress?.({phase: 'write', done, total, unit: 'bytes', detail: tensor.name});
    }
    throwIfAborted(signal);
    if (at !== offset + source.byteLength) throw wrongLength(tensor, label);
    end = at;
  }
  await file.truncate(end);
}

function wrongLength(tensor: TensorProto, label: string): FormatError {
  return new FormatError('ERR_ONNX', label, `the source of tensor '${tensor.name}' did not give the bytes it promised`);
}

async function writeFully(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.byteLength; ) {
    const {bytesWritten} = await file.write(bytes, done, bytes.byteLength - done, position + done);
    done += bytesWritten;
  }
}

/** Compares the bytes with themselves moved by one: stops at the first that differs. */
function isZero(bytes: Uint8Array): boolean {
  return bytes[0] === 0 && Buffer.compare(bytes.subarray(1), bytes.subarray(0, -1)) === 0;
}

/** The model file's bytes: placed initializers refer to `location`, all other tensors are inside. */
async function encode(
  model: Model,
  location: string,
  placements: readonly Placement[],
  signal: AbortSignal | undefined,
): Promise<Uint8Array> {
  const replaced = new Map<TensorProto, TensorProto>();
  for (const {tensor, source, offset} of placements) replaced.set(tensor, external(tensor, location, offset, source.byteLength));
  for (const tensor of tensorsOf(model.proto)) {
    throwIfAborted(signal);
    if (replaced.has(tensor) || tensor.dataType === DataType.STRING) continue;
    const source = model.source(tensor);
    checkLength(tensor, source, model.label);
    replaced.set(tensor, copyOf(withoutData(tensor), {rawData: await readSource(source)}));
  }
  try {
    return toBinary(
      ModelProtoSchema,
      withTensors(model.proto, (tensor) => replaced.get(tensor) ?? tensor),
    );
  } catch (cause) {
    const hint = location ? undefined : 'give externalData a file name';
    throw new FormatError('ERR_ONNX', model.label, 'cannot be encoded as a protocol buffer of at most 2 GiB', hint, {cause});
  }
}

function external(tensor: TensorProto, location: string, offset: number, length: number): TensorProto {
  const entry = (key: string, value: string) => create(StringStringEntryProtoSchema, {key, value});
  return copyOf(withoutData(tensor), {
    externalData: [entry('location', location), entry('offset', String(offset)), entry('length', String(length))],
    dataLocation: DataLocation.EXTERNAL,
  });
}

/** Keeps everything else, unknown fields too. */
function withoutData(tensor: TensorProto): TensorProto {
  const bare = copyOf(tensor, {floatData: [], int32Data: [], int64Data: [], doubleData: [], uint64Data: [], externalData: []});
  clearField(bare, TensorProtoSchema.field.rawData);
  clearField(bare, TensorProtoSchema.field.dataLocation);
  return bare;
}

type Replace = (tensor: TensorProto) => TensorProto;

/** Copies of the messages on the way to each tensor, which is replaced; all else is shared with `model`. */
function withTensors(model: ModelProto, replace: Replace): ModelProto {
  return copyOf(model, {
    graph: model.graph && graphWithTensors(model.graph, replace),
    functions: model.functions.map((body) => copyOf(body, {node: body.node.map((node) => nodeWithTensors(node, replace))})),
  });
}

function graphWithTensors(graph: GraphProto, replace: Replace): GraphProto {
  return copyOf(graph, {
    node: graph.node.map((node) => nodeWithTensors(node, replace)),
    initializer: graph.initializer.map(replace),
    sparseInitializer: graph.sparseInitializer.map((tensor) => sparseWithTensors(tensor, replace)),
  });
}

function nodeWithTensors(node: NodeProto, replace: Replace): NodeProto {
  return copyOf(node, {attribute: node.attribute.map((attribute) => attributeWithTensors(attribute, replace))});
}

function attributeWithTensors(attribute: AttributeProto, replace: Replace): AttributeProto {
  return copyOf(attribute, {
    t: attribute.t && replace(attribute.t),
    g: attribute.g && graphWithTensors(attribute.g, replace),
    sparseTensor: attribute.sparseTensor && sparseWithTensors(attribute.sparseTensor, replace),
    tensors: attribute.tensors.map(replace),
    graphs: attribute.graphs.map((graph) => graphWithTensors(graph, replace)),
    sparseTensors: attribute.sparseTensors.map((tensor) => sparseWithTensors(tensor, replace)),
  });
}

function sparseWithTensors(tensor: SparseTensorProto, replace: Replace): SparseTensorProto {
  return copyOf(tensor, {values: tensor.values && replace(tensor.values), indices: tensor.indices && replace(tensor.indices)});
}

/** The prototype is kept: a message's defaults are there, and which fields are set is told by what is its own. */
function copyOf<T extends Message>(message: T, changes: Partial<T>): T {
  return Object.assign(Object.create(Object.getPrototypeOf(message)), message, changes);
}
