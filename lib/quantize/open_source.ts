/** What is quantised, as one thing: an ONNX model whose bytes are still on disk, and the files that go beside it. */

import {copyFile, readdir, readFile, stat} from 'node:fs/promises';
import {basename, dirname, extname, join, resolve} from 'node:path';

import {FormatError, OptionError} from '../errors.js';
import {openModelFolder} from '../generate/model_folder.js';
import type {Checkpoint, CheckpointTensor, TensorType} from '../import/checkpoint.js';
import {buildDecoder} from '../import/graph/decoder.js';
import {countTypes, defaultType, openCheckpoint} from '../import/import.js';
import {configJson, genaiConfigJson} from '../import/model_files.js';
import {BLOCKS} from '../import/numeric/blocks.js';
import {dequantize} from '../import/numeric/dequantize.js';
import type {Model} from '../onnx/model.js';
import {readModel} from '../onnx/read.js';
import {loadTokenizer, TextTokenizer} from '../tokenizer/tokenizer.js';

export interface QuantizeSource extends AsyncDisposable {
  /** Changed by who writes it. */
  model: Model;
  /** The same, for running on the CPU: in float32 where there is a choice. */
  runnable(): Promise<Model>;
  /** Whether it follows the contract of language models. */
  language: boolean;
  /** Of language models. */
  tokenizer(): Promise<TextTokenizer>;
  /** Bytes of its weights. */
  bytes: number;
  /** Writes the files beside the model into `folder`. `quantization` goes into config.json. */
  writeFiles(folder: string, quantization: object, version: string): Promise<Readonly<Record<string, string | object>>>;
}

/** Throws as `importModel`, `openModelFolder` and `readModel` do. */
export async function openSource(
  source: string,
  dtype: 'fp16' | 'fp32' | undefined,
  signal: AbortSignal | undefined,
): Promise<QuantizeSource> {
  const path = resolve(source);
  const found = await stat(path).catch((cause: unknown) => {
    throw new FormatError('ERR_NOT_FOUND', path, 'no such file or folder', undefined, {cause});
  });
  const onnx = found.isDirectory() ? await onnxIn(path) : extname(path) === '.onnx' ? path : undefined;
  if (onnx === undefined) return checkpointSource(await openCheckpoint(source), source, dtype);
  if (dtype !== undefined) throw new OptionError('dtype', 'left out for an ONNX model, which has its type', dtype);
  return onnxSource(onnx, signal);
}

async function onnxIn(folder: string): Promise<string | undefined> {
  for (const name of ['model.onnx', join('onnx', 'model.onnx')]) {
    const path = join(folder, name);
    if ((await stat(path).catch(() => undefined))?.isFile()) return path;
  }
  return undefined;
}

function checkpointSource(checkpoint: Checkpoint, label: string, asked: 'fp16' | 'fp32' | undefined): QuantizeSource {
  const dtype = asked ?? defaultType(checkpoint);
  const tensors = denseTensors(checkpoint.tensors);
  const {config, format, path, tokenizer} = checkpoint;
  return {
    model: buildDecoder(config, tensors, {dtype, label}),
    runnable: async () => buildDecoder(config, tensors, {dtype: 'fp32', label}),
    language: true,
    tokenizer: async () =>
      new TextTokenizer({
        json: JSON.parse(tokenizer.tokenizerJson),
        config: JSON.parse(tokenizer.tokenizerConfigJson),
        path,
      } as ConstructorParameters<typeof TextTokenizer>[0]),
    bytes: [...checkpoint.tensors.values()].reduce((sum, {byteLength}) => sum + byteLength, 0),
    async writeFiles(_folder, quantization, version) {
      const origin = {version, source: {format, name: basename(resolve(label))}, dtype, format: countTypes(checkpoint)};
      return {
        'config.json': configJson(config, Object.assign(origin, {quantization})),
        'genai_config.json': genaiConfigJson(config),
        'tokenizer.json': tokenizer.tokenizerJson,
        'tokenizer_config.json': tokenizer.tokenizerConfigJson,
      };
    },
    [Symbol.asyncDispose]: () => checkpoint[Symbol.asyncDispose](),
  };
}

/** Blocks as the numbers they stand for: they are to have others, and so products of several types are packed as any. */
function denseTensors(tensors: ReadonlyMap<string, CheckpointTensor>): Map<string, CheckpointTensor> {
  return new Map([...tensors].map(([name, tensor]) => [name, BLOCKS[tensor.type].elements === 1 ? tensor : dense(tensor)]));
}

function dense(tensor: CheckpointTensor): CheckpointTensor {
  const type: TensorType = 'F32';
  return {
    ...tensor,
    type,
    byteLength: tensor.shape.reduce((product, size) => product * size, 4),
    async read() {
      const {buffer} = dequantize(tensor.type, await tensor.read());
      return new Uint8Array(buffer);
    },
  };
}

async function onnxSource(path: string, signal: AbortSignal | undefined): Promise<QuantizeSource> {
  const model = await readModel(path, {signal});
  const inputs = new Set(model.graph.input.map(({name}) => name));
  const language = inputs.has('input_ids') && model.graph.output.some(({name}) => name === 'logits');
  // Where the config is: beside the model, or a folder above `onnx/`.
  const folder = language ? (await openModelFolder(path)).folder : dirname(path);
  return {
    model,
    runnable: () => readModel(path, {signal}),
    language,
    tokenizer: () => loadTokenizer(folder),
    bytes: model.graph.initializer.reduce((sum, tensor) => sum + model.source(tensor).byteLength, 0),
    async writeFiles(target, quantization, version) {
      if (language) await copyFiles(folder, target);
      const found = await readFile(join(folder, 'config.json'), 'utf8').catch(() => undefined);
      const config = language && found !== undefined ? JSON.parse(found) : {};
      const before = config.tensorrt_node ?? {source: {format: 'onnx', name: basename(path)}};
      return {'config.json': {...config, tensorrt_node: {...before, version, quantization}}};
    },
    async [Symbol.asyncDispose]() {},
  };
}

/** Tokenizer, chat template and configs, whatever they are called; the model's own files are written anew. */
const BESIDE = /\.(json|jinja|txt|model)$/;
const LARGEST = 64 * 2 ** 20;

async function copyFiles(from: string, to: string): Promise<void> {
  for (const entry of await readdir(from, {withFileTypes: true})) {
    if (!BESIDE.test(entry.name) || entry.name.endsWith('.index.json')) continue;
    const found = await stat(join(from, entry.name));
    if (found.isFile() && found.size <= LARGEST) await copyFile(join(from, entry.name), join(to, entry.name));
  }
}
