/** Times of an engine's layers, joined to ONNX nodes, on the simulated TensorRT. */

import {rename, writeFile} from 'node:fs/promises';

import {type BuildOptions, buildEngine, Engine} from 'tensorrt-node';
import {beforeAll, describe, expect, it} from 'vitest';

import {writeNpy} from '../../lib/npy/npy.js';
import type {Model} from '../../lib/onnx/model.js';
import {writeModel} from '../../lib/onnx/write.js';
import {affine, nonZero, slow} from '../support/engine_models.js';
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

  it('is not for the CPU backend', async () => {
    await using engine = await Engine.load(folder('affine'), {backend: 'cpu', threads: 1});
    await expect(engine.profileLayers({x})).rejects.toMatchObject({code: 'ERR_UNSUPPORTED', hint: expect.stringContaining('TensorRT')});
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
