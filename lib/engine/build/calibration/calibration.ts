/** Calibration of one build: what is told to TensorRT, where batches come from, and what the engine cache knows it by. */

import {createHash} from 'node:crypto';
import {copyFile, mkdir, readFile} from 'node:fs/promises';
import {dirname, resolve} from 'node:path';

import {OptionError} from '../../../errors.js';
import type {NativeBuildRequest} from '../../../native/engine_addon.js';
import type {OnProgress} from '../../../progress.js';
import {replaceFile} from '../../../replace_file.js';
import type {Tensor} from '../../tensor.js';
import type {ModelInput} from '../model_source.js';
import type {NativeProfile} from '../profiles.js';
import type {BatchSource} from './batch_source.js';
import {type ExpectedInput, IterableBatches} from './batches.js';
import {folderBatches, hashFolder} from './folder.js';
import {type CalibrationOptions, DEFAULT_MAX_BATCHES} from './options.js';

type NativeCalibration = NonNullable<NativeBuildRequest['calibration']>;

export class Calibration {
  private constructor(
    /** As they stand in the manifest. */
    readonly options: {algorithm: Algorithm; batchSize: number; maxBatches: number},
    /** What it calibrates with; undefined where nobody can tell, and the engine is not cached. */
    readonly identity: string | undefined,
    /** A calibration cache that is there. */
    readonly cache: string | undefined,
    /** Where the calibration cache is wanted. */
    private readonly cacheTarget: string | undefined,
    private readonly openBatches: (() => Promise<Iterable<Batch> | AsyncIterable<Batch>>) | undefined,
    private readonly expected: readonly ExpectedInput[],
  ) {}

  /** Throws OptionError; what reading the folder or the cache says. */
  static async open(
    given: CalibrationOptions,
    inputs: readonly ModelInput[],
    profile: NativeProfile | undefined,
    signal: AbortSignal | undefined,
  ): Promise<Calibration> {
    const {maxBatches = DEFAULT_MAX_BATCHES, folder, preprocess, key} = given;
    const batchSize = given.batchSize ?? defaultBatchSize(inputs, profile);
    const expected = expectedInputs(inputs, profile, batchSize);
    const cacheFile = given.cache === undefined ? undefined : resolve(given.cache);
    const cached = cacheFile === undefined ? undefined : await readIfThere(cacheFile);
    const madeBy = cached && algorithmOf(cached);
    const algorithm = given.algorithm ?? madeBy ?? 'entropy2';
    if (madeBy !== undefined && madeBy !== algorithm)
      throw new OptionError('calibration.algorithm', `'${madeBy}', which made ${cacheFile}, or another calibration.cache`, algorithm);
    const options = {algorithm, batchSize, maxBatches};
    if (cached !== undefined) {
      return new Calibration(options, identityOfCache(cached), cacheFile, undefined, undefined, expected);
    }
    if (folder !== undefined) {
      const identity =
        preprocess !== undefined && key === undefined
          ? undefined
          : `folder:${key ?? ''}:${await hashFolder(folder, preprocess !== undefined, signal)}`;
      const batches = () => folderBatches(folder, preprocess, expected, batchSize);
      return new Calibration(options, identity, undefined, cacheFile, batches, expected);
    }
    const {batches} = given;
    if (batches === undefined) throw new OptionError('calibration.cache', 'a file that is there, as there are no batches', given.cache);
    return new Calibration(options, key === undefined ? undefined : `key:${key}`, undefined, cacheFile, async () => batches, expected);
  }

  /** `scratch`: where TensorRT writes the calibration cache. */
  native(scratch: string): NativeCalibration {
    const {algorithm, batchSize} = this.options;
    return {algorithm, batchSize, cache: this.cache, cacheOut: this.cacheTarget && scratch};
  }

  /** The batches; undefined where a calibration cache stands for them. Makes the folder of the calibration cache, before the long wait. */
  async start(onProgress: OnProgress | undefined): Promise<BatchSource | undefined> {
    if (this.cacheTarget !== undefined) await mkdir(dirname(this.cacheTarget), {recursive: true});
    if (this.openBatches === undefined) return undefined;
    return new IterableBatches(await this.openBatches(), this.expected, this.options.maxBatches, onProgress);
  }

  /**
   * Puts the calibration cache where it was wanted. Returns what engines that are calibrated with it are known by,
   * undefined if none was wanted.
   */
  async keepCache(scratch: string): Promise<string | undefined> {
    const target = this.cacheTarget;
    if (target === undefined) return undefined;
    const written = await readIfThere(scratch);
    if (written === undefined) return undefined;
    await replaceFile(target, (temporary) => copyFile(scratch, temporary));
    return identityOfCache(written);
  }
}

type Batch = Readonly<Record<string, Tensor>>;
type Algorithm = NonNullable<CalibrationOptions['algorithm']>;

const ALGORITHMS: ReadonlyMap<string, Algorithm> = new Map([
  ['EntropyCalibration2', 'entropy2'],
  ['MinMaxCalibration', 'min-max'],
]);

/** By the first line that TensorRT writes: 'TRT-100600-MinMaxCalibration'. */
function algorithmOf(cache: Uint8Array): Algorithm | undefined {
  const name = /^TRT-\d+-(\w+)/.exec(Buffer.from(cache.subarray(0, 64)).toString('latin1'))?.[1];
  return name === undefined ? undefined : ALGORITHMS.get(name);
}

function identityOfCache(bytes: Uint8Array): string {
  return `cache:${createHash('sha256').update(bytes).digest('hex')}`;
}

async function readIfThere(file: string): Promise<Uint8Array | undefined> {
  try {
    return await readFile(file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

function bestShape({name, dims}: ModelInput, profile: NativeProfile | undefined): number[] {
  const range = profile?.[name];
  const opt = range === undefined || range.values ? undefined : range.opt;
  return dims.map((dim, index) => (typeof dim === 'number' ? dim : opt![index]!));
}

function isBatched({dims}: ModelInput): boolean {
  return typeof dims[0] === 'string';
}

function defaultBatchSize(inputs: readonly ModelInput[], profile: NativeProfile | undefined): number {
  const batched = inputs.find(isBatched) ?? inputs.find(({dims}) => dims.length > 0);
  return batched === undefined ? 1 : (bestShape(batched, profile)[0] ?? 1);
}

function expectedInputs(inputs: readonly ModelInput[], profile: NativeProfile | undefined, batchSize: number): ExpectedInput[] {
  const expected = inputs.map((input): ExpectedInput => {
    const dims = bestShape(input, profile);
    if (isBatched(input)) dims[0] = batchSize;
    return {name: input.name, type: input.type, dims};
  });
  if (!expected.some(({dims}) => dims[0] === batchSize) && batchSize !== 1) {
    const first = expected.find(({dims}) => dims.length > 0);
    throw new OptionError(
      'calibration.batchSize',
      `${first?.dims[0] ?? 1}, the first dimension of '${first?.name}', which is fixed`,
      batchSize,
    );
  }
  return expected;
}
