/**
 * Finds a model's engine in the cache by the hash of its file and the options as they were given. Reading the model,
 * which the engine's own key takes, would be most of the work.
 */

import {createHash} from 'node:crypto';
import {mkdir, readFile, stat, writeFile} from 'node:fs/promises';
import {basename, dirname, extname, join, relative, resolve} from 'node:path';

import {throwIfAborted} from '../../errors.js';
import type {OnProgress} from '../../progress.js';
import {replaceFile} from '../../replace_file.js';
import type {BuildEnvironment} from './environment.js';
import {canonicalJson} from './key.js';
import {externalFiles, ModelHash, type ModelSource} from './model_source.js';
import type {BuildOptions} from './options.js';
import {type PreparedBuild, packageVersion} from './prepare.js';
import type {NativeProfile} from './profiles.js';

/** What is known of a build without its model. */
export interface KnownBuild {
  source: Pick<ModelSource, 'path' | 'isFile' | 'name'>;
  profiles: readonly NativeProfile[];
  profilesDerived: boolean;
  /** Of the engine in the cache. */
  key: string;
}

interface Entry {
  /** Of the model with its external data. */
  modelSha256: string;
  /** Its files of external data, from the model's folder. */
  external: string[];
  key: string;
  profiles: readonly NativeProfile[];
  profilesDerived: boolean;
}

/** These make no difference to the engine, or stand in the environment. */
const LEFT_OUT = ['output', 'name', 'timingCache', 'cache', 'device', 'tensorrtPath', 'signal', 'onProgress', 'onLog', 'logLevel'];

export class QuickLookup {
  #place: string | undefined;

  /** Undefined for builds that are not looked up so: of bytes and Models, and calibrated ones. `folder`: the cache's. */
  static of(
    folder: string,
    model: unknown,
    options: BuildOptions,
    environment: BuildEnvironment,
    signal: AbortSignal,
  ): QuickLookup | undefined {
    if (typeof model !== 'string' || model === '' || options.calibration !== undefined) return undefined;
    return new QuickLookup(folder, resolve(model), options, environment, signal);
  }

  private constructor(
    readonly folder: string,
    readonly path: string,
    readonly options: BuildOptions,
    readonly environment: BuildEnvironment,
    readonly signal: AbortSignal,
  ) {}

  /** Undefined if nothing is known of the model as it is now, or it cannot be read: whoever reads it says why. */
  async find(onProgress: OnProgress | undefined): Promise<KnownBuild | undefined> {
    const {path, signal} = this;
    // Not a pipe, which can be read once.
    if (!(await stat(path).catch(() => undefined))?.isFile()) return undefined;
    const hash = new ModelHash();
    await hash.add([path], onProgress, signal);
    this.#place = join(this.folder, `${await this.#id(hash.soFar)}.json`);
    try {
      const entry: Entry = JSON.parse(await readFile(this.#place, 'utf8'));
      const external = entry.external.map((file) => join(dirname(path), file));
      await hash.add(external, onProgress, signal);
      const {modelSha256, profiles, profilesDerived, key} = entry;
      const source = {path, isFile: true, name: basename(path, extname(path))};
      return hash.soFar === modelSha256 ? {source, profiles, profilesDerived, key} : undefined;
    } catch {
      // Nothing was kept, or what it names is gone.
      throwIfAborted(signal);
      return undefined;
    }
  }

  /** For the next time; after `find`. */
  async keep({source, modelSha256, profiles, profilesDerived}: PreparedBuild, key: string): Promise<void> {
    if (this.#place === undefined) return;
    const external = externalFiles(source.model).map((file) => relative(dirname(this.path), file));
    const entry: Entry = {modelSha256, external, key, profiles, profilesDerived};
    await mkdir(this.folder, {recursive: true});
    await replaceFile(this.#place, (temporary) => writeFile(temporary, JSON.stringify(entry)));
  }

  async #id(model: string): Promise<string> {
    const given = Object.fromEntries(Object.entries(this.options).filter(([name]) => !LEFT_OUT.includes(name)));
    const {tensorrtVersion, gpu} = this.environment;
    const parts = {package: await packageVersion(), model, given, tensorrt: tensorrtVersion, gpu};
    return createHash('sha256').update(canonicalJson(parts)).digest('hex');
  }
}
