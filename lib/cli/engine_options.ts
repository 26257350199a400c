/** Options of the commands that load engines, and tensors on the command line. */

import path from 'node:path';

import {type Command, InvalidArgumentError, Option} from 'commander';

import type {Engine, EngineTensor} from '../engine/engine.js';
import type {EngineLoadOptions} from '../engine/load.js';
import {type Tensor, tensorArray} from '../engine/tensor.js';
import {readNpy} from '../npy/npy.js';
import {bytes} from './build_flags.js';
import {UsageError} from './errors.js';
import {number} from './options.js';

export type EngineFlags = Pick<
  EngineLoadOptions,
  'backend' | 'device' | 'contexts' | 'threads' | 'model' | 'weightStreamingBudget' | 'tensorrtPath'
>;

export function addEngineOptions(command: Command): Command {
  return command
    .addOption(new Option('--backend <name>', 'what runs it').choices(['auto', 'tensorrt', 'cpu']).default('auto'))
    .option('--device <n>', 'GPU, as CUDA numbers them', number)
    .option('--contexts <n>', 'runs that are under way at once', number)
    .option('--threads <n>', 'threads of the CPU backend', number)
    .option('--model <file>', 'the ONNX model, where it is not where the manifest says')
    .option('--weight-streaming-budget <size>', 'weights kept on the GPU, such as 4GiB; for plans built with weight streaming', bytes)
    .option('--tensorrt-path <path>', 'libnvinfer.so.10, or the folder it is in');
}

/** Tensors to run with, where any will do. */
export interface InputFlags {
  input?: Map<string, string>;
  shape?: Map<string, string>;
}

export function addInputOptions(command: Command): Command {
  return command
    .option('-i, --input <name=file>', "an input's .npy file; the others are random; repeatable", named)
    .option('--shape <name=dims>', "an input's shape, as 1x3x224x224; default: the first profile's optimum; repeatable", named);
}

export function engineOptions(flags: EngineFlags): EngineFlags {
  const {backend, device, contexts, threads, model, weightStreamingBudget, tensorrtPath} = flags;
  return {backend, device, contexts, threads, model, weightStreamingBudget, tensorrtPath};
}

/** For options like `--input NAME=VALUE`, repeated: a map by name. A name may hold '=', as the last one counts. */
export function named(text: string, before: ReadonlyMap<string, string> = new Map()): Map<string, string> {
  const at = text.lastIndexOf('=');
  if (at <= 0 || at === text.length - 1) throw new InvalidArgumentError('It is not name=value.');
  return new Map([...before, [text.slice(0, at), text.slice(at + 1)]]);
}

/** '1x3x48x320'; '' of a scalar cannot be written, and need not be. */
export function parseShape(name: string, text: string): number[] {
  const dims = text.split('x').map((part) => (/^\d+$/.test(part) ? Number(part) : Number.NaN));
  if (dims.some((dim) => !Number.isSafeInteger(dim))) throw new UsageError(`--shape ${name}=${text} is not like 1x3x224x224`);
  return dims;
}

/** Tensors from .npy files, by the names of inputs. */
export async function readInputs(engine: Engine, files: ReadonlyMap<string, string>): Promise<Record<string, Tensor>> {
  const tensors: Record<string, Tensor> = {};
  for (const [name, file] of files) {
    const input = engine.inputs.find((each) => each.name === name);
    if (input === undefined) {
      throw new UsageError(`there is no input '${name}'; there are ${engine.inputs.map((each) => `'${each.name}'`).join(', ')}`);
    }
    tensors[name] = asInput(input, await readNpy(file));
  }
  return tensors;
}

/** What the flags give, and random tensors for all other inputs. */
export async function givenOrRandom(engine: Engine, {input = new Map(), shape = new Map()}: InputFlags): Promise<Record<string, Tensor>> {
  const given = await readInputs(engine, input);
  const shapes: Record<string, readonly number[]> = {};
  for (const [name, text] of shape) {
    if (!engine.inputs.some((each) => each.name === name)) throw new UsageError(`--shape ${name}: there is no such input`);
    shapes[name] = parseShape(name, text);
  }
  for (const {name, dims, profiles = []} of engine.inputs) {
    if (name in given || name in shapes || profiles.length > 0 || dims.every((dim) => dim >= 0)) continue;
    throw new UsageError(
      `input '${name}' is dynamic, [${dims.map((dim) => (dim < 0 ? '?' : dim)).join(', ')}]: give --shape ${name}=… or --input ${name}=…`,
    );
  }
  const {randomInputs} = await import('../engine/benchmark.js');
  const others = engine.inputs.filter(({name}) => !(name in given));
  return {...randomInputs(others, shapes), ...given};
}

/** Files hold types that NumPy has not as integers of the same bits. */
function asInput({type, dims: own}: EngineTensor, read: Tensor): Tensor {
  const {buffer, byteOffset, byteLength} = read.data;
  if (type === 'int4' && read.type === 'uint8') {
    // Two elements a byte; the shape is the input's.
    return {type, dims: own, data: new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength)};
  }
  const sameBits = read.type === 'uint8' ? ['bool', 'float8e4m3fn'] : read.type === 'bool' ? ['uint8'] : [];
  if (!sameBits.includes(type)) return read;
  return {type, dims: read.dims, data: tensorArray(type, read.dims, buffer as ArrayBuffer, byteOffset)};
}

/** A file for each output, from `--output name=file` and a folder; names of tensors may hold what names of files may not. */
export function outputFiles(names: readonly string[], files: ReadonlyMap<string, string>, folder: string | undefined): Map<string, string> {
  const unknown = [...files.keys()].find((name) => !names.includes(name));
  if (unknown !== undefined)
    throw new UsageError(`there is no output '${unknown}'; there are ${names.map((each) => `'${each}'`).join(', ')}`);
  const found = new Map(files);
  const taken = new Set<string>();
  for (const name of names) {
    if (folder === undefined || found.has(name)) continue;
    const base = name.replaceAll(/[^\w.-]+/g, '_').replace(/^\.+/, '_');
    let file = `${base}.npy`;
    for (let count = 1; taken.has(file); count++) file = `${base}_${count}.npy`;
    taken.add(file);
    found.set(name, path.join(folder, file));
  }
  return found;
}
