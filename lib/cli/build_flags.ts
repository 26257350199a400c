/** How the text of `build`'s flags becomes the library's options. Ranges and contradictions are the library's to check. */

import {createHash} from 'node:crypto';
import {readFile} from 'node:fs/promises';
import {resolve} from 'node:path';
import {pathToFileURL} from 'node:url';

import {InvalidArgumentError} from 'commander';

import type {CalibrationOptions, Preprocess} from '../engine/build/calibration/options.js';
import type {LayerOverride, LayerPrecision, Profile, ProfileRange} from '../engine/build/options.js';
import {messageOf} from '../errors.js';
import {UsageError} from './errors.js';

const UNITS: ReadonlyMap<string, number> = new Map([
  ['', 1],
  ['B', 1],
  ['kB', 1e3],
  ['MB', 1e6],
  ['GB', 1e9],
  ['TB', 1e12],
  ['KiB', 2 ** 10],
  ['MiB', 2 ** 20],
  ['GiB', 2 ** 30],
  ['TiB', 2 ** 40],
]);

/** '4GiB', '500MB' or a number of bytes. */
export function bytes(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*([A-Za-z]*)$/.exec(text.trim());
  const unit = match && UNITS.get(match[2]!);
  if (!unit) throw new InvalidArgumentError("It is not a size such as '4GiB' or a number of bytes.");
  return Math.round(Number(match[1]) * unit);
}

/** A profile: 'x=1x3x224x224:8x3x224x224:32x3x224x224,y=1x4'; one shape stands for all three, ':=' gives an input's values. */
export function profile(text: string, before: readonly Profile[] = []): Profile[] {
  const ranges: Record<string, ProfileRange> = {};
  for (const part of text.split(/,(?=[^,]*=)/)) {
    const at = part.lastIndexOf('=');
    const values = part[at - 1] === ':';
    const name = part.slice(0, values ? at - 1 : at);
    const shapes = part.slice(at + 1).split(':');
    if (at <= 0 || name === '' || (shapes.length !== 1 && shapes.length !== 3)) throw new InvalidArgumentError(PROFILE);
    const [min, opt = min, max = min] = shapes.map(numbers);
    ranges[name] = {min: min!, opt: opt!, max: max!, ...(values ? {values: true} : {})};
  }
  return [...before, ranges];
}

const PROFILE = 'It is not NAME=MIN:OPT:MAX with shapes like 1x3x224x224, several inputs separated by commas.';

function numbers(text: string): number[] {
  // A scalar's shape has no dimension.
  if (text === '') return [];
  return text.split('x').map((each) => {
    if (!/^-?\d+$/.test(each)) throw new InvalidArgumentError(PROFILE);
    return Number(each);
  });
}

/** An override: '/head/*=fp32', or '/head/*=fp32:fp16' with the type of its outputs. */
export function layer(text: string, before: readonly LayerOverride[] = []): LayerOverride[] {
  const at = text.lastIndexOf('=');
  const [precision, outputType, ...rest] = text.slice(at + 1).split(':') as LayerPrecision[];
  if (at <= 0 || rest.length > 0) throw new InvalidArgumentError('It is not PATTERN=PRECISION or PATTERN=PRECISION:OUTPUT.');
  return [...before, {pattern: text.slice(0, at), precision: precision || undefined, outputType: outputType || undefined}];
}

export function list(text: string): string[] {
  return text.split(',').filter((each) => each !== '');
}

export interface CalibrationFlags {
  calibrationFolder?: string;
  preprocess?: string;
  calibrationAlgorithm?: CalibrationOptions['algorithm'];
  calibrationCache?: string;
  calibrationBatchSize?: number;
  calibrationBatches?: number;
  calibrationKey?: string;
}

/** Undefined if no flag asks for it. Throws UsageError for a module without a function. */
export async function calibrationOptions(flags: CalibrationFlags): Promise<CalibrationOptions | undefined> {
  const {calibrationFolder, preprocess, calibrationAlgorithm, calibrationCache, calibrationBatchSize, calibrationBatches, calibrationKey} =
    flags;
  const options: CalibrationOptions = {
    folder: calibrationFolder,
    cache: calibrationCache,
    algorithm: calibrationAlgorithm,
    batchSize: calibrationBatchSize,
    maxBatches: calibrationBatches,
    key: calibrationKey,
  };
  if (preprocess !== undefined) {
    options.preprocess = await importPreprocess(preprocess);
    // The module's text stands for what it does, so that a changed one calibrates anew.
    options.key ??= createHash('sha256')
      .update(await readFile(preprocess))
      .digest('hex');
  }
  return Object.values(options).every((value) => value === undefined) ? undefined : options;
}

async function importPreprocess(file: string): Promise<Preprocess> {
  const module = await import(pathToFileURL(resolve(file)).href).catch((cause: unknown) => {
    throw new UsageError(`--preprocess ${file}: ${messageOf(cause)}`, {cause});
  });
  if (typeof module.default !== 'function') throw new UsageError(`--preprocess ${file} has no function as its default export`);
  return module.default;
}
