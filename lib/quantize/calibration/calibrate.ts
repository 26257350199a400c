/** Quantises a language model layer after layer, each with what the layers before it, already rounded, give it. */

import {setImmediate} from 'node:timers/promises';

import type * as ort from 'onnxruntime-node';

import {throwIfAborted} from '../../errors.js';
import {splitSkipNorm} from '../../onnx/lower/split_skip_norm.js';
import type {Model} from '../../onnx/model.js';
import {backendError} from '../../onnxruntime/backend_error.js';
import type {OnProgress} from '../../progress.js';
import {crunched, type Format, type QuantizedRows, quantizeAddon, type Running} from '../native.js';
import {roundSlice} from '../quantized_matrix.js';
import {bytesOf, readFloats} from '../weight_reader.js';
import {findWeights, type Weight} from '../weights.js';
import type {Hessian} from './hessian.js';
import type {Layer, LayerSolver} from './layer_solver.js';
import {floatsOf, SectionSession} from './section_session.js';
import {cutIntoSections, type Section, type SectionedGraph} from './sections.js';

export interface CalibrateOptions {
  /** Formats by the names of matrices. */
  formats: ReadonlyMap<string, Format>;
  samples: readonly Uint32Array[];
  solver: LayerSolver;
  /** Makes one for inputs of so many columns. */
  hessian: (size: number) => Hessian;
  running: Running;
  path: string;
  signal: AbortSignal | undefined;
  onProgress: OnProgress | undefined;
  /** Takes a matrix' rows, in the order in which they are made. */
  store(name: string, rows: QuantizedRows): Promise<void>;
}

/** Changes `model`, which is a copy for this. Throws UnsupportedError for a graph that cannot be cut; AbortError. */
export async function calibrate(model: Model, options: CalibrateOptions): Promise<void> {
  splitSkipNorm(model);
  const graph = cutIntoSections(model);
  const run = new Calibration(model, graph, findWeights(model), options);
  for (const [at, section] of graph.sections.entries()) {
    options.onProgress?.({phase: 'calibrate', done: at, total: graph.sections.length, unit: 'steps', detail: section.name});
    await run.section(section);
  }
}

class Calibration {
  /** What each sequence gives to the next section: tokens, then hidden rows. */
  #given: (Uint32Array | ort.Tensor)[];
  readonly #carried = new Map<string, ort.Tensor>();
  readonly #stored = new Set<string>();

  constructor(
    readonly model: Model,
    readonly graph: SectionedGraph,
    readonly weights: readonly Weight[],
    readonly options: CalibrateOptions,
  ) {
    this.#given = [...options.samples];
  }

  async section(section: Section): Promise<void> {
    const {running, formats} = this.options;
    const own = this.weights.filter(({uses}) => uses.some(({node}) => section.nodes.has(node)));
    const wanted = (weight: Weight) => formats.has(weight.name) && !this.#stored.has(weight.name);
    // The end is of use for a head of its own alone.
    if (section.output === undefined && !own.some(wanted)) return;
    const values = new Map<Weight, Float32Array<ArrayBuffer>>();
    for (const weight of own) values.set(weight, await this.#read(weight));

    const groups = new Map<string, Layer[]>();
    for (const weight of own.filter(wanted)) {
      const layer: Layer = {weight, format: formats.get(weight.name)!, values: values.get(weight)!};
      const use = weight.uses.find(({node}) => section.nodes.has(node))!;
      if (use.kind === 'rows') await this.#roundTable(layer);
      else groups.set(use.input, [...(groups.get(use.input) ?? []), layer]);
    }

    const captured = [...groups.keys()];
    await using session = await SectionSession.create({
      ...this.options,
      ...this,
      section,
      captured,
      carried: this.#carried,
      threads: running.threads,
    });
    if (captured.length > 0) await this.#solve(session, groups, values);
    if (section.output !== undefined) await this.#pass(session, values, section.output);
  }

  async #read({name, reader}: Weight): Promise<Float32Array<ArrayBuffer>> {
    const values = new Float32Array(reader.outer * reader.inner);
    await crunched(readFloats(reader, this.options.running, values), this.options.path, name);
    return values;
  }

  /** An embedding has no input to calibrate with. */
  async #roundTable({weight, format, values}: Layer): Promise<void> {
    const {running, path} = this.options;
    const {outer, inner} = weight.reader;
    const dense = {data: bytesOf(values), type: 'float32' as const, outer, inner, transposed: false};
    const rows = await roundSlice(dense, {format, running, path, tensor: weight.name});
    await quantizeAddon().readQuantizedRows({...running, ...rows, format, outer, inner, values});
    await this.#store(weight, rows);
  }

  async #solve(
    session: SectionSession,
    groups: ReadonlyMap<string, readonly Layer[]>,
    values: ReadonlyMap<Weight, Float32Array>,
  ): Promise<void> {
    const {running, path, solver} = this.options;
    const gathered = new Map<string, Hessian>();
    using _ = disposing(gathered);
    for (const [input, [layer]] of groups) {
      gathered.set(input, this.options.hessian(layer!.weight.reader.inner));
    }
    const output = session.section.output;
    for (const given of this.#given) {
      const results = await this.#run(session, given, values, [...groups.keys(), ...(output ? [output] : [])]);
      const hidden = output && floatsOf(results[output]!);
      for (const [input, found] of gathered) {
        const rows = floatsOf(results[input]!);
        const count = rows.length / found.size;
        if (hidden && addsToHidden(groups.get(input)!, hidden.length / count)) divideBySize(rows, hidden, count);
        await crunched(found.add(rows), path, groups.get(input)![0]!.weight.name);
      }
    }
    for (const [input, layers] of groups) {
      const found = gathered.get(input)!;
      const rows = await solver.solve(layers, found, {running, path});
      found[Symbol.dispose]();
      gathered.delete(input);
      for (const [at, {weight}] of layers.entries()) await this.#store(weight, rows[at]!);
    }
  }

  /** The hidden rows that go on, of rounded matrices. */
  async #pass(session: SectionSession, values: ReadonlyMap<Weight, Float32Array>, output: string): Promise<void> {
    for (const [at, given] of this.#given.entries()) {
      const names = at === 0 ? [output, ...session.shapes] : [output];
      const results = await this.#run(session, given, values, names);
      for (const name of session.shapes) if (results[name]) this.#carried.set(name, results[name]);
      this.#given[at] = results[output]!;
    }
  }

  async #run(
    session: SectionSession,
    given: Uint32Array | ort.Tensor,
    values: ReadonlyMap<Weight, Float32Array>,
    names: readonly string[],
  ): Promise<Readonly<Record<string, ort.Tensor>>> {
    // ONNX Runtime holds the thread up: others get their turn.
    await setImmediate();
    throwIfAborted(this.options.signal);
    try {
      return await session.run(given, this.options.samples[0]!.length, values, names);
    } catch (error) {
      throw backendError(error);
    }
  }

  async #store({name}: Weight, rows: QuantizedRows): Promise<void> {
    this.#stored.add(name);
    await this.options.store(name, rows);
  }
}

/** Disposes of what is left in a map. */
function disposing(map: ReadonlyMap<string, Disposable>): Disposable {
  return {
    [Symbol.dispose]() {
      for (const each of map.values()) each[Symbol.dispose]();
    },
  };
}

/** Whether products go into the hidden rows as they are, which have this width. */
function addsToHidden(layers: readonly Layer[], width: number): boolean {
  return layers.every(({weight}) => weight.reader.outer === width);
}

/**
 * Divides each row of `rows` by the size of its row of `hidden`: every layer normalises what it takes, so that an error counts as
 * much as it is of the row it is added to. Without this the few tokens with enormous activations, such as a text's first, would
 * count for all others together.
 */
function divideBySize(rows: Float32Array, hidden: Float32Array, count: number): void {
  const [size, width] = [rows.length / count, hidden.length / count];
  for (let row = 0; row < count; row++) {
    let sum = 0;
    for (const value of hidden.subarray(row * width, (row + 1) * width)) sum += value * value;
    const factor = 1 / Math.sqrt(sum / width + Number.MIN_VALUE);
    for (let at = row * size; at < (row + 1) * size; at++) rows[at] = rows[at]! * factor;
  }
}
