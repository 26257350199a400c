/** `quantizeModel`: a checkpoint or an ONNX model to a folder with weights of 4 or 8 bits. */

import {stat, writeFile} from 'node:fs/promises';
import {join, resolve} from 'node:path';

import {OptionError, throwIfAborted} from '../errors.js';
import {IMPORTED, packageVersion} from '../import/import.js';
import {translated} from '../native/errors.js';
import {findDevice} from '../native/find_device.js';
import {requireAddon} from '../native/load.js';
import {onAbort} from '../on_abort.js';
import type {Model} from '../onnx/model.js';
import {writeModel} from '../onnx/write.js';
import {checkTarget, writeFolder} from '../target_folder.js';
import {awqSolver} from './calibration/awq.js';
import {gptqSolver} from './calibration/gptq.js';
import {GpuHessian, type Hessian, HostHessian} from './calibration/hessian.js';
import type {LayerSolver} from './calibration/layer_solver.js';
import {readSamples} from './calibration/samples.js';
import {StoredMatrices, type StoredMatrix} from './calibration/stored_matrices.js';
import {chooseFormats} from './choose_formats.js';
import {type Format, type QuantizedRows, quantizeAddon, type Running, rowBytes} from './native.js';
import {openSource, type QuantizeSource} from './open_source.js';
import {type CheckedOptions, checkOptions, type QuantizeOptions} from './options.js';
import {type QuantizedMatrix, roundedMatrix} from './quantized_matrix.js';
import {replaceWeights} from './replace_weights.js';
import {findWeights, type Weight} from './weights.js';

export interface QuantizeResult {
  /** The folder written, absolute. */
  path: string;
  method: CheckedOptions['method'];
  /** Of the source's weights, and of model.onnx and model.onnx_data. */
  bytes: {before: number; after: number};
  /** Matrices, and how many numbers are in them. */
  quantized: {matrices: number; weights: number};
  /** Names of those that stayed as they were. */
  kept: readonly string[];
  /** Bits a quantised weight takes on average, scales and zero points included. */
  bitsPerWeight: number;
  /** Time of each phase. */
  milliseconds: Readonly<Record<string, number>>;
}

const MODEL = 'model.onnx';
const DATA = 'model.onnx_data';
/** Takes matrices as they are calibrated; gone when the folder is done. */
const SCRATCH = '.quantized';

/**
 * Reads `source`: a .gguf file, a folder with config.json and safetensors, a language model's ONNX folder, or an .onnx file.
 * Writes the folder `out`, as `importModel` does, with its matrices in MatMulNBits (blocks) or DequantizeLinear (by channel),
 * and a tied embedding in GatherBlockQuantized. `out` appears when all of it is written; if anything fails or `signal` fires,
 * nothing is left. With 'rtn' no more than a matrix is in memory.
 *
 * Throws OptionError; FormatError for a damaged source or weights that are not finite; UnsupportedError for what cannot be
 * imported, or has no weights to quantise; AbortError; TensorrtNodeError (ERR_ADDON) without the addon; and what the system says
 * where `out` cannot be written (ENOSPC).
 */
export async function quantizeModel(source: string, out: string, options: QuantizeOptions = {}): Promise<QuantizeResult> {
  const checked = checkOptions(source, out, options);
  const {overwrite, signal} = checked;
  throwIfAborted(signal);
  quantizeAddon();
  const clock = new PhaseClock();
  const opened = await openSource(source, checked.dtype, signal);
  const stop = new Int32Array(1);
  const heard = signal && onAbort(signal, () => Atomics.store(stop, 0, 1));
  try {
    const target = {option: 'out', overwrite, source, replaceable: IMPORTED};
    await checkTarget(out, target);
    if (checked.method !== 'rtn' && !opened.language) {
      throw new OptionError('method', "'rtn' for what is no language model: nothing else reads a text", checked.method);
    }
    const weights = findWeights(opened.model);
    const formats = chooseFormats(weights, checked);
    if (formats.size === 0) throw new OptionError('source', 'a model with matrices to quantise that are not all kept', source);
    let bytes = 0;
    await writeFolder(out, target, async (folder) => {
      const work = {...checked, path: source, running: {threads: checked.threads, stop}};
      await using calibrated = await calibratedMatrices(opened, formats, join(folder, SCRATCH), clock, work);
      clock.start('quantize');
      const matrices = roundedMatrices(formats, calibrated.matrices, work);
      replaceWeights(opened.model, matrices);
      await writeModel(opened.model, join(folder, MODEL), {externalData: DATA, signal});
      for (const name of [MODEL, DATA]) bytes += (await stat(join(folder, name)).catch(() => undefined))?.size ?? 0;
      const files = await opened.writeFiles(folder, describe(checked, formats, weights), await packageVersion());
      for (const [name, content] of Object.entries(files)) {
        await writeFile(join(folder, name), typeof content === 'string' ? content : JSON.stringify(content, null, 2));
      }
      throwIfAborted(signal);
    });
    clock.stop();
    return result(out, checked, opened, formats, weights, bytes, clock);
  } catch (error) {
    // Calls that were under way say that they were stopped.
    throwIfAborted(signal);
    throw error;
  } finally {
    heard?.();
    await opened[Symbol.asyncDispose]();
  }
}

interface Work extends CheckedOptions {
  path: string;
  running: Running;
}

/** What a calibration made of matrices; none with 'rtn'. */
async function calibratedMatrices(
  opened: QuantizeSource,
  formats: ReadonlyMap<Weight, Format>,
  scratch: string,
  clock: PhaseClock,
  options: Work,
): Promise<StoredMatrices> {
  const {method} = options;
  const stored = await StoredMatrices.create(scratch);
  if (method === 'rtn') return stored;
  try {
    clock.start('calibrate');
    const samples = await readSamples(await opened.tokenizer(), options);
    const {calibrate} = await import('./calibration/calibrate.js');
    const byName = new Map([...formats].map(([{name}, format]) => [name, format]));
    const solver = solverOf(opened.model, options);
    const store = (name: string, rows: QuantizedRows) => stored.add(name, byName.get(name)!, rows);
    await calibrate(await opened.runnable(), {
      ...options,
      signal: options.signal,
      onProgress: options.onProgress,
      formats: byName,
      samples,
      solver,
      hessian: hessianMaker(options.device, options.running),
      store,
    });
    return stored;
  } catch (error) {
    await stored[Symbol.asyncDispose]();
    throw error;
  }
}

/** On the GPU asked for, or on the first where there is one with kernels; else on the host. Throws as `findDevice` does for one asked for. */
function hessianMaker(device: number | 'cpu' | undefined, running: Running): (size: number) => Hessian {
  const onHost = (size: number) => new HostHessian(size, running);
  if (device === 'cpu') return onHost;
  const addon = requireAddon();
  if (device !== undefined) {
    findDevice(addon, device, 'quantize: ');
    return (size) => translated(() => new GpuHessian(size, running, device));
  }
  if (quantizeAddon().GpuHessian === undefined || addon.loadDriver().status !== 'ready' || addon.devices().length === 0) return onHost;
  return (size) => {
    try {
      return new GpuHessian(size, running, 0);
    } catch {
      // No kernels for this GPU or this size, or no memory left on it.
      return onHost(size);
    }
  };
}

function solverOf(model: Model, options: CheckedOptions): LayerSolver {
  if (options.method === 'awq') return awqSolver(model);
  return options.method === 'gptq' ? gptqSolver(options) : awqSolver(model, gptqSolver(options));
}

/** The others, each rounded while it is written. */
function roundedMatrices(
  formats: ReadonlyMap<Weight, Format>,
  calibrated: ReadonlyMap<string, StoredMatrix>,
  {path, running, onProgress}: Work,
): Map<Weight, QuantizedMatrix> {
  const left = [...formats.keys()].filter(({name}) => !calibrated.has(name));
  const total = left.reduce((sum, {reader}) => sum + reader.byteLength, 0);
  let done = 0;
  return new Map(
    [...formats].map(([weight, format]) => {
      const {name, reader} = weight;
      const {outer, inner} = reader;
      const stored = calibrated.get(name);
      if (stored) return [weight, {...stored, outer, inner}];
      const finished = (rows: number) => {
        done += (reader.byteLength * rows) / outer;
        onProgress?.({phase: 'quantize', done: Math.round(done), total, unit: 'bytes', detail: name});
      };
      return [weight, roundedMatrix(reader, {format, running, path, tensor: name, done: finished})];
    }),
  );
}

/** What config.json says of it. */
function describe(options: CheckedOptions, formats: ReadonlyMap<Weight, Format>, weights: readonly Weight[]): object {
  const {method, bits, block, type, symmetric, headBits, embeddingBits} = options;
  const sensitive = [...formats].filter(
    ([{head, uses}, format]) => bits === 4 && format.bits === 8 && !head && uses.some(({kind}) => kind === 'product'),
  );
  return {
    ...{method, bits, block, type, symmetric, headBits, embeddingBits},
    sensitive: sensitive.map(([{name}]) => name),
    kept: keptNames(formats, weights),
  };
}

function keptNames(formats: ReadonlyMap<Weight, Format>, weights: readonly Weight[]): string[] {
  return weights.filter((weight) => !formats.has(weight)).map(({name}) => name);
}

function result(
  out: string,
  {method}: CheckedOptions,
  opened: QuantizeSource,
  formats: ReadonlyMap<Weight, Format>,
  weights: readonly Weight[],
  after: number,
  clock: PhaseClock,
): QuantizeResult {
  let count = 0;
  let bytes = 0;
  for (const [{reader}, format] of formats) {
    const row = rowBytes(format, reader.inner);
    count += reader.outer * reader.inner;
    bytes += reader.outer * (row.codes + row.scales + row.zeroPoints);
  }
  return {
    path: resolve(out),
    method,
    bytes: {before: opened.bytes, after},
    quantized: {matrices: formats.size, weights: count},
    kept: keptNames(formats, weights),
    bitsPerWeight: (8 * bytes) / count,
    milliseconds: clock.phases,
  };
}

/** Adds up the time of phases, one at a time. */
class PhaseClock {
  readonly phases: Record<string, number> = {};
  #name: string | undefined;
  #since = 0;

  start(name: string): void {
    this.stop();
    this.#name = name;
    this.#since = performance.now();
  }

  stop(): void {
    if (this.#name === undefined) return;
    this.phases[this.#name] = (this.phases[this.#name] ?? 0) + performance.now() - this.#since;
    this.#name = undefined;
  }
}
