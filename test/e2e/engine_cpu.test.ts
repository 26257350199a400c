import {writeFile} from 'node:fs/promises';

import {Engine, UnsupportedError} from 'tensorrt-node';
import {describe, expect, it} from 'vitest';

import {DataType} from '../../lib/onnx/data_type.js';
import {GraphBuilder} from '../../lib/onnx/graph_builder.js';
import {writeModel} from '../../lib/onnx/write.js';
import {AFFINE_WEIGHTS, affine, affineOf, expand, identity, sum} from '../support/engine_models.js';
import {temporaryFolder} from '../support/temporary_folder.js';
import {program} from './helpers/child.js';
import {describeEngines} from './helpers/engine_contract.js';

const folder = temporaryFolder();

async function written(name: string, model: ReturnType<typeof affine>): Promise<string> {
  const file = folder(`${name}.onnx`);
  await writeModel(model, file);
  return file;
}

describe('engines on the CPU', () => {
  describeEngines({
    backend: 'cpu',
    prepare: written,
    types: ['float32', 'float16', 'int8', 'uint8', 'int32', 'int64', 'bool'],
    slow: {size: 512, products: 40, rows: 64},
  });
});

describe('refit', () => {
  it('takes the weights of the same graph, in every context', async () => {
    const doubled = await written('doubled', affine(AFFINE_WEIGHTS.map((each) => 2 * each)));
    await using engine = await Engine.load(await written('affine', affine()), {contexts: 2, threads: 1});
    const x = {type: 'float32', dims: [1, 4], data: Float32Array.of(1, 0, 0, 0)} as const;
    const before = (await engine.run({x})).y!.data as Float32Array;
    await engine.refit(doubled);
    for (const {y} of await Promise.all(Array.from({length: 6}, () => engine.run({x})))) {
      expect([...(y!.data as Float32Array)]).toEqual([before[0]! + 1, before[1]! - 2, before[2]! + 3]);
    }
  });

  it.each([
    ['another model', () => written('sum', sum()), /is another model: it has no 'x' of float32/],
    ['a file that is not there', async () => folder('missing.onnx'), /no such file/],
  ])('refuses %s, and the engine goes on with what it has', async (_name, file, message) => {
    await using engine = await Engine.load(await written('affine', affine()), {threads: 1});
    await expect(engine.refit(await file())).rejects.toMatchObject({name: 'FormatError', message: expect.stringMatching(message)});
    const data = Float32Array.of(1, 2, 3, 4);
    expect((await engine.run({x: {type: 'float32', dims: [1, 4], data}})).y!.data).toEqual(affineOf(data));
  });
});

describe('inputs', () => {
  it('whose dimensions the model writes as negative are dynamic', async () => {
    await using engine = await Engine.load(await written('negative', identity(DataType.FLOAT, -7)), {threads: 1});
    expect(engine.inputs).toMatchObject([{name: 'x', dims: [-1, 3]}]);
    const x = {type: 'float32', dims: [2, 3], data: Float32Array.of(1, 2, 3, 4, 5, 6)} as const;
    expect((await engine.run({x})).y).toMatchObject({dims: [2, 3], data: x.data});
  });
});

describe('a binding', () => {
  it('of a model that can make nothing of zeros knows its outputs from the first run on', async () => {
    await using engine = await Engine.load<{x: 'float32'; shape: 'int64'}, {y: 'float32'}>(await written('expand', expand()), {threads: 1});
    using binding = engine.bind();
    expect(binding.outputs.y.dims).toEqual([-1, -1]);
    expect(binding.outputs.y.data).toHaveLength(0);
    expect(() => binding.runSync()).toThrow(expect.objectContaining({code: 'ERR_BACKEND', message: expect.stringContaining('Expand')}));
    binding.inputs.x.data.set([1, 2, 3]);
    binding.inputs.shape.data.set([2n, 3n]);
    binding.runSync();
    expect(binding.outputs.y.dims).toEqual([2, 3]);
    expect(binding.outputs.y.data).toEqual(Float32Array.of(1, 2, 3, 1, 2, 3));
  });
});

describe('load refuses', () => {
  it.each<[string, () => Promise<string>, object, object]>([
    ['a file that is not there', async () => folder('nothing.onnx'), {}, {name: 'FormatError', code: 'ERR_NOT_FOUND'}],
    ['a file that is no model', () => text('text.onnx', 'not a model'), {}, {name: 'FormatError', code: 'ERR_ONNX'}],
    ['a folder without a manifest', async () => folder(), {}, {name: 'FormatError', code: 'ERR_NOT_FOUND'}],
    ['a plan without its folder', () => text('model.plan', 'plan'), {}, {name: 'OptionError', option: 'source'}],
    [
      'an ONNX file for TensorRT',
      () => written('affine', affine()),
      {backend: 'tensorrt'},
      {name: 'UnsupportedError', hint: expect.stringContaining('tensorrt-node build')},
    ],
    ['nothing', async () => '', {}, {option: 'source'}],
    ['an unknown backend', async () => folder(), {backend: 'gpu'}, {option: 'backend'}],
    ['a device below zero', async () => folder(), {device: -1}, {option: 'device'}],
    ['no context', async () => folder(), {contexts: 0}, {option: 'contexts'}],
    ['half a place in the queue', async () => folder(), {maxQueue: 0.5}, {option: 'maxQueue'}],
    ['no thread', async () => folder(), {threads: 0}, {option: 'threads'}],
    ['a model that is no path', async () => folder(), {model: 5}, {option: 'model'}],
    ['a budget below zero', async () => folder(), {weightStreamingBudget: -1}, {option: 'weightStreamingBudget'}],
    ['a path of TensorRT that is none', async () => folder(), {tensorrtPath: ''}, {option: 'tensorrtPath'}],
    [
      'an option that is none',
      async () => folder(),
      {context: 4},
      {option: 'options.context', allowed: expect.stringContaining('contexts')},
    ],
    ['a signal that is none', async () => folder(), {signal: {}}, {option: 'signal'}],
    ['a listener that is none', async () => folder(), {onProgress: 'yes'}, {option: 'onProgress'}],
  ])('%s', async (_name, source, options, error) => {
    await expect(Engine.load(await source(), options as never)).rejects.toMatchObject(error);
  });

  it.each<[string, () => ReturnType<typeof affine>, RegExp]>([
    ['inputs of a type that engines have not', () => identity(DataType.DOUBLE), /input 'x' is DOUBLE; the CPU backend has float32, /],
    ['an operator nobody knows', () => unknownOperator(), /ONNX Runtime does not know .*Frobnicate/],
  ])('%s, in words', async (name, model, message) => {
    const loading = Engine.load(await written(name, model()));
    await expect(loading).rejects.toBeInstanceOf(UnsupportedError);
    await expect(loading).rejects.toThrow(message);
  });

  it('to go on once it was aborted, before and during', async () => {
    const file = await written('affine', affine());
    await expect(Engine.load(file, {signal: AbortSignal.abort('no')})).rejects.toMatchObject({name: 'AbortError', cause: 'no'});
    const controller = new AbortController();
    const loading = Engine.load(file, {signal: controller.signal, onProgress: () => controller.abort('enough')});
    await expect(loading).rejects.toMatchObject({name: 'AbortError', cause: 'enough'});
  });

  it('nothing that its listener throws, at any step', async () => {
    const file = await written('affine', affine());
    for (const step of [0, 1]) {
      const onProgress = ({done}: {done: number}) => {
        if (done === step) throw new RangeError(`thrown at ${done}`);
      };
      await expect(Engine.load(file, {onProgress})).rejects.toThrow(new RangeError(`thrown at ${step}`));
    }
  });

  it('to tell of layers, and says why', async () => {
    await using engine = await Engine.load(await written('affine', affine()));
    expect(() => engine.layers()).toThrow(UnsupportedError);
  });
});

describe('the process', () => {
  it.each([
    ['ends with an engine loaded and idle', 'idle'],
    ['waits for a run under way', 'running'],
    ['exits in the middle of a run', 'exit'],
    ['exits while an engine loads', 'exit-loading'],
    ['uses engines in worker threads, which exit in the middle of runs', 'workers'],
  ])('%s', async (_name, mode) => {
    const file = await written('affine', affine());
    expect(await program('engine/endings.mjs', {ENGINE: file, MODE: mode})).toBe(mode === 'running' ? 'answered' : 'ready');
  });
});

async function text(name: string, content: string): Promise<string> {
  await writeFile(folder(name), content);
  return folder(name);
}

function unknownOperator(): ReturnType<typeof affine> {
  const graph = GraphBuilder.create({name: 'unknown', opsets: {'': 17}});
  graph.input('x', DataType.FLOAT, [1]);
  graph.op('Frobnicate', ['x'], {output: 'y'});
  graph.output('y', DataType.FLOAT, [1]);
  return graph.build();
}
