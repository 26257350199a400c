/** Turns a checkpoint (a GGUF file, a Hugging Face folder) into an ONNX model folder. */

import {readdir, readFile, stat, writeFile} from 'node:fs/promises';
import {basename, join, resolve} from 'node:path';

import {FormatError, OptionError, throwIfAborted} from '../errors.js';
import {writeModel} from '../onnx/write.js';
import {callback, oneOf} from '../options.js';
import type {OnProgress} from '../progress.js';
import {checkTarget, type Replaceable, writeFolder} from '../target_folder.js';
import type {Checkpoint, DecoderConfig, TensorType} from './checkpoint.js';
import {openGguf} from './gguf/checkpoint.js';
import {buildDecoder} from './graph/decoder.js';
import {configJson, genaiConfigJson, type Origin} from './model_files.js';
import {openSafetensors} from './safetensors/checkpoint.js';

export interface ImportOptions {
  /**
   * What the model computes in, and the type of the weights that do not stay in blocks. Default 'fp16' for a
   * checkpoint whose matrices are all F16 or BF16, else 'fp32'.
   */
  dtype?: 'fp16' | 'fp32';
  /** Replace `out` if an earlier import made it. Default false. */
  overwrite?: boolean;
  signal?: AbortSignal;
  /** Called with bytes of weights written; `detail` names the tensor. */
  onProgress?: OnProgress;
}

export interface ImportResult {
  /** The folder written, absolute. */
  path: string;
  config: DecoderConfig;
  dtype: 'fp16' | 'fp32';
  /** Of model.onnx and model.onnx_data. */
  bytes: number;
  /** Tensors of the checkpoint, counted by type. */
  tensors: Readonly<Partial<Record<TensorType, number>>>;
}

const MODEL = 'model.onnx';
const DATA = 'model.onnx_data';

/**
 * Reads `source`, a .gguf file (of a split model, any of its files) or a folder with config.json and safetensors, and
 * writes the folder `out`: model.onnx, model.onnx_data, config.json, genai_config.json, tokenizer.json and
 * tokenizer_config.json. `out` appears when all of it is written; if anything fails or `signal` fires, nothing is left.
 *
 * Throws OptionError; FormatError for a damaged or hostile source; UnsupportedError, naming the architecture, tensor
 * type or tokenizer that cannot be imported; AbortError; and what the system says where `out` cannot be written (ENOSPC).
 */
export async function importModel(source: string, out: string, options: ImportOptions = {}): Promise<ImportResult> {
  checkOptions(source, out, options);
  const {overwrite = false, signal, onProgress} = options;
  throwIfAborted(signal);
  const checkpoint = await openCheckpoint(source);
  try {
    const target = {option: 'out', overwrite, source, replaceable: IMPORTED};
    await checkTarget(out, target);
    const dtype = options.dtype ?? defaultType(checkpoint);
    const tensors = countTypes(checkpoint);
    const origin: Origin = {
      version: await packageVersion(),
      source: {format: checkpoint.format, name: basename(resolve(source))},
      dtype,
      format: tensors,
    };
    const model = buildDecoder(checkpoint.config, checkpoint.tensors, {dtype, label: source});
    let bytes = 0;
    await writeFolder(out, target, async (folder) => {
      await writeModel(model, join(folder, MODEL), {externalData: DATA, signal, onProgress});
      for (const name of [MODEL, DATA]) bytes += (await stat(join(folder, name)).catch(() => undefined))?.size ?? 0;
      const write = (name: string, text: string) => writeFile(join(folder, name), text);
      await write('config.json', JSON.stringify(configJson(checkpoint.config, origin), null, 2));
      await write('genai_config.json', JSON.stringify(genaiConfigJson(checkpoint.config), null, 2));
      await write('tokenizer.json', checkpoint.tokenizer.tokenizerJson);
      await write('tokenizer_config.json', checkpoint.tokenizer.tokenizerConfigJson);
      throwIfAborted(signal);
    });
    return {path: resolve(out), config: checkpoint.config, dtype, bytes, tensors};
  } finally {
    await checkpoint[Symbol.asyncDispose]();
  }
}

function checkOptions(source: unknown, out: unknown, options: ImportOptions): void {
  for (const [name, value] of Object.entries({source, out})) {
    if (typeof value !== 'string' || value === '' || value.includes('\0')) throw new OptionError(name, 'a path', value);
  }
  if (typeof options !== 'object' || options === null) throw new OptionError('options', 'an object', options);
  const {dtype, overwrite, signal, onProgress} = options;
  if (dtype !== undefined) oneOf('dtype', dtype, ['fp16', 'fp32']);
  if (overwrite !== undefined && typeof overwrite !== 'boolean') throw new OptionError('overwrite', 'true or false', overwrite);
  if (signal !== undefined && !(signal instanceof AbortSignal)) throw new OptionError('signal', 'an AbortSignal', signal);
  if (onProgress !== undefined) callback('onProgress', onProgress);
}

/** A .gguf file or a folder with config.json and safetensors. Throws as `importModel` does. */
export async function openCheckpoint(source: string): Promise<Checkpoint> {
  const found = await stat(source).catch((cause: unknown) => {
    throw new FormatError('ERR_NOT_FOUND', source, 'no such file or folder', undefined, {cause});
  });
  if (found.isDirectory()) {
    await refuseFolderOfGguf(source);
    return openSafetensors(source);
  }
  if (source.endsWith('.safetensors')) {
    throw new FormatError('ERR_SAFETENSORS', source, 'is weights without a config', 'give the folder it is in');
  }
  return openGguf(source);
}

/** Which of several it would be is the user's to say. */
async function refuseFolderOfGguf(folder: string): Promise<void> {
  const names = await readdir(folder);
  const gguf = names.find((name) => name.endsWith('.gguf'));
  if (gguf !== undefined && !names.includes('config.json')) {
    throw new FormatError('ERR_NOT_FOUND', folder, 'has no config.json', `to import a GGUF file, name it: ${gguf}`);
  }
}

/** A folder that this package made of a model. */
export const IMPORTED: Replaceable = {
  what: 'a folder that an import made, to overwrite it',
  async test(folder) {
    try {
      return typeof JSON.parse(await readFile(join(folder, 'config.json'), 'utf8')).tensorrt_node === 'object';
    } catch {
      return false;
    }
  },
};

/** What a checkpoint's model computes in, unless told otherwise. */
export function defaultType({tensors}: Checkpoint): 'fp16' | 'fp32' {
  const matrices = [...tensors.values()].filter(({shape}) => shape.length > 1);
  return matrices.every(({type}) => type === 'F16' || type === 'BF16') ? 'fp16' : 'fp32';
}

export function countTypes({tensors}: Checkpoint): Partial<Record<TensorType, number>> {
  const counts: Partial<Record<TensorType, number>> = {};
  for (const {type} of tensors.values()) counts[type] = (counts[type] ?? 0) + 1;
  return counts;
}

export async function packageVersion(): Promise<string> {
  return JSON.parse(await readFile(new URL('../../package.json', import.meta.url), 'utf8')).version;
}
