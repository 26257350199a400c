/**
 * A decoder's engine folder: an engine folder for each of its plans, the index of its weights, which stay in the model's
 * own files, and the manifest.
 */

import {createHash} from 'node:crypto';
import {readFile, stat, writeFile} from 'node:fs/promises';
import {dirname, join, relative, resolve, sep} from 'node:path';

import {indexFromJson, indexToJson} from '../../decoder/index_json.js';
import type {ByRange, DecoderIndex, RowRange} from '../../decoder/lowered_decoder.js';
import type {StoredBytes, WeightRef} from '../../decoder/weight_ref.js';
import {hashFile} from '../../engine/build/model_source.js';
import {packageVersion} from '../../engine/build/prepare.js';
import {checkedJson, JsonProblem} from '../../engine/json_check.js';
import {MANIFEST_FILE} from '../../engine/manifest.js';
import {loadPlan, type PlanTarget} from '../../engine/plan.js';
import {FormatError, throwIfAborted} from '../../errors.js';
import {type DecoderFolder, type DecoderManifest, INDEX_FILE, planFolder, RANGES, REBUILD} from './decoder_manifest.js';
import type {PreparedDecoder} from './prepare.js';

/** Writes all but the plans, which are there. `folder` will lie at `place` when it is done. */
export async function writeDecoderFolder(
  folder: string,
  place: string,
  {
    modelPath,
    index,
    plans,
    ...limits
  }: Pick<DecoderManifest, 'maxContext' | 'maxBatch' | 'deterministic' | 'dequantize'> & {
    modelPath: string;
    index: DecoderIndex;
    plans: ReadonlyMap<string, ByRange<unknown>>;
  },
): Promise<DecoderManifest> {
  const base = dirname(resolve(modelPath));
  const nameOf = (file: string) => relative(base, resolve(file)).replaceAll(sep, '/');
  const json = JSON.stringify(indexToJson(index, nameOf));
  await writeFile(join(folder, INDEX_FILE), json);
  const files = await Promise.all(filesOf(index.weights).map(async (file) => ({file: nameOf(file), bytes: (await stat(file)).size})));
  const manifest: DecoderManifest = {
    formatVersion: 2,
    kind: 'decoder',
    model: {file: relative(place, resolve(modelPath)).replaceAll(sep, '/'), sha256: await sha256Of(modelPath)},
    files,
    index: {file: INDEX_FILE, sha256: createHash('sha256').update(json).digest('hex')},
    plans: [...plans].flatMap(([part, of]) => RANGES.flatMap((range) => (of[range] === undefined ? [] : [{part, range}]))),
    ...limits,
    kvCacheType: index.shape.kvCacheType,
    package: await packageVersion(),
  };
  await writeFile(join(folder, MANIFEST_FILE), `${JSON.stringify(manifest, null, 2)}\n`);
  return manifest;
}

/**
 * Checks all that a decoder needs against the manifest, before TensorRT sees a byte. Throws FormatError: ERR_NOT_FOUND,
 * ERR_ONNX for another model than the one it was built from, ERR_MANIFEST, ERR_PLAN, ERR_PLAN_MISMATCH; AbortError.
 */
export async function readDecoderFolder(
  {folder, manifest, modelPath}: DecoderFolder,
  target: PlanTarget,
  signal?: AbortSignal,
): Promise<PreparedDecoder> {
  const again = `build it again: tensorrt-node build ${dirname(modelPath)} ${folder}`;
  const other = (file: string, problem: string, cause?: unknown) =>
    new FormatError(cause === undefined ? 'ERR_ONNX' : 'ERR_NOT_FOUND', file, problem, again, {cause});
  const sizeOf = async (file: string) =>
    (
      await stat(file).catch((error: NodeJS.ErrnoException) => {
        throw other(file, `no such file (${error.code}): the engines take weights from it`, error);
      })
    ).size;
  await sizeOf(modelPath);
  if ((await sha256Of(modelPath, signal)) !== manifest.model.sha256) {
    throw other(modelPath, 'is not the model that the engines were built from: its SHA-256 is another');
  }
  const base = dirname(modelPath);
  const known = new Set<string>();
  for (const {file, bytes} of manifest.files) {
    const path = join(base, file);
    const found = await sizeOf(path);
    if (found !== bytes) throw other(path, `has ${found} bytes where the engines were built for a file of ${bytes}`);
    known.add(file);
  }
  const file = join(folder, INDEX_FILE);
  const text = await readFile(file, 'utf8').catch((cause: NodeJS.ErrnoException) => {
    throw new FormatError('ERR_NOT_FOUND', file, `no such file (${cause.code})`, again, {cause});
  });
  if (createHash('sha256').update(text).digest('hex') !== manifest.index.sha256) {
    throw new FormatError('ERR_MANIFEST', file, 'is not the index that the manifest names: its SHA-256 is another', again);
  }
  const index = checkedJson(file, text, REBUILD, (root) =>
    indexFromJson(root, (name) => {
      if (!known.has(name)) throw new JsonProblem(`'${name}' is not among the manifest's files`);
      return join(base, name);
    }),
  );
  if (index.shape.kvCacheType !== manifest.kvCacheType) {
    throw new FormatError(
      'ERR_MANIFEST',
      file,
      `is for keys and values in '${index.shape.kvCacheType}', and the manifest for others`,
      again,
    );
  }
  const plans = new Map<string, Partial<Record<RowRange, Uint8Array>>>();
  let scratchBytes = 0;
  for (const {part, range} of manifest.plans) {
    throwIfAborted(signal);
    const {plan, manifest: of} = await loadPlan(join(folder, planFolder(part, range)), target, {signal});
    scratchBytes = Math.max(scratchBytes, of.deviceMemoryBytes);
    plans.set(part, {...plans.get(part), [range]: plan});
  }
  for (const {name} of index.parts) {
    if (plans.get(name)?.decode === undefined) {
      throw new FormatError('ERR_MANIFEST', join(folder, MANIFEST_FILE), `'plans' has none for '${name}'`, again);
    }
  }
  return {index, plans: plans as Map<string, ByRange<Uint8Array>>, scratchBytes};
}

async function sha256Of(file: string, signal?: AbortSignal): Promise<string> {
  const hash = createHash('sha256');
  await hashFile(hash, file, signal);
  return hash.digest('hex');
}

function filesOf(weights: readonly WeightRef[]): string[] {
  const stored = weights.flatMap(({rows}) =>
    rows.flatMap((part): (StoredBytes | undefined)[] =>
      part.kind === 'dense' ? [part.data] : [part.codes, part.scales, part.zeroPoints?.data],
    ),
  );
  return [...new Set(stored.flatMap((each) => (each !== undefined && 'file' in each ? [each.file] : [])))];
}
