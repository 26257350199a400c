/** A language model's folder: where its ONNX file is, and what its config says that the graph does not. */

import {readFile, stat} from 'node:fs/promises';
import {basename, dirname, extname, join, resolve} from 'node:path';

import {FormatError} from '../errors.js';

export interface ModelFolder {
  /** The ONNX file. */
  modelPath: string;
  /** Where config and tokenizer are. */
  folder: string;
  config: ModelConfig;
}

export interface ModelConfig {
  /** Hugging Face's `model_type`: 'llama', 'qwen2', … */
  modelType: string | undefined;
  /** Positions the model was trained for. */
  maxPositionEmbeddings: number | undefined;
  /** Tokens that end a reply. */
  eosTokenIds: readonly number[];
}

/** Where exports put the model; the first that exists is taken. */
const MODEL_FILES = ['model.onnx', join('onnx', 'model.onnx')];

/** `source` is a folder or an ONNX file in one. Throws FormatError: ERR_NOT_FOUND, ERR_CONFIG. */
export async function openModelFolder(source: string): Promise<ModelFolder> {
  const path = resolve(source);
  const found = await stat(path).catch(() => undefined);
  if (found === undefined) throw new FormatError('ERR_NOT_FOUND', path, 'no such file or folder');
  const modelPath = found.isDirectory() ? await modelIn(path) : onnxFile(path);
  const beside = dirname(modelPath);
  const folder = basename(beside) === 'onnx' && !(await exists(join(beside, 'config.json'))) ? dirname(beside) : beside;
  return {modelPath, folder, config: await readConfig(folder)};
}

async function modelIn(folder: string): Promise<string> {
  for (const name of MODEL_FILES) {
    const path = join(folder, name);
    if (await exists(path)) return path;
  }
  throw new FormatError('ERR_NOT_FOUND', folder, 'has no model.onnx', importHint(folder));
}

function onnxFile(path: string): string {
  if (extname(path) === '.onnx') return path;
  throw new FormatError('ERR_ONNX', path, 'is not an ONNX file', importHint(path));
}

function importHint(path: string): string {
  return `a GGUF file or a Hugging Face folder becomes one with: tensorrt-node import ${path} OUT`;
}

async function readConfig(folder: string): Promise<ModelConfig> {
  const config = (await readJson(join(folder, 'config.json'))) ?? (await readGenaiConfig(folder));
  if (config === undefined) throw new FormatError('ERR_NOT_FOUND', join(folder, 'config.json'), 'no such file');
  const generation = (await readJson(join(folder, 'generation_config.json'))) ?? {};
  const positions = config.max_position_embeddings;
  return {
    modelType: typeof config.model_type === 'string' ? config.model_type : undefined,
    maxPositionEmbeddings: typeof positions === 'number' && Number.isInteger(positions) && positions > 0 ? positions : undefined,
    eosTokenIds: tokenIds(generation.eos_token_id ?? config.eos_token_id),
  };
}

/** What onnxruntime-genai's builder writes instead of config.json, by that one's names. */
async function readGenaiConfig(folder: string): Promise<Record<string, unknown> | undefined> {
  const genai = await readJson(join(folder, 'genai_config.json'));
  if (genai === undefined) return undefined;
  if (!isObject(genai.model)) throw new FormatError('ERR_CONFIG', join(folder, 'genai_config.json'), 'has no object "model"');
  const {type, context_length, eos_token_id} = genai.model;
  return {model_type: type, max_position_embeddings: context_length, eos_token_id};
}

async function readJson(path: string): Promise<Record<string, unknown> | undefined> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return undefined;
    throw new FormatError('ERR_CONFIG', path, 'cannot be read', undefined, {cause});
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new FormatError('ERR_CONFIG', path, 'is not JSON', undefined, {cause});
  }
  if (!isObject(value)) throw new FormatError('ERR_CONFIG', path, 'is not a JSON object');
  return value;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Config files have one token or a list. */
function tokenIds(value: unknown): number[] {
  return (Array.isArray(value) ? value : [value]).filter((id): id is number => Number.isInteger(id) && (id as number) >= 0);
}

function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
