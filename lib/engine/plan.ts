/** The plan of an engine folder, checked against the manifest before TensorRT sees a byte: a plan is code. */

import {createHash} from 'node:crypto';
import {join, resolve} from 'node:path';

import {FormatError, throwIfAborted} from '../errors.js';
import {rebuildCommand} from './build/command_line.js';
import {type EngineManifest, PLAN_FILE, readManifest} from './manifest.js';
import {openToRead, readWhole} from './whole_file.js';

/** What a plan is to run on. */
export interface PlanTarget {
  /** The TensorRT that is loaded: '10.6.0'. */
  tensorrtVersion: string;
  gpu: {name: string; computeCapability: string};
}

export interface CheckedPlan {
  manifest: EngineManifest;
  /** The very bytes that were hashed. */
  plan: Uint8Array<ArrayBuffer>;
}

/**
 * Reads an engine folder: the manifest, then the plan's size and hash, then whether TensorRT and GPU are the plan's.
 * Throws FormatError: ERR_NOT_FOUND, ERR_MANIFEST, ERR_PLAN for a plan that is not the manifest's, ERR_PLAN_MISMATCH for
 * a sound one of another TensorRT or GPU; the message names what differs, the hint the command that builds it again.
 */
export async function loadPlan(folder: string, target: PlanTarget, {signal}: {signal?: AbortSignal} = {}): Promise<CheckedPlan> {
  const manifest = await readManifest(folder);
  const plan = await readPlan(folder, manifest, signal);
  checkTarget(folder, manifest, target);
  return {manifest, plan};
}

/** The plan's bytes, if they are those that `manifest` names. Throws FormatError (ERR_NOT_FOUND, ERR_PLAN), AbortError. */
export async function readPlan(folder: string, manifest: EngineManifest, signal?: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
  const file = join(resolve(folder), PLAN_FILE);
  const damaged = (problem: string) => new FormatError('ERR_PLAN', file, problem, rebuildHint(folder, manifest));
  const {bytes, sha256} = manifest.plan;
  await using handle = await openToRead(file).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code !== 'ENOENT') throw cause;
    throw new FormatError('ERR_NOT_FOUND', file, 'no such file', rebuildHint(folder, manifest), {cause});
  });
  const found = await handle.stat();
  if (!found.isFile()) throw damaged('is not a file');
  if (found.size !== bytes) throw damaged(`has ${found.size} bytes where the manifest says ${bytes}`);
  const hash = createHash('sha256');
  const plan = await readWhole(handle, bytes, (piece) => {
    throwIfAborted(signal);
    hash.update(piece);
  });
  if (plan.byteLength < bytes) throw damaged(`ends after ${plan.byteLength} bytes where the manifest says ${bytes}`);
  const digest = hash.digest('hex');
  if (digest !== sha256) throw damaged(`has the SHA-256 ${digest} where the manifest says ${sha256}`);
  return plan;
}

/** Throws FormatError (ERR_PLAN_MISMATCH) if the plan cannot run on `target`. */
export function checkTarget(folder: string, manifest: EngineManifest, {tensorrtVersion, gpu}: PlanTarget): void {
  const {tensorrt, gpu: built} = manifest;
  const mismatch = (problem: string) => new FormatError('ERR_PLAN_MISMATCH', resolve(folder), problem, rebuildHint(folder, manifest));
  if (tensorrt.versionCompatible ? !isLater(tensorrtVersion, tensorrt.version) : tensorrtVersion !== tensorrt.version) {
    const needs = tensorrt.versionCompatible ? `${tensorrt.version} or later of the same major version` : `exactly ${tensorrt.version}`;
    throw mismatch(`was built by TensorRT ${tensorrt.version} and needs ${needs}; loaded is ${tensorrtVersion}`);
  }
  if (!runsOn(manifest.gpu, gpu.computeCapability)) {
    const needs = built.hardwareCompatibility === 'ampere-plus' ? '8.0 or later' : built.computeCapability;
    throw mismatch(
      `was built on ${built.name} and needs compute capability ${needs}; this GPU is ${gpu.name}, compute capability ${gpu.computeCapability}`,
    );
  }
}

function runsOn({computeCapability, hardwareCompatibility}: EngineManifest['gpu'], here: string): boolean {
  if (hardwareCompatibility === 'ampere-plus') return Number.parseInt(here, 10) >= 8;
  return here === computeCapability;
}

/** Whether `version` is `built` or a later one of the same major version. */
function isLater(version: string, built: string): boolean {
  const [here, there] = [version, built].map((text) => text.split('.').map(Number)) as [number[], number[]];
  if (here[0] !== there[0]) return false;
  const differing = there.findIndex((part, index) => part !== (here[index] ?? 0));
  return differing < 0 || (here[differing] ?? 0) > there[differing]!;
}

function rebuildHint(folder: string, manifest: EngineManifest): string {
  return `build it again: ${rebuildCommand(folder, manifest)}`;
}
