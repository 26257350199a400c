import {existsSync, utimesSync} from 'node:fs';
import {copyFile, mkdir, readdir, readFile, rm, stat, truncate, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';

import {
  BuildError,
  type BuildLogLine,
  type BuildOptions,
  type BuildResult,
  buildEngine,
  Engine,
  type Progress,
  readManifest,
} from 'tensorrt-node';
import {afterEach, beforeAll, describe, expect, it} from 'vitest';
import {writeNpy} from '../../lib/npy/npy.js';
import {writeModel} from '../../lib/onnx/write.js';
import {affine, sum} from '../support/engine_models.js';
import {temporaryFolder} from '../support/temporary_folder.js';
import {program} from './helpers/child.js';
import {command, start} from './helpers/command.js';
import {useSimulatedTensorrt} from './helpers/simulated_tensorrt.js';

const folder = temporaryFolder();
let model: string;
beforeAll(async () => {
  await useSimulatedTensorrt();
  // Other test files build too.
  process.env.TMPDIR = folder('tmp');
  await mkdir(folder('tmp'));
  model = folder('affine.onnx');
  await writeModel(affine(), model);
});
afterEach(() => {
  process.env.TENSORRT_NODE_SIMULATOR_TENSORRT = '';
});

/** For builder processes started from now on. */
function builderDoes(settings: string): void {
  process.env.TENSORRT_NODE_SIMULATOR_TENSORRT = settings;
}

let count = 0;
/** A cache that nothing is in yet. */
function freshCache(): string {
  return folder(`cache-${count++}`);
}

/** Builder processes that live and have `text` in what /proc tells of them in `file`. */
async function builders(file: 'environ' | 'stat', test: (content: string) => boolean): Promise<string[]> {
  const found: string[] = [];
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    const read = (name: string) => readFile(join('/proc', pid, name), 'utf8').catch(() => '');
    if ((await read('cmdline')).includes('engine/build/child.js') && test(await read(file))) found.push(pid);
  }
  return found;
}

async function left(cache: string): Promise<string[]> {
  const engines = await readdir(join(cache, 'engines')).catch(() => []);
  const scratch = (await readdir(tmpdir())).filter((name) => name.startsWith('tensorrt-node-build-'));
  // The second field after the name in brackets is the parent.
  const started = await builders('stat', (stat) => stat.replace(/^.*\) . /, '').startsWith(`${process.pid} `));
  return [...engines, ...scratch, ...started];
}

describe('buildEngine', () => {
  it('builds a folder that says what is in it and runs', async () => {
    const output = folder('engines', 'affine');
    const progress: Progress[] = [];
    const log: BuildLogLine[] = [];
    const result = await buildEngine(model, {
      output,
      precision: 'fp16',
      cache: freshCache(),
      profiles: [{x: {min: [1, 4], opt: [2, 4], max: [16, 4]}}, {x: [32, 4]}],
      onProgress: (each) => progress.push(each),
      onLog: (line) => log.push(line),
    });
    expect(result).toMatchObject({folder: output, plan: join(output, 'model.plan'), cached: false, profilesDerived: false, warnings: []});
    expect(await readManifest(output)).toEqual(result.manifest);
    expect(result.manifest).toMatchObject({
      name: 'affine',
      precision: 'fp16',
      stronglyTyped: false,
      source: {file: '../../affine.onnx'},
      inputs: [{name: 'x', type: 'float32', dims: [-1, 4], profiles: [{max: [16, 4]}, {min: [32, 4]}]}],
      outputs: [{name: 'y', type: 'float32', dims: [-1, 3]}],
      tensorrt: {version: '10.6.0', versionCompatible: false},
      gpu: {name: 'Simulated GPU 0', computeCapability: '9.0', hardwareCompatibility: 'none'},
    });
    expect((await readdir(output)).sort()).toEqual(['manifest.json', 'model.plan']);
    expect(progress.map(({phase}) => phase)).toEqual(expect.arrayContaining(['hash', 'build']));
    expect(progress.at(-1)).toMatchObject({phase: 'build', unit: 'steps', done: progress.at(-1)!.total});
    expect(log).toContainEqual({severity: 'info', message: 'Engine generation completed.'});
    await using engine = await Engine.load(output);
    const {y} = await engine.run({x: {type: 'float32', dims: [1, 4], data: new Float32Array(4)}});
    expect([...(y!.data as Float32Array)]).toEqual([10, 20, 30]);
  });

  it('fixes the sizes that the profiles fix, and finds the weights beside the model all the same', async () => {
    const external = folder('external.onnx');
    await writeModel(affine(), external, {externalData: 'external.data', threshold: 0});
    const {folder: built, manifest} = await buildEngine(external, {cache: freshCache(), profiles: [{x: [2, 4]}]});
    expect(manifest.inputs).toMatchObject([{name: 'x', dims: [2, 4]}]);
    await using engine = await Engine.load(built);
    const {y} = await engine.run({x: {type: 'float32', dims: [2, 4], data: new Float32Array(8)}});
    expect([...(y!.data as Float32Array)]).toEqual([10, 20, 30, 10, 20, 30]);
  });

  it('logs as much as it is asked for', async () => {
    const log: BuildLogLine[] = [];
    await buildEngine(model, {cache: false, output: folder('quiet'), logLevel: 'error', onLog: (line) => log.push(line)});
    expect(log).toEqual([]);
  });

  it('takes bytes and derives a profile', async () => {
    const result = await buildEngine(await readFile(model), {cache: freshCache(), name: 'from bytes'});
    expect(result).toMatchObject({
      profilesDerived: true,
      profiles: [{x: {min: [1, 4], opt: [1, 4], max: [8, 4]}}],
      manifest: {name: 'from bytes', source: {sha256: expect.any(String)}},
    });
    expect(result.manifest.source.file).toBeUndefined();
    expect(await left(folder('none'))).toEqual([]);
  });

  it('returns the engine of an identical build without building', async () => {
    const cache = freshCache();
    const first = await buildEngine(model, {cache, precision: 'fp16'});
    expect(first).toMatchObject({cached: false, folder: join(cache, 'engines', first.manifest.key)});
    builderDoes('build=abort');
    const phases = new Set<string>();
    const second = await buildEngine(model, {cache, precision: 'fp16', typing: 'weak', onProgress: ({phase}) => phases.add(phase)});
    expect(second).toEqual({...first, cached: true});
    expect([...phases]).toEqual(['hash']);
    const elsewhere = await buildEngine(model, {cache, precision: 'fp16', output: folder('elsewhere'), name: 'other'});
    expect(elsewhere).toMatchObject({cached: true, manifest: {name: 'other', plan: first.manifest.plan, source: {file: '../affine.onnx'}}});
    await expect(buildEngine(model, {cache, precision: 'bf16'})).rejects.toMatchObject({code: 'ERR_BUILD'});
  });

  describe('of a model that it knows', () => {
    /** Reading the model hashes it again. */
    async function hashed(path: string, options: BuildOptions): Promise<[number, BuildResult]> {
      let files = 0;
      const built = await buildEngine(path, {
        ...options,
        onProgress: ({phase, done, total}) => (files += Number(phase === 'hash' && done === total)),
      });
      return [files, built];
    }

    it('does not read it again, wherever it is', async () => {
      const options = {cache: freshCache(), profiles: [{x: {min: [1, 4], opt: [2, 4], max: [16, 4]}}]};
      const [first, built] = await hashed(model, options);
      const copy = folder('copies', 'copy.onnx');
      await mkdir(folder('copies'));
      await copyFile(model, copy);
      const [second, again] = await hashed(copy, options);
      expect([first, second]).toEqual([2, 1]);
      expect(again).toMatchObject({cached: true, plan: built.plan, profiles: built.profiles, profilesDerived: false});
      expect(again.manifest).toMatchObject({name: 'copy', key: built.manifest.key});
      expect(again.manifest.source.file).toContain('copies/copy.onnx');
    });

    it('sees that its external data changed', async () => {
      const external = folder('changing-weights.onnx');
      const data = folder('changing-weights.data');
      await writeModel(affine(), external, {externalData: 'changing-weights.data', threshold: 0});
      const options = {cache: freshCache()};
      const {manifest} = await buildEngine(external, options);
      expect((await hashed(external, options))[1]).toMatchObject({cached: true, profilesDerived: true});
      const bytes = await readFile(data);
      bytes[0]! ^= 1;
      await writeFile(data, bytes);
      const [, changed] = await hashed(external, options);
      expect(changed.cached).toBe(false);
      expect(changed.manifest.key).not.toBe(manifest.key);
    });

    it('takes other options for another build, and builds again what is gone or damaged', async () => {
      const cache = freshCache();
      const {folder: built} = await buildEngine(model, {cache});
      expect(await buildEngine(model, {cache, optimizationLevel: 1})).toMatchObject({cached: false});
      await truncate(join(built, 'model.plan'), 10);
      expect(await buildEngine(model, {cache})).toMatchObject({cached: false, warnings: [expect.stringContaining('damaged')]});
      await rm(built, {recursive: true});
      expect(await buildEngine(model, {cache})).toMatchObject({cached: false});
      for (const name of await readdir(join(cache, 'requests'))) await writeFile(join(cache, 'requests', name), '{"key');
      expect(await buildEngine(model, {cache})).toMatchObject({cached: true});
    });
  });

  it('replaces an engine folder and no other', async () => {
    const output = folder('replaced');
    const cache = freshCache();
    await buildEngine(model, {cache, output});
    const second = await buildEngine(model, {cache, output, precision: 'tf32'});
    expect(await readManifest(output)).toEqual(second.manifest);
    await writeFile(join(output, 'labels.txt'), 'mine');
    const refused = buildEngine(model, {cache, output});
    await expect(refused).rejects.toMatchObject({code: 'ERR_OPTION', option: 'output'});
    expect((await readdir(output)).sort()).toEqual(['labels.txt', 'manifest.json', 'model.plan']);
  });
});

describe('options', () => {
  it.each<[BuildOptions, object]>([
    [{precision: 'tf32'}, {precision: 'tf32'}],
    [{precision: 'bf16', layers: [{pattern: '*', precision: 'fp32'}]}, {precision: 'bf16'}],
    [{typing: 'strong'}, {stronglyTyped: true}],
    [{sparsity: true, optimizationLevel: 2, workspace: 2 ** 20, tacticSources: ['cublas']}, {options: {workspace: 2 ** 20}}],
    [{hardwareCompatibility: 'ampere-plus'}, {gpu: {hardwareCompatibility: 'ampere-plus'}}],
    [{versionCompatible: true, excludeLeanRuntime: true}, {tensorrt: {versionCompatible: true}}],
    [{refit: true}, {refittable: true, stripped: false}],
    [{strip: true}, {refittable: false, stripped: true}],
    [
      {refit: true, strip: true},
      {refittable: true, stripped: true},
    ],
    [{weightStreaming: true}, {weightStreaming: true, stronglyTyped: true}],
    [{profilingVerbosity: 'none', maxAuxStreams: 0, averageTimingIterations: 2, tiling: 'none'}, {}],
  ])('%j builds an engine that loads', async (options, manifest) => {
    const result = await buildEngine(model, {...options, cache: freshCache(), timingCache: false});
    expect(result).toMatchObject({warnings: [], manifest});
    await using engine = await Engine.load(result.folder);
    const {y} = await engine.run({x: {type: 'float32', dims: [1, 4], data: new Float32Array(4)}});
    expect([...(y!.data as Float32Array)]).toEqual([10, 20, 30]);
  });

  it('that only the builder can refuse are its error', async () => {
    const build = buildEngine(model, {cache: freshCache(), profiles: [{x: {min: [1], opt: [1], max: [1], values: true}}]});
    await expect(build).rejects.toMatchObject({code: expect.stringMatching(/ERR_BUILD|ERR_OPTION/)});
  });
});

describe('a builder process that fails', () => {
  it.each<[string, object, string | undefined]>([
    ['abort', {process: {code: null, signal: 'SIGABRT'}, message: expect.stringContaining('SIGABRT')}, undefined],
    ['print-and-abort', {process: {code: null, signal: 'SIGABRT'}}, 'LLVM ERROR: out of memory'],
    ['segfault', {process: {code: null, signal: 'SIGSEGV'}, message: expect.stringContaining('segmentation fault')}, undefined],
    ['exit', {process: {code: 3, signal: null}, message: expect.stringContaining('exited with status 3')}, undefined],
    ['fail', {process: undefined, cause: expect.objectContaining({code: 'ERR_TENSORRT'})}, 'Could not find any implementation'],
    ['out-of-memory', {process: undefined}, 'OutOfMemory'],
  ])('%s: a typed error, nothing left, and this process goes on', async (how, error, logged) => {
    const cache = freshCache();
    builderDoes(`build=${how}`);
    const failure = await buildEngine(model, {cache, output: folder('failed')}).catch((thrown: unknown) => thrown);
    expect(failure).toBeInstanceOf(BuildError);
    expect(failure).toMatchObject({code: 'ERR_BUILD', ...error});
    if (logged !== undefined) expect((failure as BuildError).log.join('\n')).toContain(logged);
    expect(await left(cache)).toEqual([]);
    expect(existsSync(folder('failed'))).toBe(false);
    builderDoes('');
    expect(await buildEngine(model, {cache})).toMatchObject({cached: false});
  });

  it('ends with its signal, whether TensorRT listens or not', async () => {
    for (const settings of ['build=hang', 'buildSteps=100000,buildStepMs=20']) {
      builderDoes(settings);
      const cache = freshCache();
      const controller = new AbortController();
      const reason = new Error('enough');
      const onProgress = ({phase, detail}: Progress) => phase === 'build' && detail !== 'starting' && controller.abort(reason);
      const build = buildEngine(model, {cache, signal: controller.signal, onProgress});
      await expect(build).rejects.toMatchObject({name: 'AbortError', code: 'ERR_ABORTED', cause: reason});
      expect(await left(cache)).toEqual([]);
      builderDoes('');
      expect(await buildEngine(model, {cache})).toMatchObject({cached: false});
    }
  });

  it('is not started after a signal that fires at its beginning', async () => {
    builderDoes('build=hang');
    const cache = freshCache();
    const controller = new AbortController();
    const onProgress = ({detail}: Progress) => detail === 'starting' && controller.abort();
    await expect(buildEngine(model, {cache, signal: controller.signal, onProgress})).rejects.toMatchObject({code: 'ERR_ABORTED'});
    expect(await left(cache)).toEqual([]);
  });

  it('is not taken for one of the model as it was hashed, where that has changed since', async () => {
    const cache = freshCache();
    const changing = folder('changing.onnx');
    await writeModel(affine(), changing);
    let time = 0;
    const onProgress = ({phase}: Progress) => phase === 'hash' && utimesSync(changing, 0, time++);
    await expect(buildEngine(changing, {cache, onProgress})).rejects.toMatchObject({
      code: 'ERR_BUILD',
      message: expect.stringMatching(/changing\.onnx or its external data changed.*build it again/),
    });
    expect(await left(cache)).toEqual([]);
  });

  it.each(['output', 'cache'] as const)('goes with a process that exits, and so does all it wrote: %s', async (place) => {
    const where = folder(`exits-${place}`);
    await mkdir(join(where, 'tmp'), {recursive: true});
    const OPTIONS = JSON.stringify(place === 'output' ? {output: join(where, 'engine'), cache: false} : {cache: where});
    const env = {
      TENSORRT_NODE_SIMULATOR_TENSORRT: 'build=hang',
      TENSORRT_NODE_CACHE: where,
      TMPDIR: join(where, 'tmp'),
      MODEL: model,
      OPTIONS,
    };
    expect(await program('engine/exit_building.mjs', env)).toBe('building');
    while ((await builders('environ', (environ) => environ.includes(`TENSORRT_NODE_CACHE=${where}\0`))).length > 0) await sleep(5);
    expect(await readdir(join(where, 'tmp'))).toEqual([]);
    expect(await readdir(join(where, 'engines')).catch(() => [])).toEqual([]);
    expect((await readdir(where)).sort()).toEqual(place === 'output' ? ['tmp'] : ['engines', 'locks', 'timings', 'tmp']);
  });

  it('is not even started for a signal that has fired', async () => {
    const cache = freshCache();
    await expect(buildEngine(model, {cache, signal: AbortSignal.abort()})).rejects.toMatchObject({code: 'ERR_ABORTED'});
    expect(existsSync(cache)).toBe(false);
  });

  it('ends when a callback throws, with what it threw', async () => {
    for (const name of ['onProgress', 'onLog'] as const) {
      const cache = freshCache();
      const options: BuildOptions = {
        cache,
        [name]: () => {
          throw new RangeError(`thrown by ${name}`);
        },
      };
      await expect(buildEngine(model, options)).rejects.toThrow(new RangeError(`thrown by ${name}`));
      expect(await left(cache)).toEqual([]);
    }
  });

  it('dies with its parent, and leaves no lock', async () => {
    const cache = freshCache();
    builderDoes('build=hang');
    // An environment that is this test's alone marks the process.
    process.env.TENSORRT_NODE_CACHE = cache;
    // Nobody is left to remove its scratch folder.
    process.env.TMPDIR = folder();
    const marked = () => builders('environ', (environ) => environ.includes(`TENSORRT_NODE_CACHE=${cache}\0`));
    const running = start(['build', model]);
    while ((await marked()).length === 0) await sleep(5);
    running.process.kill('SIGKILL');
    await running.result;
    while ((await marked()).length > 0) await sleep(5);
    delete process.env.TENSORRT_NODE_CACHE;
    process.env.TMPDIR = folder('tmp');
    builderDoes('');
    const result = await buildEngine(model, {cache});
    expect(result).toMatchObject({cached: false});
    expect(await readdir(join(cache, 'engines'))).toEqual([result.manifest.key]);
  });
});

describe('concurrent builds', () => {
  it('of one engine in one process build once', async () => {
    const cache = freshCache();
    builderDoes('buildStepMs=20');
    const waited: string[] = [];
    const onProgress = ({phase}: Progress) => waited.push(phase);
    const results = await Promise.all([1, 2, 3].map(() => buildEngine(model, {cache, onProgress})));
    expect(results.map(({cached}) => cached).sort()).toEqual([false, true, true]);
    expect(new Set(results.map(({manifest}) => manifest.builtAt)).size).toBe(1);
    expect(waited.filter((phase) => phase === 'wait')).toHaveLength(2);
  });

  it('of one engine in two processes build once', async () => {
    const cache = freshCache();
    builderDoes('buildStepMs=20');
    const outputs = ['one', 'two'].map((name) => folder(`process-${name}`));
    const results = await Promise.all(outputs.map((output) => command(['build', model, output, '--cache', cache, '--json'])));
    expect(results.map(({code}) => code)).toEqual([0, 0]);
    const built = results.map(({stdout}) => JSON.parse(stdout) as BuildResult);
    expect(built.map(({cached}) => cached).sort()).toEqual([false, true]);
    for (const output of outputs) expect(await readManifest(output)).toMatchObject({builtAt: built[0]!.manifest.builtAt});
  });

  it('leave the waiting when their signal fires, and the builder alone', async () => {
    const cache = freshCache();
    builderDoes('buildStepMs=20');
    const controller = new AbortController();
    const first = buildEngine(model, {cache, onProgress: ({phase}) => phase === 'build' && second()});
    let waiting: Promise<unknown> | undefined;
    const second = () => {
      waiting ??= buildEngine(model, {
        cache,
        signal: controller.signal,
        onProgress: ({phase}) => phase === 'wait' && controller.abort(),
      }).catch((error: unknown) => error);
    };
    expect(await first).toMatchObject({cached: false});
    expect(await waiting).toMatchObject({code: 'ERR_ABORTED'});
  });

  it('of different engines merge what they timed', async () => {
    const cache = freshCache();
    const other = folder('other.onnx');
    await writeModel(sum(), other);
    builderDoes('buildStepMs=10');
    await Promise.all([buildEngine(model, {cache}), buildEngine(other, {cache})]);
    const [name] = (await readdir(join(cache, 'timings'))).filter((each) => each.endsWith('.timings'));
    expect(name).toBe('tensorrt-10.6.0-simulated-gpu-0-9.0.timings');
    const alone: number[] = [];
    for (const each of [model, other]) {
      const timingCache = folder(`alone-${count++}.timings`);
      await buildEngine(each, {cache: false, timingCache, output: folder(`alone-${count++}`)});
      alone.push((await stat(timingCache)).size);
    }
    expect((await stat(join(cache, 'timings', name!))).size).toBeGreaterThan(Math.max(...alone));
  });
});

describe('a damaged cache', () => {
  it.each<[string, (place: string) => Promise<void>]>([
    ['a plan cut short', (place) => truncate(join(place, 'model.plan'), 10)],
    ['a manifest that is not JSON', (place) => writeFile(join(place, 'manifest.json'), '{')],
  ])('with %s is built again with a warning', async (_name, damage) => {
    const cache = freshCache();
    const {folder: place} = await buildEngine(model, {cache});
    await damage(place);
    const again = await buildEngine(model, {cache});
    expect(again).toMatchObject({cached: false, warnings: [expect.stringContaining('was damaged')]});
    expect(await buildEngine(model, {cache})).toMatchObject({cached: true, warnings: []});
  });

  it('of timings is replaced with a warning', async () => {
    const cache = freshCache();
    const timingCache = folder(`timings-${count++}`);
    await writeFile(timingCache, 'these are no timings');
    const result = await buildEngine(model, {cache, timingCache});
    expect(result.warnings).toEqual([expect.stringContaining('is no timing cache')]);
    expect(await buildEngine(model, {cache, timingCache, precision: 'fp16'})).toMatchObject({warnings: []});
  });
});

describe('calibration', () => {
  const batch = (rows: number) => ({x: {type: 'float32', dims: [rows, 4], data: new Float32Array(4 * rows).fill(0.5)}}) as const;
  const int8 = {precision: 'int8'} as const;

  it('takes batches as TensorRT wants them, and one ahead at most', async () => {
    let given = 0;
    let ended = false;
    async function* batches() {
      try {
        for (;;) {
          given++;
          yield batch(2);
        }
      } finally {
        ended = true;
      }
    }
    const calibrated: Progress[] = [];
    const result = await buildEngine(model, {
      ...int8,
      cache: freshCache(),
      output: folder('int8'),
      calibration: {batches: batches(), batchSize: 2, maxBatches: 3},
      onProgress: (progress) => progress.phase === 'calibrate' && calibrated.push(progress),
    });
    expect(given).toBe(3);
    expect(ended).toBe(true);
    expect(calibrated.map(({done, unit}) => [done, unit])).toEqual([
      [1, 'batches'],
      [2, 'batches'],
      [3, 'batches'],
    ]);
    expect(result.warnings).toEqual([expect.stringContaining('not cached')]);
    expect(result.manifest.options).toMatchObject({calibration: {algorithm: 'entropy2', batchSize: 2, maxBatches: 3}});
  });

  it('caches engines whose calibration has a key, also by the calibration cache that it wrote', async () => {
    const cache = freshCache();
    const file = folder('ranges', 'calibration.cache');
    const calibration = {batches: [batch(1)], key: 'halves', cache: file};
    expect(await buildEngine(model, {...int8, cache, calibration})).toMatchObject({cached: false, warnings: []});
    expect((await stat(file)).size).toBeGreaterThan(0);
    expect(await buildEngine(model, {...int8, cache, calibration})).toMatchObject({cached: true});
    expect(await buildEngine(model, {...int8, cache, calibration: {cache: file}})).toMatchObject({cached: true});
    const other = {batches: [batch(1)], key: 'others'};
    expect(await buildEngine(model, {...int8, cache, calibration: other})).toMatchObject({cached: false});
  });

  it.each<[string, () => Iterable<unknown> | AsyncIterable<unknown>, object]>([
    ['nothing', () => [], {cause: expect.objectContaining({option: 'calibration.batches'})}],
    [
      'another shape',
      () => [batch(1), batch(2)],
      {cause: expect.objectContaining({option: 'calibration.batches[1].x', message: expect.stringContaining('[1, 4]')})},
    ],
    ['no such input', () => [{y: batch(1).x}], {cause: expect.objectContaining({option: 'calibration.batches[0].y'})}],
    [
      'an error',
      () =>
        (async function* () {
          yield batch(1);
          throw new RangeError('the camera is off');
        })(),
      {message: expect.stringContaining('the camera is off'), cause: new RangeError('the camera is off')},
    ],
  ])('with %s fails the build with that as its cause', async (_name, batches, error) => {
    const cache = freshCache();
    const options = {...int8, cache, calibration: {batches: batches() as Iterable<ReturnType<typeof batch>>, key: 'k'}};
    await expect(buildEngine(model, options)).rejects.toMatchObject({code: 'ERR_BUILD', ...error});
    expect(await left(cache)).toEqual([]);
  });

  it('is given up with the signal while the next batch is awaited', async () => {
    const controller = new AbortController();
    async function* batches() {
      yield batch(1);
      controller.abort();
      await new Promise(() => {});
    }
    const options = {...int8, cache: freshCache(), calibration: {batches: batches(), key: 'k'}, signal: controller.signal};
    await expect(buildEngine(model, options)).rejects.toMatchObject({code: 'ERR_ABORTED'});
  });
});

describe('tensorrt-node build', () => {
  it('prints the folder, or all of the result as JSON', async () => {
    const cache = freshCache();
    const text = await command(['build', model, '--cache', cache]);
    expect(text).toMatchObject({code: 0, stderr: expect.stringContaining('profile 0, derived; --profile sets it: x=1x4:1x4:8x4')});
    const json = await command(['build', model, '--cache', cache, '--json']);
    const result = JSON.parse(json.stdout) as BuildResult;
    expect(result).toMatchObject({cached: true, manifest: {inputs: [{name: 'x'}]}});
    expect(text.stdout).toBe(`${result.folder}\n`);
  });

  it('calibrates from a folder, and says what pictures need', async () => {
    const arrays = folder('arrays');
    await mkdir(arrays);
    await writeNpy(join(arrays, 'a.npy'), {type: 'float32', dims: [3, 4], data: new Float32Array(12).fill(1)});
    const flags = ['--precision', 'int8', '--cache', freshCache(), '--calibration-folder', arrays];
    const built = await command(['build', model, ...flags, '--calibration-batch-size', '3', '--json']);
    expect(built).toMatchObject({code: 0, stderr: expect.stringContaining('calibrate: 1 batches')});
    expect(JSON.parse(built.stdout)).toMatchObject({cached: false, manifest: {options: {calibration: {batchSize: 3}}}});
    expect(JSON.parse((await command(['build', model, ...flags, '--calibration-batch-size', '3', '--json'])).stdout)).toMatchObject({
      cached: true,
    });
    expect(await command(['build', model, ...flags, '--calibration-batch-size', '4'])).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('calibration.folder must be a folder with at least 4 samples'),
    });
    await writeFile(join(arrays, 'a.png'), 'no picture');
    await writeFile(folder('preprocess.mjs'), 'export default () => ({})');
    expect(await command(['build', model, ...flags, '--preprocess', folder('preprocess.mjs')])).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/npm install sharp|is not a picture/),
    });
  });

  it("names what is wrong, and shows the log's last lines", async () => {
    process.env.TENSORRT_NODE_SIMULATOR_TENSORRT = 'build=print-and-abort';
    const failed = await command(['build', model, folder('cli'), '--no-cache']);
    expect(failed).toMatchObject({code: 1, stdout: ''});
    expect(failed.stderr).toMatch(/LLVM ERROR: out of memory\ntensorrt-node: the builder process was ended by SIGABRT.*\[ERR_BUILD\]\n$/);
  });

  it.each<[string[], Record<string, string>, number, string]>([
    [[], {TENSORRT_NODE_CUDA_DRIVER: '/nonexistent'}, 1, 'building engines needs a GPU: .*\\[ERR_CUDA\\]'],
    [[], {TENSORRT_NODE_ADDON: 'off'}, 1, '\\[ERR_ADDON\\]'],
    [['--tensorrt-path', '/nonexistent'], {}, 1, '\\[ERR_TENSORRT\\]'],
    [['--device', '7'], {}, 2, 'device must be one of the GPUs here'],
    [['--tiling', 'fast'], {}, 1, 'tiling needs TensorRT 10.8 or later, and 10.6.0 is loaded.*\\[ERR_UNSUPPORTED\\]'],
    [['--hardware-compatibility', 'same-compute-capability'], {}, 1, 'needs TensorRT 10.9 or later'],
    [['--precision', 'int8'], {}, 2, "calibration must be given for precision 'int8'"],
    [['--profile', 'x=1x4'], {}, 0, 'profile 0: x=1x4'],
    [['--profile', 'x=4'], {}, 2, "profiles\\[0\\].x must be shapes that fit 'x' \\[n, 4\\]"],
    [['--profile', 'x'], {}, 2, 'It is not NAME=MIN:OPT:MAX'],
    [['--workspace', '4XB'], {}, 2, 'It is not a size'],
    [['--no-cache'], {}, 2, 'output must be a folder where cache is false'],
    [['--tiling', 'fast'], {TENSORRT_NODE_SIMULATOR_TENSORRT: 'version=10.8.0'}, 0, 'for TensorRT 10.8.0'],
    [['--layer', 'Nothing*=fp32'], {}, 0, "warning: layers: no layer is called 'Nothing\\*'"],
  ])('%j with %j ends with %d', async (flags, env, code, text) => {
    const before = {...process.env};
    Object.assign(process.env, {TENSORRT_NODE_CACHE: freshCache(), ...env});
    try {
      const result = await command(['build', model, ...flags]);
      expect(result.stderr).toMatch(new RegExp(text));
      expect(result.code).toBe(code);
    } finally {
      for (const name of Object.keys(process.env)) if (!(name in before)) delete process.env[name];
      Object.assign(process.env, before);
    }
  });

  it('ends with its signal', async () => {
    const cache = freshCache();
    process.env.TENSORRT_NODE_SIMULATOR_TENSORRT = 'build=hang';
    const running = start(['build', model, '--cache', cache]);
    while (!existsSync(join(cache, 'engines'))) await sleep(5);
    running.process.kill('SIGINT');
    expect(await running.result).toMatchObject({code: 130, stdout: ''});
    expect(await readdir(join(cache, 'engines'))).toEqual([]);
  });
});
