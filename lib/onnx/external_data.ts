/** References to tensor bytes in files beside the model, resolved so that a hostile model reaches nothing outside its folder. */

import {realpath, stat} from 'node:fs/promises';
import {dirname, isAbsolute, relative, resolve, sep} from 'node:path';

import {FormatError} from '../errors.js';
import {expectedByteLength} from './inline_data.js';
import type {TensorProto} from './onnx_pb.js';
import {FileSource} from './tensor_source.js';

interface DataFile {
  path: string;
  size: number;
}

export class ExternalDataResolver {
  readonly #files = new Map<string, Promise<DataFile>>();

  /** `modelPath` names an existing file. */
  constructor(readonly modelPath: string) {}

  /**
   * Where a tensor's bytes are. Throws FormatError: ERR_PATH_OUTSIDE for a location outside the model's folder,
   * ERR_NOT_FOUND for a file that is not there, ERR_ONNX for a range that the file or the tensor's shape does not bear out.
   */
  async resolve(tensor: TensorProto): Promise<FileSource> {
    const fields = new Map(tensor.externalData.map(({key, value}) => [key, value]));
    const location = fields.get('location');
    if (!location) throw this.#error(tensor, 'has external data without a location');
    const expected = expectedByteLength(tensor, this.modelPath);
    const offset = this.#count(tensor, 'offset', fields.get('offset') ?? '0');
    const length = fields.has('length') ? this.#count(tensor, 'length', fields.get('length')!) : expected;
    if (length !== expected) {
      throw this.#error(tensor, `has ${length} bytes of external data where its shape [${tensor.dims.join(', ')}] needs ${expected}`);
    }
    const file = await this.#file(tensor, location);
    // Not `offset + length > size`: the sum may leave the exact integers.
    if (length > file.size || offset > file.size - length) {
      throw this.#error(tensor, `has external data at ${offset}, ${length} bytes, beyond the end of '${location}' (${file.size} bytes)`);
    }
    return new FileSource(file.path, offset, length);
  }

  #file(tensor: TensorProto, location: string): Promise<DataFile> {
    let file = this.#files.get(location);
    if (!file) {
      file = this.#locate(tensor, location);
      this.#files.set(location, file);
    }
    return file;
  }

  async #locate(tensor: TensorProto, location: string): Promise<DataFile> {
    const outside = (): FormatError =>
      new FormatError(
        'ERR_PATH_OUTSIDE',
        this.modelPath,
        `tensor '${tensor.name}' has external data outside the model's folder: '${location}'`,
      );
    // Windows forms are refused everywhere: what a model may reach must not depend on the system that reads it.
    if (isAbsolute(location) || /^[a-zA-Z]:|^\\|\0/.test(location)) throw outside();
    if (location.split(/[\\/]/).includes('..')) throw outside();

    const folder = dirname(this.modelPath);
    const path = resolve(folder, location);
    const missing = (cause: unknown): FormatError =>
      new FormatError('ERR_NOT_FOUND', this.modelPath, `the file of external data '${location}' is missing`, undefined, {cause});
    const real = await realpath(path).catch((cause: unknown) => {
      throw missing(cause);
    });
    const realModel = await realpath(this.modelPath);
    // A download cache links model and data alike into a store: there, what counts is where the model itself really is.
    if (!isInside(await realpath(folder), real) && !isInside(dirname(realModel), real)) throw outside();
    const found = await stat(real);
    if (!found.isFile()) throw this.#error(tensor, `has external data in '${location}', which is not a file`);
    if (real === realModel) throw this.#error(tensor, `has external data in the model file itself`);
    return {path: real, size: found.size};
  }

  #count(tensor: TensorProto, key: string, text: string): number {
    const value = Number(text);
    if (!/^\d+$/.test(text) || !Number.isSafeInteger(value)) throw this.#error(tensor, `has external data with ${key} '${text}'`);
    return value;
  }

  #error(tensor: TensorProto, problem: string): FormatError {
    return new FormatError('ERR_ONNX', this.modelPath, `tensor '${tensor.name}' ${problem}`);
  }
}

function isInside(folder: string, path: string): boolean {
  const way = relative(folder, path);
  return way !== '' && way !== '..' && !way.startsWith(`..${sep}`) && !isAbsolute(way);
}
