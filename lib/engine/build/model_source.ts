/** The model of a build: a file, bytes or a Model, read and checked before anything is started. */

import {createHash, type Hash} from 'node:crypto';
import {createReadStream} from 'node:fs';
import {stat, writeFile} from 'node:fs/promises';
import {basename, extname, join, resolve} from 'node:path';

import {FormatError, OptionError, throwIfAborted, UnsupportedError} from '../../errors.js';
import {DataType, dataTypeName} from '../../onnx/data_type.js';
import {tensorInfo} from '../../onnx/graph.js';
import {Model, tensorsOf} from '../../onnx/model.js';
import {isExternal, parseModel, readModel} from '../../onnx/read.js';
import {FileSource} from '../../onnx/tensor_source.js';
import {writeModel} from '../../onnx/write.js';
import type {OnProgress} from '../../progress.js';
import type {TensorType} from '../tensor.js';

/** An input of the network: a graph's inputs that no initializer gives a value. */
export interface ModelInput {
  name: string;
  type: TensorType;
  /** Each a number, a symbol's name, or '' where nothing is known; Paddle's exporter writes '?' for that. */
  dims: (number | string)[];
}

export interface ModelSource {
  model: Model;
  inputs: ModelInput[];
  /** The ONNX file; of bytes and Models one in the scratch folder. */
  path: string;
  /** It is the user's, and stays. */
  isFile: boolean;
  /** What the engine is called by default. */
  name: string;
}

/**
 * `scratch` makes the folder that takes a model which is not a file. Throws OptionError; FormatError (ERR_ONNX, ERR_NOT_FOUND,
 * ERR_PATH_OUTSIDE), UnsupportedError for an input that TensorRT cannot take; AbortError.
 */
export async function openModel(
  given: string | Uint8Array | Model,
  scratch: () => Promise<string>,
  signal: AbortSignal | undefined,
): Promise<ModelSource> {
  if (typeof given === 'string') {
    if (given === '' || given.includes('\0')) throw new OptionError('model', ALLOWED, given);
    const path = resolve(given);
    const model = await readModel(path, {signal});
    return describe(model, path, true, basename(path, extname(path)));
  }
  if (given instanceof Uint8Array) {
    const model = new Model(parseModel(given, 'model'));
    for (const tensor of tensorsOf(model.proto)) {
      if (isExternal(tensor))
        throw new FormatError(
          'ERR_ONNX',
          'model',
          `tensor '${tensor.name}' has external data, which bytes cannot have`,
          'give the path of the file',
        );
    }
    const path = join(await scratch(), MODEL_FILE);
    await writeFile(path, given);
    throwIfAborted(signal);
    return describe(model, path, false, model.graph.name || 'model');
  }
  if (given instanceof Model) {
    const path = join(await scratch(), MODEL_FILE);
    await writeModel(given, path, {externalData: `${MODEL_FILE}_data`, signal});
    // What is built is what was written: checked as any other file.
    return describe(await readModel(path, {signal}), path, false, given.graph.name || 'model');
  }
  throw new OptionError('model', ALLOWED, given);
}

const ALLOWED = 'the path of an ONNX file, its bytes or a Model';
const MODEL_FILE = 'model.onnx';

function describe(model: Model, path: string, isFile: boolean, name: string): ModelSource {
  const initializers = new Set(model.graph.initializer.map((tensor) => tensor.name));
  const inputs = model.graph.input
    .filter((input) => !initializers.has(input.name))
    .map((input): ModelInput => {
      const info = tensorInfo(input);
      if (info === undefined)
        throw new UnsupportedError(`${model.label}: input '${input.name}' is not a tensor, which TensorRT cannot take`);
      const type = TYPES.get(info.type);
      if (type === undefined)
        throw new UnsupportedError(`${model.label}: input '${input.name}' is ${dataTypeName(info.type)}, which TensorRT cannot take`);
      if (info.dims === undefined)
        throw new UnsupportedError(`${model.label}: input '${input.name}' has no rank`, 'export the model with the shapes of its inputs');
      return {name: input.name, type, dims: info.dims.map((dim) => (dim === '?' ? '' : dim))};
    });
  return {model, inputs, path, isFile, name};
}

const TYPES: ReadonlyMap<number, TensorType> = new Map([
  [DataType.FLOAT, 'float32'],
  // TensorRT's parser reads doubles as floats.
  [DataType.DOUBLE, 'float32'],
  [DataType.FLOAT16, 'float16'],
  [DataType.BFLOAT16, 'bfloat16'],
  [DataType.FLOAT8E4M3FN, 'float8e4m3fn'],
  [DataType.INT8, 'int8'],
  [DataType.UINT8, 'uint8'],
  [DataType.INT32, 'int32'],
  [DataType.INT64, 'int64'],
  [DataType.BOOL, 'bool'],
]);

/** Sizes and times of a model's files, by which a change shows. */
export async function stampModel({model, path}: Pick<ModelSource, 'model' | 'path'>): Promise<string> {
  const found = await Promise.all([path, ...externalFiles(model)].map((file) => stat(file, {bigint: true})));
  return found.map(({ino, size, mtimeNs}) => `${ino} ${size} ${mtimeNs}`).join('\n');
}

/** SHA-256 of the file and of its files of external data, whole and in the order the model names them. */
export async function hashModel(
  {model, path}: Pick<ModelSource, 'model' | 'path'>,
  onProgress: OnProgress | undefined,
  signal: AbortSignal | undefined,
): Promise<string> {
  const hash = new ModelHash();
  await hash.add([path, ...externalFiles(model)], onProgress, signal);
  return hash.soFar;
}

/** hashModel's hash, in parts. */
export class ModelHash {
  readonly #hash = createHash('sha256');

  async add(files: readonly string[], onProgress: OnProgress | undefined, signal: AbortSignal | undefined): Promise<void> {
    const sizes = await Promise.all(files.map(async (file) => (await stat(file)).size));
    const total = sizes.reduce((sum, size) => sum + size, 0);
    let done = 0;
    for (const [index, file] of files.entries()) {
      // Lengths, so that bytes cannot move from one file to the next unseen.
      this.#hash.update(`${sizes[index]}\n`);
      done += await hashFile(this.#hash, file, signal, (bytes) =>
        onProgress?.({phase: 'hash', done: done + bytes, total, unit: 'bytes', detail: basename(file)}),
      );
    }
  }

  /** In hexadecimal digits. */
  get soFar(): string {
    return this.#hash.copy().digest('hex');
  }
}

/** Returns the bytes read. */
export async function hashFile(
  hash: Hash,
  file: string,
  signal: AbortSignal | undefined,
  onBytes?: (done: number) => void,
): Promise<number> {
  let done = 0;
  for await (const chunk of createReadStream(file, {highWaterMark: 4 * 1024 * 1024}) as AsyncIterable<Buffer>) {
    throwIfAborted(signal);
    hash.update(chunk);
    done += chunk.byteLength;
    onBytes?.(done);
  }
  return done;
}

/** Absolute paths, in the order the model names them. */
export function externalFiles(model: Model): string[] {
  const files = new Set<string>();
  for (const tensor of tensorsOf(model.proto)) {
    if (!isExternal(tensor)) continue;
    const source = model.source(tensor);
    if (source instanceof FileSource) files.add(source.file);
  }
  return [...files];
}
