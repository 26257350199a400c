// On a real GPU: what builds are asked for is in the engines they make, and caches give back what was built.
import assert from 'node:assert/strict';
import {existsSync, mkdtempSync, readdirSync, readFileSync, statSync} from 'node:fs';
import path from 'node:path';
import {describe, test} from 'node:test';

import {buildEngine, Engine} from '../../dist/index.js';
import {folder, modelFile, quick} from './engines/fixture.mjs';
import * as models from './engines/models.mjs';

const perceptron = () => modelFile('perceptron');
const common = {...quick, profiles: models.perceptronProfiles};
const scratch = () => mkdtempSync(path.join(folder, 'build-'));
const planOf = (where) => readFileSync(path.join(where, 'model.plan'));

async function assertGives(source, scale = 1, options = {}) {
  const engine = await Engine.load(source, {backend: 'tensorrt', ...options});
  try {
    const x = models.perceptronInput(4);
    const {y} = await engine.run({x});
    for (const [index, value] of models.perceptronOutput(x, scale).entries()) {
      assert(
        Math.abs(y.data[index] - value) <= 1e-3 * Math.max(1, Math.abs(value)),
        `element ${index}: ${y.data[index]}, expected ${value}`,
      );
    }
    return engine.manifest;
  } finally {
    await engine.dispose();
  }
}

describe('caches', () => {
  test('a second identical build is the cache’s, another precision is not, and what was timed is kept', async () => {
    const cache = scratch();
    const timingCache = path.join(cache, 'timing');
    const options = {...common, cache, timingCache};
    const first = await buildEngine(await perceptron(), options);
    assert.equal(first.cached, false);
    assert(statSync(timingCache).size > 0);
    const second = await buildEngine(await perceptron(), options);
    assert.equal(second.cached, true);
    assert.equal(second.folder, first.folder);
    const output = path.join(cache, 'shipped');
    assert.equal((await buildEngine(await perceptron(), {...options, output})).cached, true);
    assert(planOf(output).equals(planOf(first.folder)));
    assert.equal((await buildEngine(await perceptron(), {...options, precision: 'fp16'})).cached, false);
    await assertGives(output);
  });

  test('identical builds at once build once', async () => {
    const cache = scratch();
    const options = {...common, cache};
    const results = await Promise.all([perceptron, perceptron, perceptron].map(async (file) => buildEngine(await file(), options)));
    assert.deepEqual(results.map(({cached}) => cached).sort(), [false, true, true]);
    assert.equal(new Set(results.map((result) => result.folder)).size, 1);
    await assertGives(results[0].folder);
  });
});

describe('weights apart from the plan', () => {
  test('a plan for refits takes the weights of another file, while it is loaded', async () => {
    const output = path.join(scratch(), 'refit');
    await buildEngine(await perceptron(), {...common, refit: true, output});
    const engine = await Engine.load(output, {backend: 'tensorrt'});
    const binding = engine.bind({x: [4, 16]});
    const x = models.perceptronInput(4);
    binding.inputs.x.data.set(x.data);
    for (const scale of [1, 2]) {
      if (scale === 2) await engine.refit(await modelFile('perceptron-doubled', models.perceptron(2)));
      const expected = models.perceptronOutput(x, scale);
      await binding.run();
      for (const got of [(await engine.run({x})).y.data, binding.outputs.y.data]) {
        for (const [index, value] of expected.entries()) assert(Math.abs(got[index] - value) < 1e-3, `scale ${scale}, element ${index}`);
      }
    }
    await engine.dispose();
  });

  test('a stripped plan is filled from the model at load', async () => {
    const output = path.join(scratch(), 'stripped');
    await buildEngine(await perceptron(), {...common, strip: true, output});
    const manifest = await assertGives(output);
    assert.equal(manifest.stripped, true);
    await assertGives(output, 1, {model: await perceptron()});
  });

  test('streamed weights come from host memory', async () => {
    const output = path.join(scratch(), 'streamed');
    await buildEngine(await modelFile('wide', models.wide()), {
      ...quick,
      profiles: [{x: {min: [1, 1024], opt: [2, 1024], max: [4, 1024]}}],
      weightStreaming: true,
      output,
    });
    const x = {type: 'float32', dims: [2, 1024], data: Float32Array.from({length: 2048}, (_, index) => (index + 1) / 16)};
    const expected = [...x.data.slice(0, 1024).reverse(), ...x.data.slice(1024).reverse()].map((value) => -value);
    for (const weightStreamingBudget of [undefined, 0]) {
      const engine = await Engine.load(output, {backend: 'tensorrt', weightStreamingBudget});
      assert(engine.statistics().streamableWeightsBytes > 0);
      assert.deepEqual([...(await engine.run({x})).y.data], expected);
      await engine.dispose();
    }
  });
});

for (const [name, options, check] of [
  ['a version-compatible plan', {versionCompatible: true}, ({tensorrt}) => tensorrt.versionCompatible === true],
  [
    'a version-compatible plan without its runtime',
    {versionCompatible: true, excludeLeanRuntime: true},
    ({tensorrt}) => tensorrt.versionCompatible === true,
  ],
  ['a plan for Ampere and later', {hardwareCompatibility: 'ampere-plus'}, ({gpu}) => gpu.hardwareCompatibility === 'ampere-plus'],
  ['fp16', {precision: 'fp16'}, ({precision}) => precision === 'fp16'],
  ['bf16', {precision: 'bf16'}, ({precision}) => precision === 'bf16'],
  [
    'fp32 kept by a layer of an fp16 engine',
    {precision: 'fp16', layers: [{pattern: 'out*', precision: 'fp32'}]},
    ({precision}) => precision === 'fp16',
  ],
  [
    'options that change no result',
    {sparsity: true, workspace: 2 ** 28, tacticSources: ['edge-mask-convolutions', 'jit-convolutions'], maxAuxStreams: 0},
    () => true,
  ],
]) {
  test(`${name} is built and gives the same`, async (t) => {
    const output = path.join(scratch(), 'engine');
    try {
      await buildEngine(await perceptron(), {...common, ...options, output});
    } catch (error) {
      // Another library of TensorRT's, which not every installation has; the error says so.
      if (!error.message.includes('Unable to load library: libnvinfer_lean')) throw error;
      t.skip('this TensorRT has no libnvinfer_lean');
      return;
    }
    const engine = await Engine.load(output, {backend: 'tensorrt'});
    assert(check(engine.manifest), JSON.stringify(engine.manifest));
    const x = models.perceptronInput(4);
    const {y} = await engine.run({x});
    // bf16 keeps 8 bits.
    for (const [index, value] of models.perceptronOutput(x).entries())
      assert(Math.abs(y.data[index] - value) < 0.03 * Math.max(8, Math.abs(value)));
    await engine.dispose();
  });
}

test('int8 is calibrated with batches, and again from the cache without them', async () => {
  const where = scratch();
  const model = await modelFile('convolutions', models.convolutions());
  let batches = 0;
  const build = (output, calibration) =>
    buildEngine(model, {...quick, precision: 'int8', profiles: models.convolutionProfiles, calibration, output: path.join(where, output)});
  const cache = path.join(where, 'calibration.cache');
  async function* batchesOf() {
    for (let seed = 0; seed < 8; seed++, batches++) yield {x: models.convolutionInput(4, seed)};
  }
  await build('first', {batches: batchesOf(), cache});
  assert.equal(batches, 8);
  assert(statSync(cache).size > 0);
  await build('second', {cache});

  await buildEngine(model, {...quick, profiles: models.convolutionProfiles, output: path.join(where, 'exact')});
  const exact = await Engine.load(path.join(where, 'exact'), {backend: 'tensorrt'});
  const x = models.convolutionInput(4, 99);
  const expected = (await exact.run({x})).y.data;
  for (const name of ['first', 'second']) {
    const engine = await Engine.load(path.join(where, name), {backend: 'tensorrt'});
    assert.equal(engine.manifest.precision, 'int8');
    const got = (await engine.run({x})).y.data;
    let [dot, a, b] = [0, 0, 0];
    for (const [index, value] of expected.entries()) {
      dot += got[index] * value;
      a += got[index] ** 2;
      b += value ** 2;
    }
    assert(dot / Math.sqrt(a * b) > 0.99, `cosine ${dot / Math.sqrt(a * b)}`);
    await engine.dispose();
  }
  await exact.dispose();
});

for (const [kind, {numbers, bits, back}] of Object.entries(models.quantizedCases)) {
  test(`a model with Q/DQ of ${kind} is built as it is typed, and takes and gives its bytes`, async () => {
    const output = path.join(scratch(), 'engine');
    const range = {min: [1, 16], opt: [1, 16], max: [4, 16]};
    await buildEngine(await modelFile(`quantized-${kind}`, models.quantized(kind)), {
      ...quick,
      profiles: [{numbers: range, bits: range}],
      output,
    });
    const engine = await Engine.load(output, {backend: 'tensorrt'});
    assert.deepEqual([engine.manifest.precision, engine.manifest.stronglyTyped], [kind === 'int8' ? 'int8' : 'fp8', true]);
    const filled = (array, values) => {
      array.set(values);
      return array;
    };
    const ArrayOf = kind === 'int8' ? Int8Array : Uint8Array;
    const results = await engine.run({
      numbers: {type: 'float32', dims: [1, 16], data: filled(new Float32Array(16), numbers)},
      bits: {type: kind, dims: [1, 16], data: filled(new ArrayOf(16), bits)},
    });
    for (const [name, expected] of Object.entries({small: bits, back, large: back})) {
      assert.deepEqual([...results[name].data.subarray(0, expected.length)], expected, name);
    }
    await engine.dispose();
  });
}

test('a build tells how far it is, and ends when it is aborted', async (t) => {
  const phases = new Set();
  const abort = new AbortController();
  let aborted;
  const output = path.join(scratch(), 'engine');
  const build = buildEngine(await modelFile('slow'), {
    ...quick,
    optimizationLevel: 5,
    profiles: [{x: {min: [1, 1], opt: [2048, 2048], max: [4096, 4096]}}],
    output,
    signal: abort.signal,
    onProgress({phase, detail}) {
      phases.add(phase);
      // TensorRT's own phases: the build is well under way.
      if (phase !== 'build' || detail === 'starting' || aborted !== undefined) return;
      aborted = performance.now();
      abort.abort();
    },
  });
  await assert.rejects(build, {code: 'ERR_ABORTED'});
  t.diagnostic(`ended ${(performance.now() - aborted).toFixed(0)} ms after the abort`);
  assert(phases.has('build'));
  assert(!existsSync(output));
});

test('a model that the parser refuses ends in an error with the log', async () => {
  const {GraphBuilder} = await import('../../dist/onnx/graph_builder.js');
  const {DataType} = await import('../../dist/onnx/data_type.js');
  const builder = GraphBuilder.create({name: 'unknown', opsets: {'': 17}, irVersion: 8});
  builder.op('NoSuchOperator', [builder.input('x', DataType.FLOAT, [4])], {output: 'y'});
  builder.output('y', DataType.FLOAT, [4]);
  const output = path.join(scratch(), 'engine');
  await assert.rejects(buildEngine(builder.build(), {...quick, output}), (error) => {
    assert.equal(error.code, 'ERR_BUILD');
    assert.match(`${error.message}\n${error.log.join('\n')}`, /NoSuchOperator/);
    return true;
  });
  assert(!existsSync(output) || readdirSync(output).length === 0);
});
