import {setImmediate} from 'node:timers/promises';
import {describe, expect, it} from 'vitest';
import {deferred} from '../../test/support/deferred.js';

import type {NativeBinding, NativeEngine, NativeLayerProfile, NativeTensorData, NativeTensorInfo} from '../native/engine_addon.js';
import {Engine} from './engine.js';

const tensors: NativeTensorInfo[] = [
  {name: 'x', mode: 'input', type: 'float32', dims: [-1, 2], location: 'device', isShapeTensor: false, profiles: []},
  {name: 'y', mode: 'output', type: 'float32', dims: [-1, 2], location: 'device', isShapeTensor: false, profiles: []},
  {name: 'n', mode: 'output', type: 'int64', dims: [-1], location: 'device', isShapeTensor: false, profiles: []},
];

/** What the addon's errors are: plain ones with fields. */
function nativeError(code: string, message = 'it failed'): Error {
  return Object.assign(new Error(message), {code, call: 'enqueueV3', hint: 'do this'});
}

interface Call {
  inputs: readonly NativeTensorData[];
  cancelled: boolean;
  resolve(outputs: {dims: number[]; buffer: ArrayBuffer}[]): void;
  reject(error: Error): void;
}

/** The addon's engine, whose runs end when the test says so. */
class FakeEngine implements NativeEngine {
  readonly calls: Call[] = [];
  readonly bound: FakeBinding[] = [];
  disposals = 0;

  info() {
    return {
      name: 'fake',
      tensors,
      profiles: 0,
      layers: 3,
      deviceMemoryBytes: 1024,
      streamableWeightsBytes: 0,
      refittable: false,
      hardwareCompatibility: 'none',
    };
  }

  layerInformation(): string {
    return '{"Layers": ["conv"]}';
  }

  readonly profilings: {options: object; cancelled: boolean}[] = [];

  /** Ends when it is cancelled, or where one run is asked for. */
  profileLayers(_inputs: readonly NativeTensorData[], options: {runs: number; warmUp: number}) {
    const {promise, resolve, reject} = deferred<NativeLayerProfile>();
    const profiling = {options, cancelled: false};
    this.profilings.push(profiling);
    const times = Float32Array.of(1);
    const layers = [{name: 'conv', milliseconds: times}];
    if (options.runs === 1) resolve({layers, runs: times, profiledRuns: times, information: this.layerInformation()});
    const cancel = () => {
      profiling.cancelled = true;
      reject(nativeError('ERR_ABORTED'));
    };
    return {result: promise, cancel};
  }

  run(inputs: readonly NativeTensorData[]) {
    const {promise, ...settle} = deferred<{dims: number[]; buffer: ArrayBuffer}[]>();
    const call: Call = {inputs, cancelled: false, ...settle};
    this.calls.push(call);
    const cancel = () => {
      call.cancelled = true;
      call.reject(nativeError('ERR_ABORTED'));
    };
    return {result: promise, cancel};
  }

  bind(dims: readonly (readonly number[])[]): NativeBinding {
    const binding = new FakeBinding(dims[0]!);
    this.bound.push(binding);
    return binding;
  }

  refit(): Promise<void> {
    return Promise.reject(nativeError('ERR_TENSORRT', 'it cannot be refitted'));
  }

  dispose(): Promise<void> {
    this.disposals++;
    return Promise.resolve();
  }
}

/** Doubles its input; `n` is as long as its first element says. */
class FakeBinding implements NativeBinding {
  readonly inputs: ArrayBuffer[];
  readonly outputs: ArrayBuffer[];
  readonly graph = true;
  disposals = 0;
  outputReads = 0;
  failure: Error | undefined;
  #count = -1;

  constructor(readonly dims: readonly number[]) {
    const bytes = dims[0]! * 8;
    this.inputs = [new ArrayBuffer(bytes)];
    this.outputs = [new ArrayBuffer(bytes), new ArrayBuffer(64)];
  }

  outputDims(): number[][] {
    this.outputReads++;
    return [[...this.dims], [this.#count]];
  }

  async run(): Promise<void> {
    this.runSync();
  }

  runSync(): void {
    if (this.failure !== undefined) throw this.failure;
    const input = new Float32Array(this.inputs[0]!);
    new Float32Array(this.outputs[0]!).set(input.map((each) => 2 * each));
    this.#count = input[0]!;
  }

  gpuMilliseconds(): number {
    return 0.5;
  }

  dispose(): void {
    this.disposals++;
  }
}

function load({contexts = 1, maxQueue = 1024} = {}) {
  const native = new FakeEngine();
  const allocate = (bytes: number) => new ArrayBuffer(bytes);
  const engine = new Engine<{x: 'float32'}, {y: 'float32'; n: 'int64'}>({
    native,
    backend: 'tensorrt',
    description: 'a fake',
    manifest: undefined,
    model: undefined,
    tensors,
    contexts,
    maxQueue,
    allocate,
  });
  return {native, engine};
}

const x = {type: 'float32' as const, dims: [1, 2], data: Float32Array.of(1, 2)};
const answer = () => [
  {dims: [1, 2], buffer: Float32Array.of(3, 4).buffer},
  {dims: [1], buffer: BigInt64Array.of(7n).buffer},
];

describe('run', () => {
  it('gives outputs by name, over the very memory of the result', async () => {
    const {native, engine} = load();
    const running = engine.run({x});
    const results = answer();
    native.calls[0]!.resolve(results);
    const {y, n} = await running;
    expect(y).toEqual({type: 'float32', dims: [1, 2], data: Float32Array.of(3, 4)});
    expect(n).toEqual({type: 'int64', dims: [1], data: BigInt64Array.of(7n)});
    expect(y.data.buffer).toBe(results[0]!.buffer);
    expect(native.calls[0]!.inputs[0]!.buffer).toBe(x.data.buffer);
  });

  it('rejects for inputs that are not right, without a run', async () => {
    const {native, engine} = load();
    await expect(engine.run({} as never)).rejects.toMatchObject({name: 'OptionError', option: 'inputs.x'});
    await expect(engine.run({x}, {signal: 'now' as never})).rejects.toMatchObject({name: 'OptionError', option: 'signal'});
    expect(native.calls).toHaveLength(0);
  });

  it.each([
    ['ERR_TENSORRT', 'TensorrtError'],
    ['ERR_CUDA', 'CudaError'],
    ['ERR_OUT_OF_MEMORY', 'CudaError'],
    ['ERR_DISPOSED', 'TensorrtNodeError'],
    ['ERR_UNSUPPORTED', 'UnsupportedError'],
  ])('rejects with a class for %s, and answers afterwards', async (code, name) => {
    const {native, engine} = load();
    const failing = engine.run({x});
    native.calls[0]!.reject(nativeError(code));
    await expect(failing).rejects.toMatchObject({name, code, hint: 'do this'});
    const running = engine.run({x});
    native.calls[1]!.resolve(answer());
    await expect(running).resolves.toHaveProperty('y');
  });

  it('refuses what neither runs nor may wait, until there is room', async () => {
    const {native, engine} = load({contexts: 2, maxQueue: 1});
    const running = [engine.run({x}), engine.run({x}), engine.run({x})];
    await expect(engine.run({x})).rejects.toMatchObject({code: 'ERR_BUSY', message: expect.stringContaining('1 runs wait already')});
    native.calls[0]!.resolve(answer());
    await running[0];
    running.push(engine.run({x}));
    for (const call of native.calls) call.resolve(answer());
    await expect(Promise.all(running)).resolves.toHaveLength(4);
  });
});

describe('a signal', () => {
  it('that has fired runs nothing', async () => {
    const {native, engine} = load();
    await expect(engine.run({x}, {signal: AbortSignal.abort('no')})).rejects.toMatchObject({name: 'AbortError', cause: 'no'});
    expect(native.calls).toHaveLength(0);
  });

  it('ends a run at once with its reason, and no other', async () => {
    const {native, engine} = load();
    const controller = new AbortController();
    const aborted = engine.run({x}, {signal: controller.signal});
    const other = engine.run({x});
    controller.abort('enough');
    await expect(aborted).rejects.toMatchObject({name: 'AbortError', code: 'ERR_ABORTED', cause: 'enough'});
    expect(native.calls.map(({cancelled}) => cancelled)).toEqual([true, false]);
    native.calls[1]!.resolve(answer());
    await expect(other).resolves.toHaveProperty('y');
  });

  it('is let go of when the run has ended', async () => {
    const {native, engine} = load();
    const controller = new AbortController();
    const running = engine.run({x}, {signal: controller.signal});
    native.calls[0]!.resolve(answer());
    await running;
    controller.abort();
    expect(native.calls[0]!.cancelled).toBe(false);
  });
});

describe('bind', () => {
  it('fills outputs in place, run after run', async () => {
    const {engine} = load();
    const binding = engine.bind({x: [2, 2]});
    const {x: input} = binding.inputs;
    const {y, n} = binding.outputs;
    const before = y.data;
    input.data.set([3, 1, 2, 4]);
    await binding.run();
    expect(y).toMatchObject({type: 'float32', dims: [2, 2]});
    expect(y.data).toEqual(Float32Array.of(6, 2, 4, 8));
    expect(y.data).toBe(before);
    expect(n.dims).toEqual([3]);
    input.data[0] = 5;
    binding.runSync();
    expect(y.data).toEqual(Float32Array.of(10, 2, 4, 8));
    expect(n.data).toHaveLength(5);
  });

  it('knows nothing of an output before the run that decides its shape', () => {
    const {engine} = load();
    const {n} = engine.bind({x: [2, 2]}).outputs;
    expect(n.dims).toEqual([-1]);
    expect(n.data).toEqual(new BigInt64Array());
  });

  it('asks for shapes once a run, and never again where they cannot change', () => {
    const {native, engine} = load();
    const binding = engine.bind({x: [2, 2]});
    binding.runSync();
    const bound = native.bound[0]!;
    const before = bound.outputReads;
    for (let index = 0; index < 4; index++) void binding.outputs.y.data[index];
    expect(bound.outputReads).toBe(before);
    for (let index = 0; index < 4; index++) void binding.outputs.n.data[index];
    expect(bound.outputReads).toBe(before + 1);
  });

  it('types the errors of runs', async () => {
    const {native, engine} = load();
    const binding = engine.bind({x: [2, 2]});
    native.bound[0]!.failure = nativeError('ERR_BUSY', 'one at a time');
    await expect(binding.run()).rejects.toMatchObject({name: 'TensorrtNodeError', code: 'ERR_BUSY'});
    expect(() => binding.runSync()).toThrow(expect.objectContaining({name: 'TensorrtNodeError', code: 'ERR_BUSY'}));
  });

  it.each<[string, unknown, unknown, RegExp]>([
    ['a shape', {x: [1, 3]}, {}, /inputs\.x must be of shape/],
    ['no shape of a dynamic input', {}, {}, /inputs\.x must be of shape/],
    ['graph', {x: [1, 2]}, {graph: 'yes'}, /graph must be true or false/],
    ['timing', {x: [1, 2]}, {timing: 1}, /timing must be true or false/],
    ['options', {x: [1, 2]}, null, /options must be an object/],
  ])('throws for %s', (_name, dims, options, message) => {
    const {engine} = load();
    expect(() => engine.bind(dims as never, options as never)).toThrow(message);
  });
});

describe('the rest', () => {
  it('tells of layers and memory', () => {
    const {engine} = load();
    expect(engine.layers()).toEqual([{name: 'conv'}]);
    expect(engine.statistics()).toMatchObject({deviceMemoryBytes: 1024, layers: 3, refittable: false});
    expect(engine.inputs).toEqual([{name: 'x', type: 'float32', dims: [-1, 2], profiles: []}]);
  });

  it('allocates tensors for inputs', () => {
    const {engine} = load();
    expect(engine.allocate('x', [3, 2])).toEqual({type: 'float32', dims: [3, 2], data: new Float32Array(6)});
    expect(engine.allocate('x', [0, 2]).data).toHaveLength(0);
    expect(() => engine.allocate('z' as 'x', [1])).toThrow("name must be 'x', got 'z'");
    expect(() => engine.allocate('x')).toThrow(/inputs\.x must be of shape/);
  });

  it('types the errors of a refit', async () => {
    const {engine} = load();
    await expect(engine.refit('model.onnx')).rejects.toMatchObject({name: 'TensorrtError', message: 'it cannot be refitted (do this)'});
    await expect(engine.refit('')).rejects.toMatchObject({option: 'model'});
  });
});

describe('dispose', () => {
  it('happens once, takes bindings along, and refuses everything afterwards', async () => {
    const {native, engine} = load();
    engine.bind({x: [1, 2]});
    using kept = engine.bind({x: [1, 2]});
    kept.dispose();
    await Promise.all([engine.dispose(), engine.dispose(), engine[Symbol.asyncDispose]()]);
    expect(native.disposals).toBe(1);
    expect(native.bound[0]!.disposals).toBe(1);
    const disposed = {code: 'ERR_DISPOSED', message: 'the engine was disposed'};
    await expect(engine.run({x})).rejects.toMatchObject(disposed);
    await expect(engine.refit('m.onnx')).rejects.toMatchObject(disposed);
    for (const action of [
      () => engine.bind({x: [1, 2]}),
      () => engine.layers(),
      () => engine.allocate('x', [1, 2]),
      () => engine.statistics(),
    ]) {
      expect(action).toThrow(expect.objectContaining(disposed));
    }
    await setImmediate();
  });
});

describe('profileLayers', () => {
  const x = {type: 'float32', dims: [1, 2], data: Float32Array.of(1, 2)} as const;

  it('tells what the addon timed', async () => {
    const {native, engine} = load();
    expect(await engine.profileLayers({x}, {runs: 1})).toMatchObject({
      layers: [{name: 'conv', nodes: ['conv'], medianMicroseconds: 1000, share: 1}],
      runs: 1,
    });
    expect(native.profilings[0]!.options).toEqual({runs: 1, warmUp: 10});
  });

  it.each<[string, object, string]>([
    ['no runs', {runs: 0}, 'runs must be an integer from 1 to 100000, got 0'],
    ['half a run', {warmUp: 0.5}, 'warmUp must be'],
    ['no model', {model: ''}, 'model must be the path of an ONNX file'],
    ['a misspelt option', {warmup: 5}, 'options.warmup must be one of runs, warmUp, model, signal'],
  ])('refuses %s', async (_, options, message) => {
    const {native, engine} = load();
    await expect(engine.profileLayers({x}, options)).rejects.toMatchObject({
      name: 'OptionError',
      message: expect.stringContaining(message),
    });
    expect(native.profilings).toEqual([]);
  });

  it('ends with an abort, and with the engine', async () => {
    const {native, engine} = load();
    const controller = new AbortController();
    const aborted = engine.profileLayers({x}, {signal: controller.signal});
    controller.abort('why');
    await expect(aborted).rejects.toMatchObject({code: 'ERR_ABORTED', cause: 'why'});
    const disposed = engine.profileLayers({x});
    const settled = expect(disposed).rejects.toMatchObject({code: 'ERR_DISPOSED'});
    await engine.dispose();
    await settled;
    expect(native.profilings.every(({cancelled}) => cancelled)).toBe(true);
  });
});
