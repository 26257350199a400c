/** Measures an engine: how long runs take, and how many fit into a second. */

import {OptionError, throwIfAborted} from '../errors.js';
import {integer, oneOf} from '../options.js';
import type {Engine, EngineTensor} from './engine.js';
import {elementCount, type Tensor, type TensorType, tensorArray, tensorBytes} from './tensor.js';

/** 'run': engine.run; 'bind': binding.run; 'runSync': binding.runSync. */
export type BenchmarkMode = 'run' | 'bind' | 'runSync';

export interface BenchmarkOptions {
  mode?: BenchmarkMode;
  /** Runs that are measured. Default 200. */
  iterations?: number;
  /** Runs before those. Default 20. */
  warmUp?: number;
  /** Runs under way at once; each binding has its own context. Default 1; with 'runSync' there can be no more. */
  concurrency?: number;
  signal?: AbortSignal;
  onProgress?: (done: number, total: number) => void;
}

/** Of durations in milliseconds. */
export interface Percentiles {
  p50: number;
  p90: number;
  p95: number;
  p99: number;
  mean: number;
  min: number;
  max: number;
}

export interface BenchmarkResult {
  mode: BenchmarkMode;
  iterations: number;
  concurrency: number;
  /** From the call to its end, on the calling thread. */
  latency: Percentiles;
  /** On the GPU, copies included; of bindings on TensorRT. */
  gpu?: Percentiles;
  /** Latency without the GPU's time; for one run at a time. */
  hostOverhead?: Percentiles;
  /** Runs a second, of all that are under way at once. */
  throughput: number;
  /** Of the last run. */
  outputs: Record<string, Tensor>;
}

/** Throws what runs throw, OptionError and AbortError. */
export async function benchmark(
  engine: Engine,
  inputs: Readonly<Record<string, Tensor>>,
  {mode = 'bind', iterations = 200, warmUp = 20, concurrency = 1, signal, onProgress}: BenchmarkOptions = {},
): Promise<BenchmarkResult> {
  oneOf('mode', mode, ['run', 'bind', 'runSync']);
  integer('iterations', iterations, {min: 1, max: 100_000_000});
  integer('warmUp', warmUp, {min: 0, max: 100_000_000});
  integer('concurrency', concurrency, {min: 1, max: 256});
  if (mode === 'runSync' && concurrency > 1) throw new OptionError('concurrency', "1 with mode 'runSync', which blocks", concurrency);
  using lanes = new Lanes(engine, inputs, mode, concurrency);
  await lanes.measure(warmUp, signal);
  const times: number[] = [];
  const gpuTimes: number[] = [];
  const start = performance.now();
  await lanes.measure(iterations, signal, (milliseconds, gpuMilliseconds) => {
    times.push(milliseconds);
    if (gpuMilliseconds !== undefined) gpuTimes.push(gpuMilliseconds);
    onProgress?.(times.length, iterations);
  });
  const seconds = (performance.now() - start) / 1000;
  const timed = gpuTimes.length === times.length;
  return {
    mode,
    iterations,
    concurrency,
    latency: percentiles(times),
    gpu: timed ? percentiles(gpuTimes) : undefined,
    hostOverhead: timed && concurrency === 1 ? percentiles(times.map((time, index) => time - gpuTimes[index]!)) : undefined,
    throughput: iterations / seconds,
    outputs: lanes.outputs(),
  };
}

type Lane = {run(): Promise<void> | void; gpuMilliseconds?(): number; outputs(): Record<string, Tensor>; dispose(): void};

/** What runs beside each other. */
class Lanes implements Disposable {
  readonly #lanes: Lane[] = [];

  constructor(engine: Engine, inputs: Readonly<Record<string, Tensor>>, mode: BenchmarkMode, count: number) {
    try {
      for (let index = 0; index < count; index++)
        this.#lanes.push(mode === 'run' ? callLane(engine, inputs) : bindLane(engine, inputs, mode));
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  async measure(
    runs: number,
    signal: AbortSignal | undefined,
    took: (milliseconds: number, gpuMilliseconds: number | undefined) => void = () => {},
  ): Promise<void> {
    let left = runs;
    const drive = async (lane: Lane): Promise<void> => {
      while (left > 0) {
        left--;
        throwIfAborted(signal);
        const start = performance.now();
        const running = lane.run();
        if (running !== undefined) await running;
        took(performance.now() - start, lane.gpuMilliseconds?.());
        // Blocking runs would keep signals from being heard.
        if (running === undefined && left % 64 === 0) await new Promise((resolve) => setImmediate(resolve));
      }
    };
    await Promise.all(this.#lanes.map(drive));
  }

  outputs(): Record<string, Tensor> {
    return this.#lanes[0]!.outputs();
  }

  [Symbol.dispose](): void {
    for (const lane of this.#lanes) lane.dispose();
  }
}

function callLane(engine: Engine, inputs: Readonly<Record<string, Tensor>>): Lane {
  let last: Record<string, Tensor> = {};
  return {
    run: async () => {
      last = await engine.run(inputs);
    },
    outputs: () => last,
    dispose: () => {},
  };
}

function bindLane(engine: Engine, inputs: Readonly<Record<string, Tensor>>, mode: 'bind' | 'runSync'): Lane {
  const timing = engine.backend === 'tensorrt';
  const dims = Object.fromEntries(Object.entries(inputs).map(([name, tensor]) => [name, tensor.dims]));
  const binding = engine.bind(dims, {timing});
  for (const [name, {data}] of Object.entries(inputs)) copyBytes(binding.inputs[name]!.data, data);
  return {
    run: mode === 'bind' ? () => binding.run() : () => binding.runSync(),
    gpuMilliseconds: timing ? () => binding.gpuMilliseconds : undefined,
    // Copies, as the memory goes with the binding.
    outputs: () =>
      Object.fromEntries(
        Object.entries(binding.outputs).map(([name, {type, dims, data}]) => [name, {type, dims, data: data.slice() as typeof data}]),
      ),
    dispose: () => binding.dispose(),
  };
}

function copyBytes(to: Tensor['data'], from: Tensor['data']): void {
  new Uint8Array(to.buffer, to.byteOffset, to.byteLength).set(new Uint8Array(from.buffer, from.byteOffset, from.byteLength));
}

/** By nearest rank. */
export function percentiles(values: readonly number[]): Percentiles {
  const sorted = Float64Array.from(values).sort();
  const rank = (share: number) => sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)]!;
  const mean = sorted.reduce((sum, each) => sum + each, 0) / sorted.length;
  return {p50: rank(0.5), p90: rank(0.9), p95: rank(0.95), p99: rank(0.99), mean, min: sorted[0]!, max: sorted.at(-1)!};
}

/**
 * Inputs to measure with, the same for the same shapes: floats in [0, 1), 8-bit integers of all values, other integers
 * 0 or 1, which are indices everywhere. Shapes by name; else an input's own, or its first profile's optimum.
 * Throws OptionError where none of them tells a shape.
 */
export function randomInputs(
  inputs: readonly EngineTensor[],
  shapes: Readonly<Record<string, readonly number[]>> = {},
): Record<string, Tensor> {
  const random = xorshift(0x9e3779b9);
  return Object.fromEntries(
    inputs.map((input) => {
      const {name, type, dims: own, profiles = []} = input;
      const dims = shapes[name] ?? (own.every((dim) => dim >= 0) ? own : profiles[0]?.opt);
      if (dims === undefined) throw new OptionError(`shapes.${name}`, `given, as the input's is dynamic: [${own.join(', ')}]`, undefined);
      const values = profiles[0]?.values?.opt;
      return [name, values === undefined ? randomTensor(type, dims, random) : shapeTensor(type, dims, values)];
    }),
  );
}

function randomTensor(type: TensorType, dims: readonly number[], random: () => number): Tensor {
  const data = tensorArray(type, dims, new ArrayBuffer(tensorBytes(type, dims)));
  const next = ELEMENTS[type];
  for (let i = 0; i < data.length; i++) (data as {[index: number]: number | bigint})[i] = next(random());
  if (type === 'float16') toHalves(data);
  return {type, dims: [...dims], data};
}

/** `bits` are 32 random ones. */
const ELEMENTS: Readonly<Record<TensorType, (bits: number) => number | bigint>> = {
  float32: (bits) => bits / 2 ** 32,
  // Bits of numbers from 0.5 to 1: sign 0, one exponent, any fraction.
  float16: (bits) => 0x3800 | (bits & 0x3ff),
  bfloat16: (bits) => 0x3f00 | (bits & 0x7f),
  float8e4m3fn: (bits) => 0x30 | (bits & 0x7),
  int8: (bits) => (bits & 0xff) - 128,
  uint8: (bits) => bits & 0xff,
  int32: (bits) => bits & 1,
  int64: (bits) => BigInt(bits & 1),
  bool: (bits) => bits & 1,
  int4: (bits) => bits & 0xff,
};

/** A Float16Array took the bits for numbers. */
function toHalves(data: Tensor['data']): void {
  if (data[Symbol.toStringTag] === 'Uint16Array') return;
  const bits = Uint16Array.from(data as unknown as ArrayLike<number>);
  new Uint16Array(data.buffer, data.byteOffset, data.length).set(bits);
}

function shapeTensor(type: TensorType, dims: readonly number[], values: readonly number[]): Tensor {
  const data = tensorArray(type, dims, new ArrayBuffer(tensorBytes(type, dims)));
  for (let i = 0; i < elementCount(dims); i++)
    (data as {[index: number]: number | bigint})[i] = type === 'int64' ? BigInt(values[i]!) : values[i]!;
  return {type, dims: [...dims], data};
}

/** Marsaglia, "Xorshift RNGs", 2003; 32 bits. */
function xorshift(seed: number): () => number {
  let state = seed;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
}
