/** Calibration batches from a folder of .npy files or pictures, in the order of their names. */

import {createHash} from 'node:crypto';
import {readdir} from 'node:fs/promises';
import {join, resolve} from 'node:path';

import {OptionError} from '../../../errors.js';
import {readNpy} from '../../../npy/npy.js';
import {elementCount, type Tensor, type TensorData} from '../../tensor.js';
import {hashFile} from '../model_source.js';
import type {ExpectedInput} from './batches.js';
import {decodeImage, loadSharp, type Sharp} from './image.js';
import type {Preprocess} from './options.js';

type Batch = Readonly<Record<string, Tensor>>;

const PICTURES = /\.(png|jpe?g)$/i;
const ARRAYS = /\.npy$/i;

/** SHA-256 of the names and contents of the files that would be used. */
export async function hashFolder(folder: string, pictures: boolean, signal: AbortSignal | undefined): Promise<string> {
  const hash = createHash('sha256');
  for (const file of await listFiles(folder, pictures)) {
    hash.update(`${JSON.stringify(file)}\n`);
    const bytes = await hashFile(hash, join(folder, file), signal);
    hash.update(`\n${bytes}\n`);
  }
  return hash.digest('hex');
}

/** A last batch that is not full is left out: TensorRT takes none. Throws OptionError, FormatError, what `preprocess` throws. */
export async function folderBatches(
  folder: string,
  preprocess: Preprocess | undefined,
  expected: readonly ExpectedInput[],
  batchSize: number,
  sharp?: Sharp,
): Promise<AsyncIterable<Batch>> {
  const files = (await listFiles(folder, preprocess !== undefined)).map((name) => join(resolve(folder), name));
  const samples = preprocess
    ? pictureSamples(files, preprocess, expected, sharp ?? (await loadSharp()))
    : arraySamples(files, onlyInput(expected));
  return stacked(samples, expected, batchSize, folder);
}

async function listFiles(folder: string, pictures: boolean): Promise<string[]> {
  const names = await readdir(folder).catch((cause: NodeJS.ErrnoException) => {
    throw new OptionError('calibration.folder', `a folder that can be read (${cause.code})`, folder);
  });
  const found = names.filter((name) => (pictures ? PICTURES : ARRAYS).test(name)).sort();
  if (found.length > 0) return found;
  if (!pictures && names.some((name) => PICTURES.test(name))) {
    throw new OptionError('calibration.preprocess', 'given, as the folder has pictures and no .npy files', undefined);
  }
  throw new OptionError('calibration.folder', pictures ? 'a folder with .png or .jpg files' : 'a folder with .npy files', folder);
}

function onlyInput(expected: readonly ExpectedInput[]): ExpectedInput {
  if (expected.length === 1) return expected[0]!;
  throw new OptionError(
    'calibration.batches',
    `given, or a folder of pictures with preprocess, as the model has ${expected.length} inputs and a .npy file holds one`,
    undefined,
  );
}

/** A file holds a sample, or several along a first dimension more. */
async function* arraySamples(files: readonly string[], input: ExpectedInput): AsyncGenerator<Batch> {
  const shape = input.dims.slice(1);
  const size = elementCount(shape);
  for (const file of files) {
    const {type, dims, data} = await readNpy(file);
    const single = sameShape(dims, shape);
    if (type !== input.type || !(single || sameShape(dims.slice(1), shape))) {
      const wanted = `${input.type} [${shape.join(', ')}], or several of them`;
      throw new OptionError(`calibration.folder: ${file}`, `${wanted}, for input '${input.name}'`, `${type} [${dims.join(', ')}]`);
    }
    for (let at = 0; at < (single ? 1 : dims[0]!); at++) {
      yield {[input.name]: {type, dims: [1, ...shape], data: data.subarray(at * size, (at + 1) * size)}};
    }
  }
}

async function* pictureSamples(
  files: readonly string[],
  preprocess: Preprocess,
  expected: readonly ExpectedInput[],
  sharp: Sharp,
): AsyncGenerator<Batch> {
  for (const file of files) {
    const made = await preprocess(await decodeImage(sharp, file));
    if (typeof made !== 'object' || made === null)
      throw new OptionError(`what calibration.preprocess returns for ${file}`, 'a tensor or tensors by input', made);
    yield isTensor(made) ? {[onlyInput(expected).name]: made} : made;
  }
}

function isTensor(made: Tensor | Batch): made is Tensor {
  return ArrayBuffer.isView(made.data);
}

async function* stacked(
  samples: AsyncGenerator<Batch>,
  expected: readonly ExpectedInput[],
  batchSize: number,
  folder: string,
): AsyncGenerator<Batch> {
  let waiting: Batch[] = [];
  let batches = 0;
  for await (const sample of samples) {
    waiting.push(sample);
    if (waiting.length < batchSize) continue;
    yield batchSize === 1 ? sample : stack(waiting, expected, batchSize);
    waiting = [];
    batches++;
  }
  if (batches === 0) throw new OptionError('calibration.folder', `a folder with at least ${batchSize} samples, a batch of them`, folder);
}

function stack(samples: readonly Batch[], expected: readonly ExpectedInput[], batchSize: number): Batch {
  return Object.fromEntries(
    expected.map(({name, dims}) => {
      const tensors = samples.map((sample, index) => {
        const tensor = sample[name];
        if (tensor === undefined)
          throw new OptionError(`sample ${index} of the batch`, `with a tensor for input '${name}'`, Object.keys(sample));
        return tensor;
      });
      const first = tensors[0]!;
      // An input that is the same for the whole batch.
      if (dims[0] !== batchSize) return [name, first];
      const odd = tensors.find((tensor) => tensor.type !== first.type || !sameShape(tensor.dims, first.dims));
      if (odd !== undefined || first.dims[0] !== 1) {
        throw new OptionError(
          `samples for input '${name}'`,
          `tensors of one type and shape, [1, ${dims.slice(1).join(', ')}]`,
          (odd ?? first).dims,
        );
      }
      return [name, {type: first.type, dims: [batchSize, ...first.dims.slice(1)], data: concatenated(tensors.map(({data}) => data))}];
    }),
  );
}

function concatenated(parts: readonly TensorData[]): TensorData {
  const [first] = parts;
  const all = new (first!.constructor as new (length: number) => Uint8Array)(parts.reduce((sum, {length}) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part as unknown as Uint8Array, at);
    at += part.length;
  }
  return all;
}

function sameShape(dims: readonly number[], other: readonly number[]): boolean {
  return dims.length === other.length && dims.every((dim, index) => dim === other[index]);
}
