/** `buildEngine`: from an ONNX model to an engine folder, by way of the engine cache and a builder process. */

import {randomUUID} from 'node:crypto';
import {mkdir, readdir, rm} from 'node:fs/promises';
import {join, resolve} from 'node:path';
import {removeAtExit} from '../../at_exit.js';
import {FormatError, OptionError, throwIfAborted} from '../../errors.js';
import {observed} from '../../observers.js';
import type {Model} from '../../onnx/model.js';
import type {OnProgress} from '../../progress.js';
import {checkTarget, type TargetOptions, writeFolder} from '../../target_folder.js';
import {type EngineManifest, PLAN_FILE} from '../manifest.js';
import {BuildLog} from './build_log.js';
import {type CachePaths, cachePaths, defaultCacheFolder, timingCacheName} from './cache_paths.js';
import {Callbacks} from './callbacks.js';
import {outputTarget, placeInCache, readEngine, sharePlan, sourceFileFrom, writeManifest} from './engine_folder.js';
import {type BuildEnvironment, checkDevice, findEnvironment} from './environment.js';
import {lockFile, tryLockFile} from './file_lock.js';
import {type BuildOptions, checkOptions, type Profile} from './options.js';
import {keyOf, type PreparedBuild, prepareBuild} from './prepare.js';
import {type Produced, type Production, produce} from './produce.js';
import {type KnownBuild, QuickLookup} from './quick_lookup.js';
import {Scratch} from './scratch.js';

export interface BuildResult {
  /** The engine folder, absolute: `output`, or the engine cache's own, which a later build may replace. */
  folder: string;
  /** Of the plan in it. */
  plan: string;
  manifest: EngineManifest;
  /** It was in the engine cache, and nothing was built. */
  cached: boolean;
  /** The profiles it was built for; [] if no input has a dynamic shape. */
  profiles: readonly Profile[];
  /** They were derived from the inputs' shapes, as none were given. */
  profilesDerived: boolean;
  /** What went otherwise than one would think; also in the log. */
  warnings: readonly string[];
}

/**
 * Builds a TensorRT engine of an ONNX model (a path, bytes, or a Model) in a process of its own, or takes it from the
 * engine cache. Needs a GPU, and says so at once.
 *
 * Throws OptionError; CudaError without driver or GPU, TensorrtError without TensorRT or its ONNX parser; FormatError for
 * a damaged or hostile model; UnsupportedError for what the loaded TensorRT lacks; BuildError, with the log's last lines,
 * when TensorRT cannot build it or the process ends; AbortError within a second of the signal.
 */
export async function buildEngine(model: string | Uint8Array | Model, options: BuildOptions = {}): Promise<BuildResult> {
  checkOptions(options);
  throwIfAborted(options.signal);
  const environment = findEnvironment(options.device ?? 0, options.tensorrtPath, options.cache !== false);
  const callbacks = new Callbacks(options.signal);
  return callbacks.around(async () => {
    await using scratch = new Scratch();
    const build = new Build(options, environment, callbacks, scratch);
    return await observed(
      'build',
      buildName(model, options),
      () => build.run(model),
      ({folder, cached}) => ({folder, cached}),
    );
  });
}

/** For logs. */
function buildName(model: string | Uint8Array | Model, {output}: BuildOptions): string {
  return typeof model === 'string' ? model : (output ?? 'a model in memory');
}

class Build {
  readonly #log: BuildLog;
  readonly #onProgress: OnProgress | undefined;
  readonly #signal: AbortSignal;
  readonly #paths: CachePaths | undefined;
  readonly #warnings: string[] = [];

  constructor(
    readonly options: BuildOptions,
    readonly environment: BuildEnvironment,
    callbacks: Callbacks,
    readonly scratch: Scratch,
  ) {
    this.#log = new BuildLog(callbacks.guard(options.onLog));
    this.#onProgress = callbacks.guard(options.onProgress);
    this.#signal = callbacks.signal;
    this.#paths = options.cache === false ? undefined : cachePaths(resolve(options.cache ?? defaultCacheFolder(process.env)));
  }

  async run(model: string | Uint8Array | Model): Promise<BuildResult> {
    const {options} = this;
    const quick = this.#paths && QuickLookup.of(this.#paths.requests, model, options, this.environment, this.#signal);
    const known = await quick?.find(this.#onProgress);
    const engine = known && (await this.#look(join(this.#paths!.engines, known.key)));
    if (known !== undefined && engine !== undefined) return await this.#deliver(engine, true, known);

    const prepared = await prepareBuild(model, options, this.environment, this.scratch, this.#onProgress, this.#signal);
    const output = await this.#output(prepared);
    const {calibration} = prepared;
    const cacheable = calibration === undefined || calibration.identity !== undefined;
    if (this.#paths === undefined || !cacheable) {
      if (output === undefined)
        throw new OptionError('output', 'a folder, as an engine calibrated without calibration.key is not cached', output);
      if (this.#paths !== undefined) this.#warn('the engine is not cached: without calibration.key nobody knows what calibrated it');
      const key = keyOf(prepared, calibration?.identity ?? `once:${randomUUID()}`);
      let manifest!: EngineManifest;
      await writeFolder(output.folder, output.target, async (folder) => {
        manifest = this.#personal((await this.#produce(folder, prepared, key)).manifest, prepared, output.folder);
        await writeManifest(folder, manifest);
      });
      return this.#result(output.folder, manifest, false, prepared);
    }

    const key = keyOf(prepared, calibration?.identity);
    const {manifest, cached} = await this.#cached(this.#paths, key, prepared);
    await quick?.keep(prepared, key);
    return await this.#deliver(manifest, cached, {...prepared, key});
  }

  /** Where the engine is asked to be, if it may be written there. */
  async #output({source}: Pick<KnownBuild, 'source'>): Promise<{folder: string; target: TargetOptions} | undefined> {
    if (this.options.output === undefined) return undefined;
    const folder = resolve(this.options.output);
    const target = outputTarget(source.isFile ? source.path : undefined);
    await checkTarget(folder, target);
    return {folder, target};
  }

  /** From its place in the cache to where it is asked to be. `found`: the manifest there. */
  async #deliver(found: EngineManifest, cached: boolean, known: KnownBuild): Promise<BuildResult> {
    const place = join(this.#paths!.engines, known.key);
    const output = await this.#output(known);
    const manifest = this.#personal(found, known, output?.folder ?? place);
    if (output !== undefined) {
      await writeFolder(output.folder, output.target, async (folder) => {
        await sharePlan(place, folder);
        await writeManifest(folder, manifest);
      });
    } else if (JSON.stringify(manifest) !== JSON.stringify(found)) {
      await writeManifest(place, manifest);
    }
    return this.#result(output?.folder ?? place, manifest, cached, known);
  }

  /** The engine at its place in the cache, built if need be by whoever comes first. */
  async #cached(paths: CachePaths, key: string, prepared: PreparedBuild): Promise<{manifest: EngineManifest; cached: boolean}> {
    const place = join(paths.engines, key);
    const there = await this.#look(place);
    if (there !== undefined) return {manifest: there, cached: true};
    const {addon} = this.environment;
    using _lock = await lockFile((path) => addon.tryLock(path), join(paths.locks, `${key}.lock`), {
      signal: this.#signal,
      onWait: () => this.#onProgress?.({phase: 'wait', done: 0, total: 1, unit: 'steps', detail: 'another build of this engine'}),
    });
    const meanwhile = await this.#look(place, true);
    if (meanwhile !== undefined) return {manifest: meanwhile, cached: true};
    await removeLeftovers(paths.engines, key);
    return await inNewFolder(paths.engines, key, async (folder) => {
      const {manifest, calibratedAs} = await this.#produce(folder, prepared, key);
      if (calibratedAs !== undefined) await this.#placeAgain(paths, folder, manifest, keyOf(prepared, calibratedAs));
      await placeInCache(folder, place);
      return {manifest, cached: false};
    });
  }

  /** A sound engine at `place`. */
  async #look(place: string, tell = false): Promise<EngineManifest | undefined> {
    const found = await readEngine(place, this.#signal);
    if (!(found instanceof FormatError)) return found;
    if (tell) this.#warn(`the engine in the cache was damaged and is built again: ${found.message}`);
    return undefined;
  }

  /** The next build finds the calibration cache that this one wrote, and is the same build all the same. */
  async #placeAgain(paths: CachePaths, from: string, manifest: EngineManifest, key: string): Promise<void> {
    // Whoever holds it builds this very engine, or has just placed it.
    using lock = tryLockFile((path) => this.environment.addon.tryLock(path), join(paths.locks, `${key}.lock`));
    if (lock === null) return;
    await inNewFolder(paths.engines, key, async (folder) => {
      await sharePlan(from, folder);
      await writeManifest(folder, {...manifest, key});
      await placeInCache(folder, join(paths.engines, key));
    });
  }

  async #produce(folder: string, prepared: PreparedBuild, key: string): Promise<Produced> {
    checkDevice(this.environment);
    const production: Production = {
      prepared,
      key,
      timingCache: this.#timingCache(),
      scratch: this.scratch,
      log: this.#log,
      onProgress: this.#onProgress,
      signal: this.#signal,
    };
    const produced = await produce(folder, production);
    for (const warning of produced.warnings) this.#warn(warning);
    return produced;
  }

  #timingCache(): string | undefined {
    const {timingCache} = this.options;
    if (timingCache === false) return undefined;
    if (timingCache !== undefined) return resolve(timingCache);
    return this.#paths && join(this.#paths.timings, timingCacheName(this.environment));
  }

  /** The name and the model's path are this build's, whoever built the engine. */
  #personal(manifest: EngineManifest, {source}: Pick<KnownBuild, 'source'>, folder: string): EngineManifest {
    const file = source.isFile ? sourceFileFrom(folder, source.path) : undefined;
    return {
      ...manifest,
      name: this.options.name ?? source.name,
      source: {...(file === undefined ? {} : {file}), sha256: manifest.source.sha256},
    };
  }

  #warn(message: string): void {
    this.#warnings.push(message);
    this.#log.add({severity: 'warning', message});
  }

  #result(
    folder: string,
    manifest: EngineManifest,
    cached: boolean,
    {profiles, profilesDerived}: Pick<KnownBuild, 'profiles' | 'profilesDerived'>,
  ): BuildResult {
    return {
      folder,
      plan: join(folder, PLAN_FILE),
      manifest,
      cached,
      profiles,
      profilesDerived: profilesDerived && profiles.length > 0,
      warnings: this.#warnings,
    };
  }
}

/** Runs `work` with a new folder in the cache, which is removed again unless it was moved. */
async function inNewFolder<T>(engines: string, key: string, work: (folder: string) => Promise<T>): Promise<T> {
  const folder = join(engines, `.${key}.${randomUUID()}.tmp`);
  const finished = removeAtExit(folder);
  try {
    await mkdir(folder, {recursive: true});
    return await work(folder);
  } finally {
    await rm(folder, {recursive: true, force: true});
    finished();
  }
}

/** Of builds of this engine whose process died. */
async function removeLeftovers(engines: string, key: string): Promise<void> {
  const names = await readdir(engines).catch(() => []);
  for (const name of names) if (name.startsWith(`.${key}.`)) await rm(join(engines, name), {recursive: true, force: true});
}
