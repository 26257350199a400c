/** Opens a Hugging Face folder (config.json and safetensors, whole or sharded) as a Checkpoint. */

import {join, relative, resolve, sep} from 'node:path';

import {FormatError, UnsupportedError} from '../../errors.js';
import {checkConfig} from '../check_config.js';
import type {Checkpoint, CheckpointTensor} from '../checkpoint.js';
import {InputFile} from '../input_file.js';
import {isObject, readJson} from '../json_file.js';
import {quote, type TensorInfo} from '../tensor_info.js';
import {readTokenizerFolder} from '../tokenizer/folder.js';
import {readConfig} from './config.js';
import {readHeader} from './header.js';

const MODEL = 'model.safetensors';
const INDEX = 'model.safetensors.index.json';

/**
 * Files stay open until the checkpoint is disposed of. Throws FormatError (ERR_CONFIG, ERR_SAFETENSORS,
 * ERR_TOKENIZER, ERR_PATH_OUTSIDE, ERR_NOT_FOUND) and UnsupportedError; nothing is left open then.
 */
export async function openSafetensors(folder: string): Promise<Checkpoint> {
  const files: InputFile[] = [];
  const close = async () => {
    for (const file of files.splice(0)) await file[Symbol.asyncDispose]();
  };
  try {
    return {...(await read(folder, files)), [Symbol.asyncDispose]: close};
  } catch (error) {
    await close();
    throw error;
  }
}

/** Adds the files it opens to `files`. */
async function read(folder: string, files: InputFile[]): Promise<Omit<Checkpoint, typeof Symbol.asyncDispose>> {
  const configPath = join(folder, 'config.json');
  const configJson = await readJson(configPath, 'ERR_CONFIG');
  if (!configJson) throw new FormatError('ERR_NOT_FOUND', configPath, 'there is no such file', 'a Hugging Face folder has a config.json');
  const generationPath = join(folder, 'generation_config.json');
  const config = readConfig(configPath, configJson, await readJson(generationPath, 'ERR_CONFIG'), generationPath);
  checkConfig(config, (problem) => new FormatError('ERR_CONFIG', configPath, problem));

  const tokenizer = await readTokenizerFolder(folder);
  const tensors = new Map<string, CheckpointTensor>();
  for (const {file, info} of await openShards(folder, files)) {
    // Tied weights that were stored all the same, and a table that older versions of transformers stored.
    if (info.name === 'lm_head.weight' && config.tieWordEmbeddings) continue;
    if (info.name.endsWith('.rotary_emb.inv_freq')) continue;
    tensors.set(info.name, {
      name: info.name,
      type: info.type,
      shape: info.shape,
      byteLength: info.byteLength,
      read: () => file.read(info.position, info.byteLength),
    });
  }
  return {format: 'safetensors', path: folder, config, tensors, tokenizer};
}

interface Located {
  file: InputFile;
  info: TensorInfo;
}

async function openShards(folder: string, files: InputFile[]): Promise<Located[]> {
  const open = async (path: string) => {
    const file = await InputFile.open(path);
    files.push(file);
    return {file, header: await readHeader(file)};
  };
  const indexPath = join(folder, INDEX);
  const index = await readJson(indexPath, 'ERR_SAFETENSORS');
  if (!index) {
    const {file, header} = await open(join(folder, MODEL)).catch((error: unknown) => refuseOtherFormats(folder, error));
    return [...header.values()].map((info) => ({file, info}));
  }

  const map = index.weight_map;
  if (!isObject(map) || Object.keys(map).length === 0) throw new FormatError('ERR_SAFETENSORS', indexPath, 'has no weight_map');
  const located: Located[] = [];
  const shards = new Map<string, {file: InputFile; header: Map<string, TensorInfo>}>();
  for (const [name, shard] of Object.entries(map)) {
    const path = shardPath(folder, indexPath, shard);
    const opened = shards.get(path) ?? (await open(path));
    shards.set(path, opened);
    const info = opened.header.get(name);
    if (!info) throw new FormatError('ERR_SAFETENSORS', path, `tensor ${quote(name)} is not in this file, where the index has it`);
    located.push({file: opened.file, info});
  }
  return located;
}

/** Symbolic links are followed (Hugging Face's cache is made of them); what the index itself says must stay inside. */
function shardPath(folder: string, indexPath: string, shard: unknown): string {
  if (typeof shard !== 'string' || shard === '')
    throw new FormatError('ERR_SAFETENSORS', indexPath, 'weight_map has an entry that is no file name');
  const path = resolve(folder, shard);
  const inside = relative(resolve(folder), path);
  if (inside === '' || inside === '..' || inside.startsWith(`..${sep}`) || resolve(inside) === inside) {
    throw new FormatError('ERR_PATH_OUTSIDE', indexPath, `the shard ${JSON.stringify(shard)} lies outside the folder`);
  }
  return path;
}

async function refuseOtherFormats(folder: string, error: unknown): Promise<never> {
  const missing = error instanceof FormatError && error.code === 'ERR_NOT_FOUND';
  for (const name of missing ? ['pytorch_model.bin', 'pytorch_model.bin.index.json', 'consolidated.00.pth'] : []) {
    const other = await InputFile.open(join(folder, name)).catch(() => undefined);
    if (!other) continue;
    await other[Symbol.asyncDispose]();
    throw new UnsupportedError(`${name} is not read, only safetensors`, 'convert it with transformers: save_pretrained');
  }
  throw error;
}
