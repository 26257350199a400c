/** `manifest.json` of a decoder's engine folder: what its engines and weights are of, and what they were built for. */

import {readdir, readFile} from 'node:fs/promises';
import {isAbsolute, join, resolve} from 'node:path';

import type {RowRange} from '../../decoder/lowered_decoder.js';
import {checkedJson, type JsonField, pathField, sha256Field} from '../../engine/json_check.js';
import {MANIFEST_FILE} from '../../engine/manifest.js';
import {FormatError, OptionError} from '../../errors.js';
import {KV_CACHE_TYPES, type KvCacheType} from '../kv_cache_type.js';

export interface DecoderManifest {
  /** Of this file. */
  formatVersion: 2;
  kind: 'decoder';
  /** The ONNX file: its path from this folder, and its hash; its external data is not in that. */
  model: {file: string; sha256: string};
  /** Where weights are read from, by their paths from the ONNX file's folder. */
  files: {file: string; bytes: number}[];
  index: {file: 'weights.json'; sha256: string};
  plans: {part: string; range: RowRange}[];
  /** Tokens a sequence may hold, and sequences at once, at most. */
  maxContext: number;
  maxBatch: number;
  deterministic: boolean;
  /** Whether quantized weights are floats for them. */
  dequantize: boolean;
  /** What pages of the key/value cache hold. */
  kvCacheType: KvCacheType;
  package: string;
}

export const RANGES: readonly RowRange[] = ['decode', 'wide', 'prefill'];
/** What to do about a manifest or an index that is not what it must be. */
export const REBUILD = 'build the engines again: `tensorrt-node build`';
export const INDEX_FILE = 'weights.json';

/** Where the plan of a part lies in a decoder's folder. */
export function planFolder(part: string, range: RowRange): string {
  return `${part}-${range}`;
}

/** A decoder's engine folder, of which nothing but the manifest was looked at. */
export interface DecoderFolder {
  folder: string;
  manifest: DecoderManifest;
  /** The ONNX file. */
  modelPath: string;
}

/**
 * Undefined where `folder` is not a decoder's engine folder. Throws FormatError (ERR_MANIFEST).
 */
export async function findDecoderFolder(folder: string): Promise<DecoderFolder | undefined> {
  const file = join(resolve(folder), MANIFEST_FILE);
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return undefined;
    throw new FormatError('ERR_MANIFEST', file, `cannot be read (${error.code})`, undefined, {cause: error});
  });
  if (text === undefined) return undefined;
  const manifest = checkedJson(file, text, REBUILD, (root) => (root.get('kind').value === 'decoder' ? manifestOf(root) : undefined));
  return manifest && {folder: resolve(folder), manifest, modelPath: resolve(folder, manifest.model.file)};
}

/** Whether a folder holds a decoder's engines and nothing else. */
export async function isDecoderFolder(folder: string): Promise<boolean> {
  const manifest = (await findDecoderFolder(folder).catch(() => undefined))?.manifest;
  if (manifest === undefined) return false;
  const own = new Set([MANIFEST_FILE, INDEX_FILE, ...manifest.plans.map(({part, range}) => planFolder(part, range))]);
  return (await readdir(folder)).every((name) => own.has(name));
}

/** Throws OptionError for what the engines were not built for; gives the limits that were not asked for. */
export function checkLimits(
  {maxContext, maxBatch, deterministic, dequantize, kvCacheType}: DecoderManifest,
  asked: {maxContext?: number; maxBatch?: number; deterministic?: boolean; dequantize?: boolean; type?: string; kvCacheType?: KvCacheType},
): {maxContext: number; maxBatch: number; deterministic: boolean; dequantize: boolean; kvCacheType: KvCacheType} {
  const builtFor = (value: number) => `at most ${value}, which the engines were built for`;
  if (deterministic && asked.deterministic === false) {
    throw new OptionError('deterministic', 'left out or true with engines that were built for it', asked.deterministic);
  }
  if (asked.dequantize !== undefined && asked.dequantize !== dequantize) {
    throw new OptionError('dequantize', `left out or ${dequantize} with engines that were built so`, asked.dequantize);
  }
  if (asked.type !== undefined) throw new OptionError('type', 'left out with engines, which were built for one', asked.type);
  if (asked.kvCacheType !== undefined && asked.kvCacheType !== kvCacheType) {
    throw new OptionError('kvCacheType', `left out or '${kvCacheType}', which the engines were built for`, asked.kvCacheType);
  }
  if ((asked.maxContext ?? 0) > maxContext) throw new OptionError('maxContext', builtFor(maxContext), asked.maxContext);
  if ((asked.maxBatch ?? 0) > maxBatch) throw new OptionError('maxBatch', builtFor(maxBatch), asked.maxBatch);
  return {
    maxContext: asked.maxContext ?? maxContext,
    maxBatch: asked.maxBatch ?? maxBatch,
    deterministic: asked.deterministic ?? deterministic,
    dequantize,
    kvCacheType,
  };
}

function manifestOf(root: JsonField): DecoderManifest {
  if (root.get('formatVersion').value !== 2) throw root.get('formatVersion').problem('2, the format this version reads,');
  const model = root.get('model');
  return {
    formatVersion: 2,
    kind: 'decoder',
    model: {file: pathField(model.get('file')), sha256: sha256Field(model.get('sha256'))},
    files: root
      .get('files')
      .array()
      .map((each) => ({file: innerPath(each.get('file')), bytes: each.get('bytes').integer(0)})),
    index: {file: root.get('index').get('file').oneOf([INDEX_FILE]), sha256: sha256Field(root.get('index').get('sha256'))},
    plans: root
      .get('plans')
      .array()
      .map((each) => ({
        part: each.get('part').string('the name of a part', (text) => /^[a-z]\w*$/.test(text)),
        range: each.get('range').oneOf(RANGES),
      })),
    maxContext: root.get('maxContext').integer(1),
    maxBatch: root.get('maxBatch').integer(1),
    deterministic: root.get('deterministic').boolean(),
    dequantize: root.get('dequantize').boolean(),
    kvCacheType: root.get('kvCacheType').oneOf(KV_CACHE_TYPES),
    package: root.get('package').string(),
  };
}

/** Nothing outside the model's folder is ever read. */
function innerPath(field: JsonField): string {
  return field.string(
    "a path in the model's folder",
    (text) => text !== '' && !text.includes('\0') && !isAbsolute(text) && !text.split(/[\\/]/).includes('..'),
  );
}
