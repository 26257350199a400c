/** Where calibration batches come from. */

import {OptionError} from '../../../errors.js';
import {integer, noOthers, object, oneOf} from '../../../options.js';
import type {Tensor} from '../../tensor.js';

/** A picture to make a tensor of. */
export interface CalibrationImage {
  /** Of the file, absolute. */
  path: string;
  width: number;
  height: number;
  /** 3, in the order red, green, blue. */
  channels: number;
  /** Rows from the top, channels interleaved, 0 to 255. */
  pixels: Uint8Array;
}

/** Makes one sample of a picture: a tensor whose first dimension is 1 for each input, or the tensor of the only input. */
export type Preprocess = (
  image: CalibrationImage,
) => Readonly<Record<string, Tensor>> | Tensor | Promise<Readonly<Record<string, Tensor>> | Tensor>;

export interface CalibrationOptions {
  /** Batches, a tensor for each input, all of the first profile's best shape but for the first dimension, which is `batchSize`. */
  batches?: Iterable<Readonly<Record<string, Tensor>>> | AsyncIterable<Readonly<Record<string, Tensor>>>;
  /** A folder of .npy files, each a sample or more of the model's one input; or of .png and .jpg with `preprocess`. */
  folder?: string;
  preprocess?: Preprocess;
  /**
   * 'entropy2' cuts off rare large values for finer steps among the rest; 'min-max' keeps all. Where int8 is far off with
   * one, try the other. Default: what made `cache` where that is there, else 'entropy2'.
   */
  algorithm?: 'entropy2' | 'min-max';
  /** TensorRT's calibration cache: used instead of batches where it exists, else written. */
  cache?: string;
  /** Samples of a batch. Default: the first dimension of the first profile's best shape. */
  batchSize?: number;
  /** Batches taken at most. Default 500. */
  maxBatches?: number;
  /** Names what `batches` or `preprocess` do, so that engines calibrated by them can be cached. */
  key?: string;
}

export const DEFAULT_MAX_BATCHES = 500;

export function checkCalibration(options: CalibrationOptions): void {
  const {batches, folder, preprocess, algorithm, cache, batchSize, maxBatches, key} = object('calibration', options);
  noOthers('calibration', options, ['batches', 'folder', 'preprocess', 'algorithm', 'cache', 'batchSize', 'maxBatches', 'key']);
  const strings = {folder, cache, key};
  for (const [name, value] of Object.entries(strings)) {
    if (value !== undefined && (typeof value !== 'string' || value === ''))
      throw new OptionError(`calibration.${name}`, name === 'key' ? 'a name' : 'a path', value);
  }
  if (batches !== undefined && !isIterable(batches)) throw new OptionError('calibration.batches', 'an AsyncIterable or Iterable', batches);
  if (preprocess !== undefined && typeof preprocess !== 'function')
    throw new OptionError('calibration.preprocess', 'a function', preprocess);
  if (algorithm !== undefined) oneOf('calibration.algorithm', algorithm, ['entropy2', 'min-max']);
  if (batchSize !== undefined) integer('calibration.batchSize', batchSize, {min: 1});
  if (maxBatches !== undefined) integer('calibration.maxBatches', maxBatches, {min: 1});
  if (batches !== undefined && folder !== undefined)
    throw new OptionError('calibration.folder', 'left out where batches are given', folder);
  if (preprocess !== undefined && folder === undefined)
    throw new OptionError('calibration.preprocess', 'left out without a folder', preprocess);
  if (batches === undefined && folder === undefined && cache === undefined)
    throw new OptionError('calibration', 'batches, a folder or a cache', options);
}

function isIterable(value: unknown): boolean {
  return typeof value === 'object' && value !== null && (Symbol.asyncIterator in value || Symbol.iterator in value);
}
