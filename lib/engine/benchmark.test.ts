import {describe, expect, it} from 'vitest';

import {benchmark, percentiles, randomInputs} from './benchmark.js';
import type {Engine, EngineTensor} from './engine.js';
import {toNumbers} from './statistics.js';
import {TENSOR_TYPES, type Tensor} from './tensor.js';

describe('percentiles', () => {
  it('are those of the nearest rank', () => {
    const values = Array.from({length: 100}, (_, index) => 100 - index);
    expect(percentiles(values)).toEqual({p50: 50, p90: 90, p95: 95, p99: 99, mean: 50.5, min: 1, max: 100});
    expect(percentiles([3])).toEqual({p50: 3, p90: 3, p95: 3, p99: 3, mean: 3, min: 3, max: 3});
  });
});

describe('randomInputs', () => {
  it.each(TENSOR_TYPES)('are the same for the same shapes: %s', (type) => {
    const inputs: EngineTensor[] = [{name: 'x', type, dims: [2, 9]}];
    const {x} = randomInputs(inputs);
    expect(x).toMatchObject({type, dims: [2, 9]});
    expect(randomInputs(inputs).x).toEqual(x);
    const values = Array.from(toNumbers(x!));
    expect(values).toHaveLength(18);
    expect(values.every(Number.isFinite)).toBe(true);
    expect(new Set(values).size).toBeGreaterThan(1);
  });

  it.each<[string, Partial<EngineTensor>, Record<string, number[]>, number[]]>([
    ['asked for', {dims: [-1, 2]}, {x: [7, 2]}, [7, 2]],
    ['its own', {dims: [3, 2]}, {}, [3, 2]],
    ['its first profile’s optimum', {dims: [-1, 2], profiles: [{min: [1, 2], opt: [4, 2], max: [8, 2]}]}, {}, [4, 2]],
  ])('have the shape that is %s', (_name, more, shapes, dims) => {
    expect(randomInputs([{name: 'x', type: 'float32', dims: [], ...more}], shapes).x!.dims).toEqual(dims);
  });

  it('refuses to guess a shape', () => {
    expect(() => randomInputs([{name: 'x', type: 'float32', dims: [-1]}])).toThrow(expect.objectContaining({option: 'shapes.x'}));
  });

  it('are the optimum of a shape tensor’s values', () => {
    const values = {min: [1, 1], opt: [5, 6], max: [8, 8]};
    const profiles = [{min: [2], opt: [2], max: [2], values}];
    expect(randomInputs([{name: 'size', type: 'int64', dims: [2], profiles}]).size!.data).toEqual(BigInt64Array.of(5n, 6n));
  });
});

describe('benchmark', () => {
  /** Counts its calls, and how many were under way at once. */
  class Counting {
    readonly backend = 'tensorrt';
    calls = 0;
    most = 0;
    disposed = 0;
    #active = 0;

    bind() {
      const data = new Float32Array(1);
      return {
        inputs: {x: {data}},
        outputs: {y: {type: 'float32', dims: [1], data}},
        gpuMilliseconds: 0,
        run: () => this.run(),
        runSync: () => {
          this.calls++;
        },
        dispose: () => {
          this.disposed++;
        },
      };
    }

    async run(): Promise<Record<string, Tensor>> {
      this.calls++;
      this.most = Math.max(this.most, ++this.#active);
      await new Promise((resolve) => setImmediate(resolve));
      this.#active--;
      return {};
    }
  }

  const inputs = {x: {type: 'float32', dims: [1], data: Float32Array.of(3)}} as const;

  it.each([
    ['run', 3, 0],
    ['bind', 3, 3],
    ['runSync', 1, 1],
  ] as const)('of %s makes so many runs, and disposes of its bindings', async (mode, concurrency, bindings) => {
    const engine = new Counting();
    const result = await benchmark(engine as unknown as Engine, inputs, {mode, iterations: 20, warmUp: 5, concurrency});
    expect(engine).toMatchObject({calls: 25, most: mode === 'runSync' ? 0 : concurrency, disposed: bindings});
    expect(result).toMatchObject({mode, iterations: 20, concurrency, throughput: expect.any(Number)});
    expect(result.hostOverhead === undefined).toBe(mode !== 'runSync');
    if (mode !== 'run') expect(result.outputs.y!.data).toEqual(Float32Array.of(3));
  });

  it.each([
    ['mode', {mode: 'fast'}],
    ['iterations', {iterations: 0}],
    ['warmUp', {warmUp: -1}],
    ['concurrency', {concurrency: 0}],
    ['concurrency', {mode: 'runSync', concurrency: 2}],
  ])('refuses a wrong %s', async (option, options) => {
    await expect(benchmark(new Counting() as unknown as Engine, inputs, options as never)).rejects.toMatchObject({option});
  });

  it('ends when it is aborted, and disposes of what it made', async () => {
    const engine = new Counting();
    const signal = AbortSignal.abort();
    await expect(benchmark(engine as unknown as Engine, inputs, {signal})).rejects.toMatchObject({name: 'AbortError'});
    expect(engine).toMatchObject({calls: 0, disposed: 1});
  });
});
