/** Everything about a build that is known before it starts. */

import {readFile} from 'node:fs/promises';

import type {Model} from '../../onnx/model.js';
import type {OnProgress} from '../../progress.js';
import {Calibration} from './calibration/calibration.js';
import type {BuildEnvironment} from './environment.js';
import {requireFeature} from './features.js';
import {canonicalOptions, engineKey} from './key.js';
import {hashModel, type ModelSource, openModel, stampModel} from './model_source.js';
import type {BuildOptions} from './options.js';
import {chooseTyping, type Typing, typesOf} from './precision.js';
import {checkedProfiles, derivedProfiles, type NativeProfile} from './profiles.js';
import type {Scratch} from './scratch.js';

export interface PreparedBuild {
  options: BuildOptions;
  environment: BuildEnvironment;
  source: ModelSource;
  typing: Typing;
  profiles: readonly NativeProfile[];
  profilesDerived: boolean;
  calibration: Calibration | undefined;
  modelSha256: string;
  /** Of the model's files, before they were hashed. */
  modelStamp: string;
  /** With defaults applied. */
  canonical: Readonly<Record<string, unknown>>;
  /** Of this package. */
  version: string;
}

/** Throws OptionError, FormatError, UnsupportedError and AbortError; see the parts. */
export async function prepareBuild(
  model: string | Uint8Array | Model,
  options: BuildOptions,
  environment: BuildEnvironment,
  scratch: Scratch,
  onProgress: OnProgress | undefined,
  signal: AbortSignal,
): Promise<PreparedBuild> {
  const {tensorrtVersion} = environment;
  if ((options.tiling ?? 'none') !== 'none') requireFeature('tiling', tensorrtVersion);
  if (options.hardwareCompatibility === 'same-compute-capability') {
    requireFeature("hardwareCompatibility: 'same-compute-capability'", tensorrtVersion);
  }
  const source = await openModel(model, scratch.folder, signal);
  const typing = chooseTyping(typesOf(source.model), options);
  const profilesDerived = options.profiles === undefined;
  const profiles = profilesDerived ? derivedProfiles(source.inputs) : checkedProfiles(options.profiles!, source.inputs);
  const calibration = typing.needsCalibration
    ? await Calibration.open(options.calibration!, source.inputs, profiles[0], signal)
    : undefined;
  const modelStamp = await stampModel(source);
  const modelSha256 = await hashModel(source, onProgress, signal);
  const canonical = canonicalOptions(options, typing, profiles, calibration?.options);
  return {
    options,
    environment,
    source,
    typing,
    profiles,
    profilesDerived,
    calibration,
    modelSha256,
    modelStamp,
    canonical,
    version: await packageVersion(),
  };
}

/** Of an engine calibrated by what `calibration` names. */
export function keyOf({modelSha256, canonical, environment}: PreparedBuild, calibration: string | undefined): string {
  return engineKey({modelSha256, options: canonical, calibration, environment});
}

export async function packageVersion(): Promise<string> {
  return JSON.parse(await readFile(new URL('../../../package.json', import.meta.url), 'utf8')).version;
}
