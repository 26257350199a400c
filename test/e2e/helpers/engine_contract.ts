/** What engines promise, whatever runs them: the same tests for each backend. */

import {setImmediate, setTimeout} from 'node:timers/promises';

import * as ort from 'onnxruntime-node';
import {Engine, type EngineLoadOptions, type Tensor, type TensorType} from 'tensorrt-node';
import {beforeAll, describe, expect, it} from 'vitest';

import {uniform} from '../../../lib/backend/cpu/random.js';
import {DataType} from '../../../lib/onnx/data_type.js';
import type {Model} from '../../../lib/onnx/model.js';
import {affine, affineOf, identity, nonZero, slow, sum} from '../../support/engine_models.js';

/** A shape's ranges by input, for backends that need them. */
export type Profiles = Record<string, {min: number[]; opt: number[]; max: number[]}>[];

export interface Harness {
  backend: 'cpu' | 'tensorrt';
  /** Makes something for Engine.load of a model. */
  prepare(name: string, model: Model, profiles: Profiles): Promise<string>;
  /** Types of inputs and outputs that this backend has. */
  types: readonly TensorType[];
  /** A run of `slow(…)` takes long enough to be aborted. */
  slow: {size: number; products: number; rows: number};
}

const TYPES: Readonly<Partial<Record<TensorType, {onnx: DataType; tensor: () => Tensor}>>> = {
  float32: {onnx: DataType.FLOAT, tensor: () => tensor('float32', Float32Array.of(1.5, -0, Infinity, Number.NaN, 1e-45, 3.4e38))},
  float16: {onnx: DataType.FLOAT16, tensor: () => tensor('float16', Uint16Array.of(0x3c00, 0x8000, 0x7c00, 0x0001, 0xfbff, 0x3555))},
  int8: {onnx: DataType.INT8, tensor: () => tensor('int8', Int8Array.of(-128, -1, 0, 1, 100, 127))},
  uint8: {onnx: DataType.UINT8, tensor: () => tensor('uint8', Uint8Array.of(0, 1, 127, 128, 200, 255))},
  int32: {onnx: DataType.INT32, tensor: () => tensor('int32', Int32Array.of(-(2 ** 31), -1, 0, 1, 7, 2 ** 31 - 1))},
  int64: {onnx: DataType.INT64, tensor: () => tensor('int64', BigInt64Array.of(-(2n ** 63n), -1n, 0n, 1n, 7n, 2n ** 63n - 1n))},
  bool: {onnx: DataType.BOOL, tensor: () => tensor('bool', Uint8Array.of(0, 1, 1, 0, 0, 1))},
  bfloat16: {onnx: DataType.BFLOAT16, tensor: () => tensor('bfloat16', Uint16Array.of(0x3f80, 0x8000, 0x7f80, 0x0001, 0xc0a0, 0x3eab))},
};

function tensor(type: TensorType, data: Tensor['data']): Tensor {
  return {type, dims: [2, 3], data};
}

function rows(count: number, seed = 1): Tensor & {data: Float32Array} {
  return {type: 'float32', dims: [count, 4], data: Float32Array.from({length: 4 * count}, (_, index) => uniform(seed, index) - 0.5)};
}

function bits({data}: Tensor): number[] {
  return [...new Uint8Array(data.buffer, data.byteOffset, data.byteLength)];
}

function close(actual: Tensor['data'], expected: Float32Array): void {
  expect(actual).toHaveLength(expected.length);
  for (const [index, value] of expected.entries()) expect(actual[index]).toBeCloseTo(value, 4);
}

export function describeEngines({backend, prepare, types, slow: slowness}: Harness): void {
  const range = (inner: number): Profiles => [{x: {min: [1, inner], opt: [2, inner], max: [64, inner]}}];
  const paths = new Map<string, string>();
  const load = (name: string, options: EngineLoadOptions = {}) => Engine.load(paths.get(name)!, {threads: 1, ...options});

  beforeAll(async () => {
    paths.set('affine', await prepare('affine', affine(), range(4)));
    paths.set('sum', await prepare('sum', sum(), []));
    paths.set('non_zero', await prepare('non_zero', nonZero(), []));
    paths.set('slow', await prepare('slow', slow(slowness.size, slowness.products), range(slowness.size)));
    for (const type of types) paths.set(type, await prepare(type, identity(TYPES[type]!.onnx), range(3)));
  });

  it('tell what they are', async () => {
    await using engine = await load('affine');
    expect(engine).toMatchObject({
      backend,
      inputs: [{name: 'x', type: 'float32', dims: [-1, 4]}],
      outputs: [{name: 'y', type: 'float32', dims: [-1, 3]}],
    });
    expect(engine.description).toMatch(backend === 'cpu' ? /^ONNX Runtime [\d.]+ on the CPU, 1 thread/ : /^TensorRT [\d.]+ on \S/);
  });

  describe.each(types)('%s', (type) => {
    it('comes out as it went in, bit by bit', async () => {
      await using engine = await load(type);
      const given = TYPES[type]!.tensor();
      const {y} = await engine.run({x: given});
      expect(y).toMatchObject({type, dims: [2, 3]});
      expect(bits(y!)).toEqual(bits(given));
      const array = type === 'float16' && 'Float16Array' in globalThis ? 'Float16Array' : given.data[Symbol.toStringTag];
      expect(y!.data[Symbol.toStringTag]).toBe(array);
    });

    it('does so bound, and again with another value', async () => {
      await using engine = await load(type);
      const given = TYPES[type]!.tensor();
      using binding = engine.bind({x: [2, 3]});
      const [input, output] = [binding.inputs.x!, binding.outputs.y!];
      const bytes = new Uint8Array(input.data.buffer, input.data.byteOffset, input.data.byteLength);
      bytes.set(bits(given));
      await binding.run();
      expect(bits(output)).toEqual(bits(given));
      bytes.reverse();
      if (type === 'bool') bytes.fill(1);
      binding.runSync();
      expect(bits(output)).toEqual([...bytes]);
    });
  });

  it('take any shape that is allowed, one after another', async () => {
    await using engine = await load('affine');
    for (const count of [1, 5, 2, 64, 1]) {
      const x = rows(count, count);
      const {y} = await engine.run({x});
      expect(y!.dims).toEqual([count, 3]);
      close(y!.data, affineOf(x.data));
    }
  });

  it('take tensors of onnxruntime, arrays alone, views at an offset, and memory of their own', async () => {
    await using engine = await load('sum');
    const b = {type: 'float32', dims: [2, 2], data: new Float32Array([0, 0, 10, 20, 30, 40, 0]).subarray(2, 6)} as const;
    const a = engine.allocate('a');
    (a.data as Float32Array).set([1, 2, 3, 4]);
    const expected = [11, 22, 33, 44];
    for (const each of [a, Float32Array.of(1, 2, 3, 4), new ort.Tensor('float32', [1, 2, 3, 4], [2, 2])]) {
      const {sum: result} = await engine.run({a: each, b});
      expect([...(result!.data as Float32Array)]).toEqual(expected);
    }
    // Inputs are still there.
    expect([...b.data]).toEqual([10, 20, 30, 40]);
  });

  it('copy inputs before run() returns', async () => {
    await using engine = await load('affine');
    const x = rows(8);
    const expected = affineOf(x.data);
    const running = engine.run({x});
    x.data.fill(0);
    close((await running).y!.data, expected);
  });

  it('give outputs their true shape where it depends on the data', async () => {
    await using engine = await load('non_zero');
    using binding = engine.bind();
    for (const [data, at] of [
      [
        [0, 5, 0, 1, 0, 2],
        [0n, 1n, 1n, 1n, 0n, 2n],
      ],
      [[0, 0, 0, 0, 0, 0], []],
      [
        [1, 1, 1, 1, 1, 1],
        [0n, 0n, 0n, 1n, 1n, 1n, 0n, 1n, 2n, 0n, 1n, 2n],
      ],
      [
        [0, 0, 0, 0, 0, 9],
        [1n, 2n],
      ],
    ] as [number[], bigint[]][]) {
      const x = Float32Array.from(data);
      const outputs = await engine.run({x});
      expect(outputs.at).toEqual({type: 'int64', dims: [2, at.length / 2], data: BigInt64Array.from(at)});
      (binding.inputs.x!.data as Float32Array).set(x);
      await binding.run();
      for (const found of [outputs, binding.outputs]) {
        expect([...found.at!.dims]).toEqual([2, at.length / 2]);
        expect(found.at!.data).toEqual(BigInt64Array.from(at));
        expect(found.twice!.data).toEqual(x.map((each) => 2 * each));
      }
    }
  });

  describe('inputs that are wrong', () => {
    const x = rows(2);
    it.each<[string, unknown, RegExp]>([
      ['a missing one', {}, /inputs\.x must be a tensor, float32/],
      ['an unknown one', {x, y: x}, /inputs\.y must be left out/],
      ['another type', {x: {type: 'int32', dims: [2, 4], data: new Int32Array(8)}}, /inputs\.x\.type must be 'float32'/],
      ['another rank', {x: {...x, dims: [8]}}, /inputs\.x must be of shape/],
      ['another dimension', {x: {...x, dims: [2, 5], data: new Float32Array(10)}}, /dims\[1\] 4 and not 5/],
      ['elements that are missing', {x: {...x, data: new Float32Array(7)}}, /inputs\.x\.data must be 8 elements/],
      ['shared memory', {x: {...x, data: new Float32Array(new SharedArrayBuffer(32))}}, /no other thread shares/],
    ])('%s: an error that names it, and the engine still answers', async (_name, inputs, message) => {
      await using engine = await load('affine');
      await expect(engine.run(inputs as never)).rejects.toMatchObject({name: 'OptionError', message: expect.stringMatching(message)});
      close((await engine.run({x})).y!.data, affineOf(x.data));
    });
  });

  it('answer two hundred runs at once, each with its own', async () => {
    await using engine = await load('affine', {contexts: 2});
    const runs = Array.from({length: 200}, (_, index) => rows(1 + (index % 7), index));
    const results = await Promise.all(runs.map((x) => engine.run({x})));
    for (const [index, {y}] of results.entries()) close(y!.data, affineOf(runs[index]!.data));
  });

  it('refuse more than may wait, and go on', async () => {
    await using engine = await load('affine', {contexts: 1, maxQueue: 3});
    const x = rows(2);
    const settled = await Promise.allSettled(Array.from({length: 6}, () => engine.run({x})));
    expect(settled.map(({status}) => status)).toEqual([...Array(4).fill('fulfilled'), 'rejected', 'rejected']);
    expect(settled[5]).toMatchObject({reason: {code: 'ERR_BUSY', message: expect.stringContaining('3 runs wait already')}});
    close((await engine.run({x})).y!.data, affineOf(x.data));
  });

  describe('an abort', () => {
    it('before the run begins runs nothing', async () => {
      await using engine = await load('affine');
      await expect(engine.run({x: rows(1)}, {signal: AbortSignal.abort('why')})).rejects.toMatchObject({code: 'ERR_ABORTED', cause: 'why'});
    });

    it('at any moment ends the run or comes too late, and the engine still answers', async () => {
      await using engine = await load('affine', {contexts: 2});
      for (let round = 0; round < 60; round++) {
        const controller = new AbortController();
        const x = rows(3, round);
        const running = Promise.allSettled([engine.run({x}, {signal: controller.signal}), engine.run({x})]);
        for (let wait = round % 6; wait > 0; wait--) await (wait % 2 === 0 ? setImmediate() : Promise.resolve());
        controller.abort();
        const [aborted, other] = await running;
        if (aborted.status === 'rejected') expect(aborted.reason).toMatchObject({name: 'AbortError', code: 'ERR_ABORTED'});
        else close(aborted.value.y!.data, affineOf(x.data));
        if (other.status === 'rejected') throw other.reason;
        close(other.value.y!.data, affineOf(x.data));
      }
    });

    it('in the middle of a run rejects while it is under way, and of what waits nothing runs', async () => {
      await using engine = await load('slow');
      const x = {
        type: 'float32',
        dims: [slowness.rows, slowness.size],
        data: new Float32Array(slowness.rows * slowness.size).fill(1),
      } as const;
      const controller = new AbortController();
      const order: string[] = [];
      const note = (name: string) => () => void order.push(name);
      const first = engine.run({x}).finally(note('first'));
      const waiting = Array.from({length: 20}, () => engine.run({x}, {signal: controller.signal}));
      const aborted = Promise.allSettled(waiting).finally(note('aborted'));
      await setImmediate();
      controller.abort();
      for (const {status} of await aborted) expect(status).toBe('rejected');
      const {y} = await first;
      expect(y!.data).toEqual(x.data);
      expect(order).toEqual(['aborted', 'first']);
    });
  });

  it('leave the event loop alone during a run', async () => {
    await using engine = await load('slow');
    const x = {
      type: 'float32',
      dims: [slowness.rows, slowness.size],
      data: new Float32Array(slowness.rows * slowness.size).fill(2),
    } as const;
    let running = true;
    const run = engine.run({x}).finally(() => {
      running = false;
    });
    let turns = 0;
    for (; running; turns++) await setTimeout(1);
    await run;
    // A run that blocked would leave the loop to its end at the first turn.
    expect(turns).toBeGreaterThan(2);
  });

  describe('bindings', () => {
    it('run one at a time each, and beside each other', async () => {
      await using engine = await load('affine');
      const [first, second] = [engine.bind({x: [3, 4]}), engine.bind({x: [5, 4]}, {graph: false})];
      const [a, b] = [rows(3, 1), rows(5, 2)];
      (first.inputs.x!.data as Float32Array).set(a.data);
      (second.inputs.x!.data as Float32Array).set(b.data);
      const runs = [first.run(), second.run()];
      await expect(first.run()).rejects.toMatchObject({code: 'ERR_BUSY'});
      expect(() => first.runSync()).toThrow(expect.objectContaining({code: 'ERR_BUSY'}));
      await Promise.all(runs);
      close(first.outputs.y!.data, affineOf(a.data));
      close(second.outputs.y!.data, affineOf(b.data));
      first.runSync();
      close(first.outputs.y!.data, affineOf(a.data));
      expect(second.graph).toBe(false);
    });

    it('keep their memory from run to run', async () => {
      await using engine = await load('affine');
      using binding = engine.bind({x: [2, 4]});
      const {data} = binding.outputs.y!;
      for (let round = 0; round < 3; round++) {
        const x = rows(2, round);
        (binding.inputs.x!.data as Float32Array).set(x.data);
        await binding.run();
        expect(binding.outputs.y!.data).toBe(data);
        close(data, affineOf(x.data));
      }
    });

    it('refuse shapes that the engine does not take', async () => {
      await using engine = await load('affine');
      expect(() => engine.bind({x: [1, 5]})).toThrow(expect.objectContaining({name: 'OptionError', option: 'inputs.x'}));
      expect(() => engine.bind({})).toThrow(expect.objectContaining({option: 'inputs.x'}));
      expect(() => engine.bind({z: [1]})).toThrow(expect.objectContaining({option: 'inputs.z'}));
    });

    it('are gone once disposed of, twice too, also during a run', async () => {
      await using engine = await load('affine');
      const binding = engine.bind({x: [2, 4]});
      const {data} = binding.inputs.x!;
      const running = Promise.allSettled([binding.run()]);
      binding.dispose();
      binding.dispose();
      await running;
      expect(data).toHaveLength(0);
      await expect(binding.run()).rejects.toMatchObject({code: 'ERR_DISPOSED'});
      expect(() => binding.runSync()).toThrow(expect.objectContaining({code: 'ERR_DISPOSED'}));
      await expect(engine.run({x: rows(1)})).resolves.toHaveProperty('y');
    });
  });

  describe('dispose', () => {
    it('lets runs under way end, refuses those that wait, and happens once', async () => {
      const engine = await load('slow', {contexts: 1});
      const x = {
        type: 'float32',
        dims: [slowness.rows, slowness.size],
        data: new Float32Array(slowness.rows * slowness.size).fill(3),
      } as const;
      const runs = Array.from({length: 5}, () => engine.run({x}));
      const settled = Promise.allSettled(runs);
      await runs[0];
      await Promise.all([engine.dispose(), engine.dispose()]);
      // Whether the second had begun by then is the backend's affair; it has its own result, or none.
      const outcomes = await settled;
      for (const outcome of outcomes) {
        if (outcome.status === 'fulfilled') expect(outcome.value.y!.data).toEqual(x.data);
        else expect(outcome.reason).toMatchObject({code: 'ERR_DISPOSED'});
      }
      const refused = outcomes.findIndex(({status}) => status === 'rejected');
      expect([1, 2]).toContain(refused);
      for (const {status} of outcomes.slice(refused)) expect(status).toBe('rejected');
      await expect(engine.run({x})).rejects.toMatchObject({code: 'ERR_DISPOSED'});
      await engine.dispose();
    });

    it('takes bindings along', async () => {
      const engine = await load('affine');
      const binding = engine.bind({x: [1, 4]});
      await engine.dispose();
      await expect(binding.run()).rejects.toMatchObject({code: 'ERR_DISPOSED'});
      expect(binding.inputs.x!.data).toHaveLength(0);
    });
  });

  it('load again and again', async () => {
    for (let round = 0; round < 10; round++) {
      await using engine = await load('affine');
      const x = rows(1, round);
      close((await engine.run({x})).y!.data, affineOf(x.data));
    }
  });
}
