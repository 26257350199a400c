/** Times of an engine's layers, joined to ONNX nodes, on the simulated TensorRT. */

import {readdir, rename, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';

import {type BuildOptions, buildEngine, Engine, type LanguageModel, loadModel} from 'tensorrt-node';
import {afterAll, beforeAll, describe, expect, it} from 'vitest';

import {writeNpy} from '../../lib/npy/npy.js';
import type {Model} from '../../lib/onnx/model.js';
import {writeModel} from '../../lib/onnx/write.js';
import {affine, nonZero, slow} from '../support/engine_models.js';
import {languageModelFolder} from '../support/language_model_folder.js';
import {temporaryFolder} from '../support/temporary_folder.js';
import {command} from './helpers/command.js';
import {useSimulatedTensorrt} from './helpers/simulated_tensorrt.js';

const folder = temporaryFolder();
const x = {type: 'float32', dims: [2, 4], data: Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8)} as const;

async function build(name: string, model: Model, options: BuildOptions = {}): Promise<string> {
  await writeModel(model, folder(`${name}.onnx`));
  await buildEngine(folder(`${name}.onnx`), {output: folder(name), cache: false, ...options});
  return folder(name);
}

const rows = (columns: number) => [{x: {min: [1, columns], opt: [2, columns], max: [64, columns]}}];
let nodes: string[];

beforeAll(async () => {
  await useSimulatedTensorrt({tensorrt: 'executeNs=2000000'});
  const model = affine();
  nodes = model.graph.node.map(({name}) => name);
  await build('affine', model, {profiles: rows(4)});
  await build('names', affine(), {profiles: rows(4), profilingVerbosity: 'layer-names-only'});
  await build('mute', affine(), {profiles: rows(4), profilingVerbosity: 'none'});
  await build('slow', slow(8, 2), {profiles: rows(8)});
  await writeNpy(folder('x.npy'), x);
});

describe('profileLayers', () => {
  it('tells the time, kernel and nodes of each layer', async () => {
    await using engine = await Engine.load(folder('affine'));
    const profile = await engine.profileLayers({x}, {runs: 5, warmUp: 1});
    expect(profile.layers.map((layer) => layer.nodes)).toEqual(nodes.map((name) => [name]));
    expect(profile.layers[0]).toMatchObject({name: nodes[0], type: 'MatMul', tactic: 'simulated_MatMul', precision: 'Float'});
    expect(profile.runs).toBe(5);
    for (const layer of profile.layers) {
      expect(layer.medianMicroseconds).toBeGreaterThan(0);
      expect(layer.totalMicroseconds).toBeGreaterThan(layer.medianMicroseconds);
    }
    expect(profile.layers.reduce((sum, {share}) => sum + share, 0)).toBeCloseTo(1);
    // Each run takes two milliseconds at least, all of it in layers.
    expect(profile.runMicroseconds).toBeGreaterThanOrEqual(2000);
    expect(profile.totalMicroseconds).toBeGreaterThanOrEqual(5 * 2000);
    expect((await engine.run({x})).y).toMatchObject({dims: [2, 3]});
  });

  it('of plans that tell names alone takes the nodes from those and the model', async () => {
    await using engine = await Engine.load(folder('names'));
    const {layers} = await engine.profileLayers({x}, {runs: 1});
    expect(layers.map((layer) => layer.nodes)).toEqual(nodes.map((name) => [name]));
    expect(layers.map(({type}) => type)).toEqual([undefined, undefined]);
  });

  it('works without the model, which is read where it is needed alone', async () => {
    await rename(folder('names.onnx'), folder('elsewhere.onnx'));
    await using engine = await Engine.load(folder('names'));
    expect((await engine.profileLayers({x}, {runs: 1})).layers.map((layer) => layer.nodes)).toEqual(nodes.map((name) => [name]));
    expect((await engine.profileLayers({x}, {runs: 1, model: folder('elsewhere.onnx')})).layers).toHaveLength(2);
    await expect(engine.profileLayers({x}, {model: folder('names.onnx')})).rejects.toMatchObject({code: 'ERR_NOT_FOUND'});
  });

  it('of plans that tell nothing has numbers', async () => {
    await using engine = await Engine.load(folder('mute'));
    const {layers} = await engine.profileLayers({x}, {runs: 1});
    expect(layers).toMatchObject([
      {name: '0', nodes: []},
      {name: '1', nodes: []},
    ]);
  });

  it('works where shapes of outputs depend on the data', async () => {
    await using engine = await Engine.load(await build('non_zero', nonZero()));
    const data = Float32Array.of(0, 5, 0, 1, 0, 2);
    const {layers} = await engine.profileLayers({x: {type: 'float32', dims: [2, 3], data}}, {runs: 2});
    expect(layers.map(({type}) => type)).toEqual(['NonZero', 'Add']);
  });

  it('leaves runs beside it alone, and ends with an abort or the engine', async () => {
    await using engine = await Engine.load(folder('affine'));
    const controller = new AbortController();
    const long = engine.profileLayers({x}, {runs: 100_000, signal: controller.signal});
    expect((await engine.run({x})).y).toMatchObject({dims: [2, 3]});
    controller.abort();
    await expect(long).rejects.toMatchObject({code: 'ERR_ABORTED'});
    const another = expect(engine.profileLayers({x}, {runs: 100_000})).rejects.toMatchObject({code: 'ERR_DISPOSED'});
    await engine.dispose();
    await another;
    await expect(engine.profileLayers({x})).rejects.toMatchObject({code: 'ERR_DISPOSED'});
  });

  it('refuses inputs that run() would, and refits meanwhile', async () => {
    const refittable = await build('refittable', affine(), {profiles: rows(4), refit: true});
    await using engine = await Engine.load(refittable);
    await expect(engine.profileLayers({})).rejects.toMatchObject({name: 'OptionError'});
    const controller = new AbortController();
    const long = engine.profileLayers({x}, {runs: 100_000, signal: controller.signal});
    await expect(engine.refit(folder('refittable.onnx'))).rejects.toMatchObject({code: 'ERR_BUSY'});
    controller.abort();
    await expect(long).rejects.toMatchObject({code: 'ERR_ABORTED'});
    await engine.refit(folder('refittable.onnx'));
  });

  it('tells the nodes that ONNX Runtime runs, on the CPU', async () => {
    const temporary = () => readdir(tmpdir()).then((names) => names.filter((name) => name.startsWith('tensorrt-node-profile-')));
    const before = await temporary();
    await using engine = await Engine.load(folder('affine'), {backend: 'cpu', threads: 1});
    const profile = await engine.profileLayers({x}, {runs: 3, warmUp: 1});
    expect(profile.runs).toBe(3);
    expect(profile.layers.flatMap((layer) => layer.nodes)).toContain('MatMul');
    expect(profile.layers[0]).toMatchObject({type: expect.stringMatching(/Gemm|MatMul/)});
    const controller = new AbortController();
    const long = engine.profileLayers({x}, {runs: 100_000, signal: controller.signal});
    controller.abort();
    await expect(long).rejects.toMatchObject({code: 'ERR_ABORTED'});
    const another = expect(engine.profileLayers({x}, {runs: 100_000})).rejects.toMatchObject({code: 'ERR_DISPOSED'});
    await engine.dispose();
    await another;
    expect(await temporary()).toEqual(before);
  });
});

describe('profileLayers of a language model', () => {
  let model: LanguageModel;
  beforeAll(async () => {
    process.env.TENSORRT_NODE_CACHE = folder('cache');
    await languageModelFolder(folder('model'));
    model = await loadModel(folder('model'), {backend: 'tensorrt', maxContext: 256, maxBatch: 4});
  });
  afterAll(() => model?.dispose());

  it('tells the layers of a step of streams, by its parts, between requests', async () => {
    const before = (await model.generateText('the sea', {maxNewTokens: 8})).tokens;
    const profile = await model.profileLayers({rows: 3, context: 100, runs: 2});
    expect(profile).toMatchObject({step: 'decode', rows: 4, context: 100, runs: 2});
    expect(profile.runMicroseconds).toBeGreaterThan(0);
    const parts = new Map(profile.layers.map(({part, count}) => [part, count]));
    expect([...parts]).toEqual([
      ['prologue', 1],
      ['block', 2],
      ['epilogue', 1],
    ]);
    const weights = profile.layers.flatMap(({weights = []}) => weights);
    expect(weights).toEqual(expect.arrayContaining(['table', 'qkv', 'attention_output', 'gate_up', 'down', 'head']));
    for (const layer of profile.layers) {
      expect(layer.medianMicroseconds).toBeGreaterThan(0);
      expect(layer.nodes.length).toBeGreaterThan(0);
      expect(layer.type).toBeDefined();
    }
    expect(profile.layers.reduce((sum, {share}) => sum + share, 0)).toBeCloseTo(1);
    expect((await model.generateText('the sea', {maxNewTokens: 8})).tokens).toEqual(before);
  });

  it('tells those of a prompt, at the size that it is run in', async () => {
    const profile = await model.profileLayers({step: 'prefill', rows: 40, runs: 1, warmUp: 0});
    expect(profile).toMatchObject({step: 'prefill', rows: 64, context: 0, runs: 1});
    expect(new Set(profile.layers.map(({part}) => part))).toEqual(new Set(['prologue', 'block', 'epilogue']));
  });

  it('waits for nobody, and ends with an abort', async () => {
    const running = model.generate('the sea', {maxNewTokens: 100});
    await running.next();
    await expect(model.profileLayers()).rejects.toMatchObject({code: 'ERR_BUSY'});
    await running.return();
    const controller = new AbortController();
    const long = model.profileLayers({runs: 10_000, signal: controller.signal});
    // One that comes meanwhile waits.
    const reply = model.generateText('the sea', {maxNewTokens: 2});
    controller.abort();
    await expect(long).rejects.toMatchObject({code: 'ERR_ABORTED'});
    expect((await reply).tokens).toHaveLength(2);
  });

  it('is refused for steps that there are not, and on the CPU', async () => {
    await expect(model.profileLayers({rows: 5})).rejects.toMatchObject({name: 'OptionError', option: 'rows'});
    await using cpu = await loadModel(folder('model'), {backend: 'cpu', threads: 1});
    await expect(cpu.profileLayers()).rejects.toMatchObject({code: 'ERR_UNSUPPORTED'});
  });

  it('ends with the model', async () => {
    const other = await loadModel(folder('model'), {backend: 'tensorrt', maxContext: 256, maxBatch: 4});
    const long = expect(other.profileLayers({runs: 10_000})).rejects.toMatchObject({code: 'ERR_DISPOSED'});
    await other.dispose();
    await long;
    await expect(other.profileLayers()).rejects.toMatchObject({code: 'ERR_DISPOSED'});
  });
});

describe('profile layers', () => {
  const json = async (name: string, ...args: string[]) => {
    const {code, stdout, stderr} = await command(['profile', 'layers', folder(name), '--runs', '3', '--json', ...args]);
    expect({code, stderr}).toEqual({code: 0, stderr: ''});
    await writeFile(folder(`${name}.json`), stdout);
    return JSON.parse(stdout);
  };

  it('prints a table, and JSON', async () => {
    const {code, stdout, stderr} = await command(['profile', 'layers', folder('affine'), '--runs', '2', '-i', `x=${folder('x.npy')}`]);
    expect({code, stdout}).toEqual({code: 0, stdout: expect.stringMatching(/^share +time +layer +type +ONNX nodes\n *\d+\.\d% /)});
    for (const name of nodes) expect(stdout).toContain(name);
    expect(stdout).toMatch(/\nA run, of 2 runs: .* with the profiler /);
    expect(stderr).toContain('TensorRT 10.6.0');
    expect(await json('affine')).toMatchObject({
      kind: 'layers',
      source: folder('affine'),
      runs: 3,
      layers: [{nodes: [nodes[0]]}, {nodes: [nodes[1]]}],
    });
  });

  it('times a language model, by its parts', async () => {
    const args = ['profile', 'layers', folder('model'), '--max-context', '256', '--rows', '2', '--runs', '2'];
    const {code, stdout} = await command(args);
    expect({code, stdout}).toEqual({code: 0, stdout: expect.stringMatching(/^share +time +part +layer +type +ONNX nodes\n/)});
    expect(stdout).toMatch(/ 2 x block .* \(gate_up, mlp_norm\)/);
    const prompt = await command([...args, '--step', 'prefill', '--rows', '64', '--json']);
    expect(JSON.parse(prompt.stdout)).toMatchObject({kind: 'layers', step: 'prefill', rows: 64, runs: 2});
    await writeFile(folder('prompt.json'), prompt.stdout);
    expect((await command(['profile', 'compare', folder('prompt.json'), folder('prompt.json')])).code).toBe(0);
  });

  it.each<[string, string[], RegExp]>([
    ['steps of an engine', ['affine', '--step', 'decode'], /--step is for language models/],
    ['inputs of a language model', ['model', '-i', 'x=x.npy'], /--input and --shape are for engines/],
    ['what is not there', ['nothing'], /no such file/],
  ])('refuses %s', async (_, [name, ...args], message) => {
    const {code, stderr} = await command(['profile', 'layers', folder(name!), ...args]);
    expect(code).not.toBe(0);
    expect(stderr).toMatch(message);
  });

  it('is compared by layers', async () => {
    const first = await json('affine');
    await json('slow');
    const same = await command(['profile', 'compare', folder('affine.json'), folder('affine.json')]);
    expect(same).toMatchObject({code: 0, stdout: expect.stringMatching(/^A run: .*, 0\.0%\n$/)});
    const other = await command(['profile', 'compare', folder('affine.json'), folder('slow.json'), '--json']);
    expect(other.code).toBe(0);
    const went = JSON.parse(other.stdout).layers.filter((layer: {went?: boolean}) => layer.went);
    expect(went.map(({name}: {name: string}) => name)).toContain(first.layers[1].name);
  });

  it.each<[string, string, RegExp]>([
    ['a trace beside layers', '[\n]', /one of the files has layers/],
    ['another kind of JSON', '{"kind": "layers", "layers": [{}], "runMicroseconds": 1}', /has no times of layers/],
    ['JSON that is cut', '{"kind": "layers", ', /is not whole JSON/],
  ])('refuses to compare %s', async (_, text, message) => {
    await json('affine');
    await writeFile(folder('other.json'), text);
    const {code, stderr} = await command(['profile', 'compare', folder('affine.json'), folder('other.json')]);
    expect(code).not.toBe(0);
    expect(stderr).toMatch(message);
  });
});
