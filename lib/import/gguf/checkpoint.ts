/** Opens a GGUF file, or a set of split ones, as a Checkpoint: Hugging Face's names, config and row order. */

import {basename, dirname, join} from 'node:path';

import {FormatError, UnsupportedError} from '../../errors.js';
import {checkConfig} from '../check_config.js';
import type {Checkpoint, CheckpointTensor, DecoderConfig} from '../checkpoint.js';
import {InputFile} from '../input_file.js';
import {dequantize} from '../numeric/dequantize.js';
import {quote, type TensorInfo} from '../tensor_info.js';
import {readArchitecture, readConfig, type TensorFacts} from './config.js';
import {type Header, readHeader} from './header.js';
import {huggingFaceName} from './names.js';
import {unpermuteRows} from './rows.js';
import {readTokenizer} from './tokenizer.js';

/** `model-00001-of-00003.gguf` */
const SPLIT_NAME = /^(.*)-(\d{5})-of-(\d{5})\.gguf$/;

/** Tensors that say something about the config and are no weights. */
const ROPE_FACTORS = {
  'rope_freqs.weight': 'ropeFactors',
  'rope_factors_short.weight': 'ropeShortFactor',
  'rope_factors_long.weight': 'ropeLongFactor',
} as const;

interface Located {
  file: InputFile;
  info: TensorInfo;
}

/**
 * `path` is a GGUF file; of a split model, any of its files. Files stay open until the checkpoint is disposed of.
 * Throws FormatError (ERR_GGUF, ERR_TOKENIZER, ERR_NOT_FOUND) and UnsupportedError; nothing is left open then.
 */
export async function openGguf(path: string): Promise<Checkpoint> {
  const files: InputFile[] = [];
  const close = async () => {
    for (const file of files.splice(0)) await file[Symbol.asyncDispose]();
  };
  try {
    return {...(await read(path, files)), [Symbol.asyncDispose]: close};
  } catch (error) {
    await close();
    throw error;
  }
}

/** Adds the files it opens to `files`. */
async function read(path: string, files: InputFile[]): Promise<Omit<Checkpoint, typeof Symbol.asyncDispose>> {
  const {header, located} = await openShards(path, files);
  const {metadata} = header;
  const architecture = readArchitecture(metadata);
  const facts = await readFacts(path, located);
  const tokenizer = readTokenizer(path, metadata);
  const fail = (problem: string) => new FormatError('ERR_GGUF', path, problem);
  if (tokenizer.tokenCount > facts.vocabSize) throw fail(`there are ${tokenizer.tokenCount} tokens, but embeddings for ${facts.vocabSize}`);
  const config = readConfig(path, metadata, facts, tokenizer.tokens);
  checkConfig(config, fail);
  const tensors = new Map<string, CheckpointTensor>();
  for (const {file, info} of located.values()) {
    if (Object.hasOwn(ROPE_FACTORS, info.name)) continue;
    const name = huggingFaceName(info.name);
    if (name === undefined) throw new UnsupportedError(`tensor ${quote(info.name)} has no place in the architecture ${architecture}`);
    if (tensors.has(name)) throw fail(`two tensors are ${name}, one of them ${info.name}`);
    tensors.set(name, checkpointTensor(name, file, info, permutedHeads(name, config)));
  }
  return {format: 'gguf', path, config, tensors, tokenizer: tokenizer.files};
}

/** The first file's header, and where the tensors of all files are, by llama.cpp's name. */
async function openShards(path: string, files: InputFile[]): Promise<{header: Header; located: Map<string, Located>}> {
  const open = async (shard: string) => {
    const file = await InputFile.open(shard);
    files.push(file);
    return {file, header: await readHeader(file)};
  };
  const located = new Map<string, Located>();
  const add = (file: InputFile, header: Header) => {
    for (const info of header.tensors) {
      if (located.has(info.name))
        throw new FormatError('ERR_GGUF', file.path, `tensor ${info.name} is in an earlier file of the split too`);
      located.set(info.name, {file, info});
    }
  };

  const given = await open(path);
  const count = given.header.metadata.integer('split.count') ?? 0;
  if (count <= 1) {
    add(given.file, given.header);
    return {header: given.header, located};
  }

  const [, prefix, , total] = SPLIT_NAME.exec(basename(path)) ?? [];
  if (prefix === undefined || Number(total) !== count) {
    throw new FormatError(
      'ERR_GGUF',
      path,
      `is one of ${count} files of a split model, but is not named so`,
      `NAME-00001-of-${digits(count)}.gguf`,
    );
  }
  let first: Header | undefined;
  for (let number = 1; number <= count; number++) {
    const shardPath = join(dirname(path), `${prefix}-${digits(number)}-of-${digits(count)}.gguf`);
    const {file, header} = basename(shardPath) === basename(path) ? given : await open(shardPath);
    const place = header.metadata.integer('split.no');
    if (place !== number - 1 || header.metadata.integer('split.count') !== count) {
      throw new FormatError('ERR_GGUF', shardPath, `says it is file ${place} of a split (from 0), its name says ${number - 1}`);
    }
    add(file, header);
    first ??= header;
  }
  const expected = first!.metadata.integer('split.tensors.count');
  if (expected !== undefined && expected !== located.size) {
    throw new FormatError('ERR_GGUF', path, `the split holds ${located.size} tensors, its metadata says ${expected}`);
  }
  return {header: first!, located};
}

function digits(number: number): string {
  return String(number).padStart(5, '0');
}

async function readFacts(path: string, located: ReadonlyMap<string, Located>): Promise<TensorFacts> {
  const embeddings = located.get('token_embd.weight');
  if (!embeddings) throw new FormatError('ERR_GGUF', path, 'tensor token_embd.weight is missing');
  const facts: TensorFacts = {vocabSize: embeddings.info.shape[0]!, tieWordEmbeddings: !located.has('output.weight')};
  for (const [name, fact] of Object.entries(ROPE_FACTORS)) {
    const tensor = located.get(name);
    if (!tensor) continue;
    const {file, info} = tensor;
    // One for each pair of a head; the number is checked with the config.
    if (info.byteLength > 1 << 20) throw new FormatError('ERR_GGUF', path, `tensor ${name} takes ${info.byteLength} bytes`);
    facts[fact] = Array.from(dequantize(info.type, await file.read(info.position, info.byteLength)));
  }
  return facts;
}

/** How many heads' rows are permuted in this tensor; undefined for rows in Hugging Face's order. */
function permutedHeads(name: string, config: DecoderConfig): {headCount: number; headDim: number} | undefined {
  if (config.architecture !== 'llama') return undefined;
  if (/\.self_attn\.q_proj\./.test(name)) return {headCount: config.headCount, headDim: config.headDim};
  if (/\.self_attn\.k_proj\./.test(name)) return {headCount: config.kvHeadCount, headDim: config.headDim};
  return undefined;
}

function checkpointTensor(
  name: string,
  file: InputFile,
  {type, shape, position, byteLength}: TensorInfo,
  permuted: {headCount: number; headDim: number} | undefined,
): CheckpointTensor {
  return {
    name,
    type,
    shape,
    byteLength,
    async read() {
      const bytes = await file.read(position, byteLength);
      return permuted ? unpermuteRows(bytes, permuted.headCount, permuted.headDim) : bytes;
    },
  };
}
