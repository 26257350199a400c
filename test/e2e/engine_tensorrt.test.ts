import {cp, readFile, rm, writeFile} from 'node:fs/promises';

import {type BuildOptions, buildEngine, Engine, TensorrtError} from 'tensorrt-node';
import {beforeAll, describe, expect, it} from 'vitest';

import type {EngineManifest} from '../../lib/engine/manifest.js';
import {writeNpy} from '../../lib/npy/npy.js';
import type {Model} from '../../lib/onnx/model.js';
import {writeModel} from '../../lib/onnx/write.js';
import {AFFINE_WEIGHTS, affine, affineOf, expand} from '../support/engine_models.js';
import {temporaryFolder} from '../support/temporary_folder.js';
import {program} from './helpers/child.js';
import {command} from './helpers/command.js';
import {describeEngines, type Profiles} from './helpers/engine_contract.js';
import {useSimulatedTensorrt} from './helpers/simulated_tensorrt.js';

const folder = temporaryFolder();
let env: Record<string, string>;
beforeAll(async () => {
  env = await useSimulatedTensorrt();
});

async function built(name: string, model: Model, profiles: NonNullable<BuildOptions['profiles']>, options: object = {}): Promise<string> {
  const file = folder(`${name}.onnx`);
  await writeModel(model, file);
  const output = folder(name);
  const typing = name.endsWith('16') ? 'strong' : 'auto';
  await buildEngine(file, {output, typing, cache: false, ...(profiles.length > 0 ? {profiles} : {}), ...options});
  return output;
}

const RANGE: Profiles = [{x: {min: [1, 4], opt: [2, 4], max: [64, 4]}}];

describe('engines on TensorRT', () => {
  describeEngines({
    backend: 'tensorrt',
    prepare: built,
    types: ['float32', 'float16', 'int8', 'uint8', 'int32', 'int64', 'bool', 'bfloat16'],
    slow: {size: 256, products: 8, rows: 64},
  });
});

const x = {type: 'float32', dims: [2, 4], data: Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8)} as const;

describe('an engine folder', () => {
  let engineFolder: string;
  beforeAll(async () => {
    engineFolder = await built('affine-folder', affine(), RANGE);
  });

  /** A copy of it with a part that was changed. */
  async function changed(name: string, file: string, change: (content: Buffer) => Buffer | string): Promise<string> {
    const copy = folder(name);
    await cp(engineFolder, copy, {recursive: true});
    await writeFile(folder(name, file), change(await readFile(folder(name, file))));
    return copy;
  }

  /** Changes a part of the manifest; its other fields stay. */
  const edit =
    (part: keyof EngineManifest, change: object | undefined) =>
    (content: Buffer): string => {
      const manifest = JSON.parse(content.toString());
      return JSON.stringify({...manifest, [part]: change && {...manifest[part], ...change}});
    };

  it.each<[string, string, (content: Buffer) => Buffer | string, object]>([
    ['a manifest that is no JSON', 'manifest.json', () => 'not JSON', {code: 'ERR_MANIFEST'}],
    [
      'a manifest without its plan',
      'manifest.json',
      edit('plan', undefined),
      {code: 'ERR_MANIFEST', message: expect.stringContaining("'plan'")},
    ],
    [
      'another hash',
      'manifest.json',
      edit('plan', {sha256: '0'.repeat(64)}),
      {code: 'ERR_PLAN', message: expect.stringMatching(/SHA-256.*build it again/)},
    ],
    [
      'a plan cut short',
      'model.plan',
      (plan) => plan.subarray(0, -1),
      {code: 'ERR_PLAN', message: expect.stringMatching(/bytes where the manifest says/)},
    ],
    [
      'a plan with a bit changed',
      'model.plan',
      (plan) => Buffer.from(plan.map((byte, index) => (index === 100 ? byte ^ 1 : byte))),
      {code: 'ERR_PLAN', message: expect.stringContaining('SHA-256')},
    ],
    [
      'a manifest of another TensorRT',
      'manifest.json',
      edit('tensorrt', {version: '10.5.0'}),
      {code: 'ERR_PLAN_MISMATCH', message: expect.stringMatching(/10\.5\.0.*loaded is 10\.6\.0/)},
    ],
    [
      'a manifest of another GPU',
      'manifest.json',
      edit('gpu', {computeCapability: '7.5'}),
      {code: 'ERR_PLAN_MISMATCH', message: expect.stringContaining('7.5')},
    ],
  ])('with %s is refused before TensorRT sees it', async (name, file, change, error) => {
    await expect(Engine.load(await changed(name, file, change))).rejects.toMatchObject({name: 'FormatError', ...error});
  });

  it('without its plan is refused', async () => {
    const copy = await changed('no plan', 'manifest.json', (content) => content);
    await rm(folder('no plan', 'model.plan'));
    await expect(Engine.load(copy)).rejects.toMatchObject({code: 'ERR_NOT_FOUND', message: expect.stringContaining('model.plan')});
  });

  it('whose plan is garbage with the right hash is an error of TensorRT', async () => {
    const {createHash} = await import('node:crypto');
    const garbage = Buffer.from('this is no plan, whatever the manifest says of it');
    const copy = await changed('garbage', 'model.plan', () => garbage);
    const manifest = JSON.parse(await readFile(folder('garbage', 'manifest.json'), 'utf8'));
    manifest.plan = {...manifest.plan, bytes: garbage.length, sha256: createHash('sha256').update(garbage).digest('hex')};
    await writeFile(folder('garbage', 'manifest.json'), JSON.stringify(manifest));
    const failure = await Engine.load(copy).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(TensorrtError);
    expect(failure).toMatchObject({name: 'TensorrtError', code: 'ERR_TENSORRT'});
    await using engine = await Engine.load(engineFolder);
    expect((await engine.run({x})).y!.data).toEqual(affineOf(x.data));
  });

  it('gives the same on the CPU, with the plan’s own ranges', async () => {
    await using engine = await Engine.load(engineFolder, {backend: 'cpu', threads: 1});
    expect(engine).toMatchObject({
      backend: 'cpu',
      manifest: {name: 'affine-folder'},
      description: expect.stringContaining("(backend: 'cpu')"),
    });
    expect((await engine.run({x})).y!.data).toEqual(affineOf(x.data));
    const wide = {type: 'float32', dims: [65, 4], data: new Float32Array(260)} as const;
    await expect(engine.run({x: wide})).rejects.toThrow(/inputs\.x must be of shape \[1 to 64, 4\]/);
  });

  it('takes no other model for the one it was built from, unless it is told to', async () => {
    const other = folder('other');
    await cp(engineFolder, other, {recursive: true});
    await writeModel(affine(AFFINE_WEIGHTS.map((each) => 2 * each)), folder('other.onnx'));
    const manifest = JSON.parse(await readFile(folder('other', 'manifest.json'), 'utf8'));
    manifest.source.file = '../other.onnx';
    await writeFile(folder('other', 'manifest.json'), JSON.stringify(manifest));
    await expect(Engine.load(other, {backend: 'cpu'})).rejects.toMatchObject({
      code: 'ERR_ONNX',
      message: expect.stringContaining('not the model that the engine was built from'),
    });
    await using engine = await Engine.load(other, {backend: 'cpu', model: folder('other.onnx'), threads: 1});
    expect(engine.backend).toBe('cpu');
    delete manifest.source.file;
    await writeFile(folder('other', 'manifest.json'), JSON.stringify(manifest));
    await expect(Engine.load(other, {backend: 'cpu'})).rejects.toMatchObject({
      option: 'model',
      message: expect.stringContaining("its manifest names none, and the CPU backend runs it (backend: 'cpu')"),
    });
    manifest.source.file = '../gone.onnx';
    await writeFile(folder('other', 'manifest.json'), JSON.stringify(manifest));
    await expect(Engine.load(other, {backend: 'cpu'})).rejects.toMatchObject({code: 'ERR_NOT_FOUND', hint: 'give `model` its path'});
  });

  it('has layers to tell of, memory, and pinned tensors', async () => {
    await using engine = await Engine.load(engineFolder);
    const layers = engine.layers();
    expect(layers.length).toBeGreaterThan(0);
    expect(layers[0]!.name).toMatch(/\S/);
    expect(engine.statistics()).toMatchObject({layers: expect.any(Number), deviceMemoryBytes: expect.any(Number), refittable: false});
    const pinned = engine.allocate('x', [2, 4]);
    (pinned.data as Float32Array).set(x.data);
    expect((await engine.run({x: pinned})).y!.data).toEqual(affineOf(x.data));
    await expect(engine.refit(folder('affine-folder.onnx'))).rejects.toMatchObject({name: 'TensorrtError'});
  });

  it('measures its runs on the GPU where it is asked to', async () => {
    await using engine = await Engine.load(engineFolder);
    using timed = engine.bind({x: [2, 4]}, {timing: true});
    await timed.run();
    expect(timed.gpuMilliseconds).toBeGreaterThanOrEqual(0);
    using plain = engine.bind({x: [2, 4]});
    await plain.run();
    expect(() => plain.gpuMilliseconds).toThrow();
  });

  it('is refused for a GPU that is not there', async () => {
    await expect(Engine.load(engineFolder, {device: 7})).rejects.toMatchObject({name: 'OptionError', option: 'device'});
  });

  // A process of their own, as the driver and TensorRT are loaded once.
  describe.each<[string, Record<string, string>, {code?: string; text: string}]>([
    ['another version of TensorRT', {TENSORRT_NODE_SIMULATOR_TENSORRT: 'version=10.7.0'}, {code: 'ERR_PLAN_MISMATCH', text: '10.7.0'}],
    ['a driver whose memory is full', {TENSORRT_NODE_SIMULATOR: 'deviceBytes=16'}, {code: 'ERR_OUT_OF_MEMORY', text: 'memory'}],
    ['a TensorRT that cannot deserialize', {TENSORRT_NODE_SIMULATOR_TENSORRT: 'deserialize=fail'}, {code: 'ERR_TENSORRT', text: ''}],
    ['a TensorRT that makes no context', {TENSORRT_NODE_SIMULATOR_TENSORRT: 'context=fail'}, {code: 'ERR_TENSORRT', text: ''}],
    ['a TensorRT that cannot run', {TENSORRT_NODE_SIMULATOR_TENSORRT: 'enqueue=fail'}, {code: 'ERR_TENSORRT', text: ''}],
    ['no TensorRT', {TENSORRT_ROOT: '/nonexistent'}, {text: 'libnvinfer.so.10'}],
    ['no driver', {TENSORRT_NODE_CUDA_DRIVER: '/nonexistent'}, {text: 'no CUDA driver'}],
    ['no GPU', {TENSORRT_NODE_SIMULATOR: 'devices=0'}, {text: 'CUDA_ERROR_NO_DEVICE'}],
    ['no addon', {TENSORRT_NODE_ADDON: 'off'}, {text: 'TENSORRT_NODE_ADDON=off'}],
  ])('with %s', (_name, more, expected) => {
    it(expected.code === undefined ? "'auto' runs the ONNX model on the CPU, and says why" : 'ends in a typed error', async () => {
      const outcome = JSON.parse(await program('engine/load.mjs', {...env, ...more, ENGINE: engineFolder}));
      if (expected.code === undefined) {
        expect(outcome).toMatchObject({backend: 'cpu', description: expect.stringContaining(expected.text), y: [...affineOf(x.data)]});
        const forced = JSON.parse(await program('engine/load.mjs', {...env, ...more, ENGINE: engineFolder, BACKEND: 'tensorrt'}));
        expect(forced).toMatchObject({
          code: expect.stringMatching(/^ERR_(ADDON|CUDA|TENSORRT)$/),
          message: expect.stringContaining(expected.text),
        });
      } else expect(outcome).toMatchObject({code: expected.code, message: expect.stringContaining(expected.text), typed: true});
    });
  });
});

describe('an input that holds a shape', () => {
  it.each(['tensorrt', 'cpu'] as const)('has values in the range of the profile: %s', async (backend) => {
    const profiles = [{shape: {min: [1, 3], opt: [2, 3], max: [4, 3], values: true}}];
    await using engine = await Engine.load(await built(`expand-${backend}`, expand(), profiles), {backend, threads: 1});
    const row = {type: 'float32', dims: [1, 3], data: Float32Array.of(1, 2, 3)} as const;
    const shape = (...values: bigint[]) => ({type: 'int64', dims: [2], data: BigInt64Array.from(values)}) as const;
    const {y} = await engine.run({x: row, shape: shape(3n, 3n)});
    expect(y).toEqual({type: 'float32', dims: [3, 3], data: Float32Array.of(1, 2, 3, 1, 2, 3, 1, 2, 3)});
    await expect(engine.run({x: row, shape: shape(5n, 3n)})).rejects.toMatchObject({
      option: 'inputs.shape',
      message: expect.stringContaining('a shape with values [1 to 4, 3], got [ 5, 3 ]'),
    });
    using binding = engine.bind();
    (binding.inputs.x!.data as Float32Array).set(row.data);
    for (const rows of [1n, 4n, 2n]) {
      (binding.inputs.shape!.data as BigInt64Array).set([rows, 3n]);
      await binding.run();
      expect(binding.outputs.y!.dims).toEqual([Number(rows), 3]);
      expect([...(binding.outputs.y!.data as Float32Array)]).toEqual(Array.from({length: Number(rows)}, () => [1, 2, 3]).flat());
    }
  });
});

describe('weights', () => {
  it('of a stripped plan come from the model', async () => {
    const stripped = await built('stripped', affine(), RANGE, {strip: true});
    await using engine = await Engine.load(stripped);
    expect((await engine.run({x})).y!.data).toEqual(affineOf(x.data));
  });

  it('of a stripped plan are those it was built with, unless the caller says otherwise', async () => {
    const stripped = await built('stripped-changed', affine(), RANGE, {strip: true, refit: true});
    const file = folder('stripped-changed.onnx');
    await writeModel(affine(AFFINE_WEIGHTS.map((each) => 2 * each)), file);
    await expect(Engine.load(stripped)).rejects.toMatchObject({
      code: 'ERR_ONNX',
      path: file,
      message: expect.stringContaining('not the model that the engine was built from'),
    });
    await using engine = await Engine.load(stripped, {model: file});
    const one = {type: 'float32', dims: [1, 4], data: Float32Array.of(1, 0, 0, 0)} as const;
    expect([...((await engine.run({x: one})).y!.data as Float32Array)]).toEqual([12, 16, 36]);
  });

  it('of a stripped plan that was not built for refits cannot be others', async () => {
    const stripped = await built('stripped-fixed', affine(), RANGE, {strip: true});
    const other = folder('stripped-other.onnx');
    await writeModel(affine(AFFINE_WEIGHTS.map((each) => 2 * each)), other);
    await expect(Engine.load(stripped, {model: other})).rejects.toMatchObject({code: 'ERR_ONNX', path: other});
    await using engine = await Engine.load(stripped);
    await expect(engine.refit(other)).rejects.toMatchObject({code: 'ERR_TENSORRT', message: expect.stringContaining("without 'refit'")});
    expect((await engine.run({x})).y!.data).toEqual(affineOf(x.data));
  });

  it('of a refittable plan can be those of another file', async () => {
    const doubled = folder('doubled.onnx');
    await writeModel(affine(AFFINE_WEIGHTS.map((each) => 2 * each)), doubled);
    await using engine = await Engine.load(await built('refittable', affine(), RANGE, {refit: true}));
    const one = {type: 'float32', dims: [1, 4], data: Float32Array.of(1, 0, 0, 0)} as const;
    const before = (await engine.run({x: one})).y!.data as Float32Array;
    await engine.refit(doubled);
    const after = (await engine.run({x: one})).y!.data as Float32Array;
    expect([...after]).toEqual([before[0]! + 1, before[1]! - 2, before[2]! + 3]);
  });
});

describe('commands', () => {
  let engineFolder: string;
  beforeAll(async () => {
    engineFolder = await built('affine-commands', affine(), RANGE);
  });

  it('inspect plan tells of tensors, memory and layers', async () => {
    const [text, json] = await Promise.all([
      command(['inspect', 'plan', engineFolder]),
      command(['inspect', 'plan', engineFolder, '--json']),
    ]);
    expect(text).toMatchObject({code: 0, stderr: ''});
    expect(text.stdout).toMatch(/^affine-commands: fp32, TensorRT 10\.6\.0 for \S/);
    expect(text.stdout).toMatch(/^input +x +float32 +\[\?, 4\] +1x4 \/ 2x4 \/ 64x4$/m);
    expect(text.stdout).toMatch(/^output +y +float32 +\[\?, 3\]$/m);
    expect(text.stdout).toMatch(/^Plan \S+ \S+, activations \S+ \S+ a context$/m);
    expect(JSON.parse(json.stdout)).toMatchObject({
      manifest: {name: 'affine-commands'},
      inputs: [{name: 'x', profiles: [{max: [64, 4]}]}],
      layers: expect.arrayContaining([expect.objectContaining({name: expect.any(String)})]),
    });
  });

  it('run takes a budget for weights that are streamed, where the plan streams them', async () => {
    const streaming = await built('streaming', affine(), RANGE, {weightStreaming: true});
    await writeNpy(folder('x.npy'), x);
    const args = ['--input', `x=${folder('x.npy')}`, '--weight-streaming-budget', '1MiB', '--json'];
    const ran = await command(['run', streaming, ...args]);
    expect(ran).toMatchObject({code: 0});
    expect(JSON.parse(ran.stdout)).toMatchObject({backend: 'tensorrt', outputs: [{name: 'y', dims: [2, 3]}]});
    expect(await command(['run', engineFolder, ...args])).toMatchObject({code: 1, stderr: expect.stringMatching(/stream.*\[ERR_/)});
  });

  it.each(['run', 'bench', 'inspect plan'])('%s refuses a device that is none', async (name) => {
    for (const device of ['x', '7']) {
      expect(await command([...name.split(' '), engineFolder, '--device', device])).toMatchObject({
        code: 2,
        stdout: '',
        stderr: expect.stringContaining('device'),
      });
    }
  });

  it('bench measures every call, here and on the CPU', async () => {
    const args = ['bench', engineFolder, '--mode', 'all', '--iterations', '20', '--warm-up', '2', '--compare', 'cpu', '--threads', '1'];
    const [text, json] = await Promise.all([command(args), command([...args, '--json'])]);
    expect(text).toMatchObject({code: 0, stdout: expect.stringMatching(/^engine +call +p50 .*runs\/s\n/)});
    expect(text.stderr).toMatch(/^y: largest difference \S+, cosine 1\.000000$/m);
    const {inputs, results} = JSON.parse(json.stdout);
    expect(inputs).toEqual([{name: 'x', type: 'float32', dims: [2, 4]}]);
    expect(results.map(({mode}: {mode: string}) => mode)).toEqual(['run', 'bind', 'runSync', 'run', 'bind', 'runSync']);
    expect(results[1]).toMatchObject({
      gpu: {p50: expect.any(Number)},
      hostOverhead: {p99: expect.any(Number)},
      throughput: expect.any(Number),
    });
    expect(results[4].gpu).toBeUndefined();
  });
});

describe('the process', () => {
  it.each([
    ['ends with an engine loaded and idle', 'idle', false],
    ['waits for a run under way', 'running', false],
    ['exits in the middle of a run', 'exit', false],
    ['exits while an engine loads', 'exit-loading', false],
    ['uses engines in worker threads, which exit in the middle of runs', 'workers', false],
    ['gives back all that engines and bindings took', 'dispose', true],
  ])('%s', async (_name, mode, leaks) => {
    const engineFolder = await built(`affine-${mode}`, affine(), RANGE);
    const simulator = `operationNs=20000,report=stderr,exitCode=7,leaks=${leaks ? 1 : 0}`;
    const printed = await program('engine/endings.mjs', {...env, TENSORRT_NODE_SIMULATOR: simulator, ENGINE: engineFolder, MODE: mode});
    expect(printed).toBe(mode === 'running' ? 'answered' : 'ready');
  });
});
