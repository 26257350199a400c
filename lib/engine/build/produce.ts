/** Runs the builder and writes an engine folder's content. */

import {createHash} from 'node:crypto';
import {mkdir, stat, writeFile} from 'node:fs/promises';
import {dirname, join} from 'node:path';

import {throwIfAborted} from '../../errors.js';
import type {NativeTensorInfo} from '../../native/engine_addon.js';
import type {OnProgress} from '../../progress.js';
import {type EngineManifest, type ManifestTensor, PLAN_FILE} from '../manifest.js';
import {BuildError} from './build_error.js';
import type {BuildLog} from './build_log.js';
import {type Built, runBuilder} from './builder_process.js';
import {writeManifest} from './engine_folder.js';
import {inputShapes} from './input_shapes.js';
import {hashFile, stampModel} from './model_source.js';
import type {PreparedBuild} from './prepare.js';
import {BuildProgress} from './progress.js';
import {nativeRequest} from './request.js';
import type {Scratch} from './scratch.js';

export interface Production {
  prepared: PreparedBuild;
  key: string;
  /** The file of timings to start from and add to. */
  timingCache: string | undefined;
  scratch: Scratch;
  log: BuildLog;
  onProgress: OnProgress | undefined;
  signal: AbortSignal;
}

export interface Produced {
  manifest: EngineManifest;
  warnings: string[];
  /** What engines calibrated with the calibration cache that came of it are known by. */
  calibratedAs: string | undefined;
}

/** Fills `folder` with plan and manifest. Throws BuildError, UnsupportedError, AbortError. */
export async function produce(folder: string, production: Production): Promise<Produced> {
  const {prepared, timingCache, scratch, log, onProgress, signal} = production;
  const {source, calibration} = prepared;
  const started = performance.now();
  const work = await scratch.folder();
  const plan = join(folder, PLAN_FILE);
  const calibrationCacheOut = join(work, 'calibration.cache');
  const hadTimings = timingCache !== undefined && (await isFile(timingCache));
  if (timingCache !== undefined) await mkdir(dirname(timingCache), {recursive: true});
  const timingCacheOut = timingCache && join(work, 'timings');
  const shapes = inputShapes(source.model, prepared.profiles);
  const model = shapes && join(work, 'model.onnx');
  if (model !== undefined) await writeFile(model, shapes!.model, {signal});
  const request = nativeRequest(
    {...prepared, profiles: shapes?.profiles ?? prepared.profiles},
    {model, plan, timingCache, timingCacheOut, calibrationCacheOut},
  );
  throwIfAborted(signal);
  onProgress?.({phase: 'build', done: 0, unit: 'steps', detail: 'starting'});
  const built = await runBuilder({
    request,
    mergeTimingsInto: timingCache,
    log,
    batches: await calibration?.start(onProgress),
    onProgress: new BuildProgress(onProgress).take,
    signal,
  });
  // Since it was hashed: the engine would be taken for one of the model as it was.
  if ((await stampModel(source)) !== prepared.modelStamp) {
    throw new BuildError(`${source.path} or its external data changed while the engine was built`, log.last, undefined, 'build it again');
  }
  const hash = createHash('sha256');
  const bytes = await hashFile(hash, plan, signal);
  const manifest = describe(production, built, {bytes, sha256: hash.digest('hex')}, (performance.now() - started) / 1000);
  await writeManifest(folder, manifest);
  return {
    manifest,
    warnings: warnings(built, hadTimings ? timingCache : undefined),
    calibratedAs: await calibration?.keepCache(calibrationCacheOut),
  };
}

function warnings({result, timingsProblem}: Built, timingCache: string | undefined): string[] {
  const found = result.unmatched.map((pattern) => `layers: no layer is called '${pattern}'`);
  if (timingCache !== undefined && !result.timingCacheUsed) {
    found.push(`${timingCache}: is no timing cache of this TensorRT and GPU; it was replaced`);
  }
  if (timingsProblem !== undefined) found.push(`the timing cache was not written: ${timingsProblem}`);
  return found;
}

function describe({prepared, key}: Production, {info}: Built, plan: {bytes: number; sha256: string}, buildSeconds: number): EngineManifest {
  const {options, environment, source, typing, canonical, modelSha256, version} = prepared;
  const tensors = (mode: NativeTensorInfo['mode']) => info.tensors.filter((tensor) => tensor.mode === mode);
  return {
    formatVersion: 1,
    name: options.name ?? source.name,
    plan: {file: PLAN_FILE, ...plan},
    inputs: tensors('input').map(({profiles, ...tensor}) => ({...manifestTensor(tensor), profiles})),
    outputs: tensors('output').map(manifestTensor),
    precision: typing.precision,
    stronglyTyped: typing.stronglyTyped,
    options: canonical,
    source: {sha256: modelSha256},
    key,
    tensorrt: {version: environment.tensorrtVersion, versionCompatible: options.versionCompatible ?? false},
    gpu: {...environment.gpu, hardwareCompatibility: options.hardwareCompatibility ?? 'none'},
    package: version,
    layers: info.layers,
    deviceMemoryBytes: info.deviceMemoryBytes,
    refittable: info.refittable,
    stripped: options.strip ?? false,
    weightStreaming: options.weightStreaming ?? false,
    buildSeconds,
    builtAt: new Date().toISOString(),
  };
}

function manifestTensor({name, type, dims}: Pick<NativeTensorInfo, 'name' | 'type' | 'dims'>): ManifestTensor {
  return {name, type, dims};
}

async function isFile(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isFile() ?? false;
}
