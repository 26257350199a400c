// On a real GPU: what engines give, in every way to run them, and that nothing that goes wrong spoils them.
// With TENSORRT_NODE_TEST_BACKEND=cpu the same holds of the CPU backend, but for what only a GPU has.
import assert from 'node:assert/strict';
import {cpSync, mkdtempSync, readFileSync, writeFileSync} from 'node:fs';
import path from 'node:path';
import {after, before, describe, test} from 'node:test';

import {Engine} from '../../dist/index.js';
import {Device} from '../../dist/native/device.js';
import {backend, builtEngine, engineFolder, folder, loadEngine, slowInput, typeNames} from './engines/fixture.mjs';
import {
  convolutionInput,
  convolutionProfiles,
  convolutions,
  perceptronInput,
  perceptronOutput,
  products,
  productsInput,
  typeCases,
} from './engines/models.mjs';

const onGpu = backend === 'tensorrt';
/** Bits: halves may come as a Float16Array. */
const bits = ({buffer, byteOffset, byteLength}) => Buffer.from(buffer, byteOffset, byteLength).toString('hex');

function assertClose(actual, expected) {
  assert.equal(actual.length, expected.length);
  for (const [index, value] of expected.entries()) {
    assert(Math.abs(actual[index] - value) <= 1e-5 * Math.max(1, Math.abs(value)), `element ${index}: ${actual[index]}, expected ${value}`);
  }
}

async function assertAnswers(engine, seed = 3) {
  const x = perceptronInput(4, seed);
  assertClose((await engine.run({x})).y.data, perceptronOutput(x));
}

describe('an engine', () => {
  let engine;
  before(async () => {
    engine = await loadEngine('perceptron', {contexts: 4});
  });
  after(() => engine.dispose());

  for (const batch of [1, 4, 7, 32]) {
    test(`run gives what plain arithmetic gives, batch ${batch}`, async () => {
      const x = perceptronInput(batch);
      const {y} = await engine.run({x});
      assert.deepEqual([y.type, y.dims], ['float32', [batch, 16]]);
      assertClose(y.data, perceptronOutput(x));
    });
  }

  test('run takes pinned inputs, and many runs at once each get their own answer', async () => {
    const results = await Promise.all(
      Array.from({length: 64}, async (_, seed) => {
        const source = perceptronInput(1 + (seed % 32), seed);
        const x = engine.allocate('x', source.dims);
        x.data.set(source.data);
        return {source, y: (await engine.run({x})).y};
      }),
    );
    for (const {source, y} of results) assertClose(y.data, perceptronOutput(source));
  });

  test('a binding runs both ways, again and again', async (t) => {
    const binding = engine.bind({x: [4, 16]});
    if (onGpu) assert.equal(binding.graph, true);
    for (let seed = 0; seed < 20; seed++) {
      const x = perceptronInput(4, seed);
      binding.inputs.x.data.set(x.data);
      if (seed % 2 === 0) await binding.run();
      else binding.runSync();
      assertClose(binding.outputs.y.data, perceptronOutput(x));
    }
    t.diagnostic(engine.description);
    binding.dispose();
    await assert.rejects(binding.run(), {code: 'ERR_DISPOSED'});
  });

  test('four bindings at once do not mix their answers', async () => {
    const bindings = Array.from({length: 4}, (_, index) => engine.bind({x: [1 + index, 16]}));
    await Promise.all(
      bindings.map(async (binding, index) => {
        for (let round = 0; round < 200; round++) {
          const x = perceptronInput(1 + index, round * 7 + index);
          binding.inputs.x.data.set(x.data);
          await binding.run();
          assertClose(binding.outputs.y.data, perceptronOutput(x));
        }
      }),
    );
    for (const binding of bindings) binding.dispose();
  });

  test('a binding takes one run at a time', async () => {
    const binding = engine.bind({x: [4, 16]});
    const x = perceptronInput(4);
    binding.inputs.x.data.set(x.data);
    const first = binding.run();
    await assert.rejects(binding.run(), {code: 'ERR_BUSY'});
    await first;
    assertClose(binding.outputs.y.data, perceptronOutput(x));
    binding.dispose();
  });

  if (onGpu) {
    test('a binding without a graph gives the same, and tells the time on the GPU', async () => {
      const binding = engine.bind({x: [4, 16]}, {graph: false, timing: true});
      assert.equal(binding.graph, false);
      const x = perceptronInput(4);
      binding.inputs.x.data.set(x.data);
      await binding.run();
      assertClose(binding.outputs.y.data, perceptronOutput(x));
      assert(binding.gpuMilliseconds > 0);
      binding.dispose();
    });

    test('the inspector knows the layers', () => {
      assert(engine.layers().length > 0);
      assert(engine.statistics().layers > 0);
    });
  }

  const wrong = {
    'another rank': [{x: {type: 'float32', dims: [64], data: new Float32Array(64)}}, /inputs\.x/],
    'a shape that no profile allows': onGpu && [{x: {type: 'float32', dims: [33, 16], data: new Float32Array(33 * 16)}}, /inputs\.x.*32/],
    'another type': [{x: {type: 'float16', dims: [1, 16], data: new Uint16Array(16)}}, /inputs\.x\.type must be 'float32'/],
    'too few elements': [{x: {type: 'float32', dims: [2, 16], data: new Float32Array(16)}}, /inputs\.x\.data must be 32 elements/],
    'an input left out': [{}, /inputs\.x/],
    'an input it has not': [{x: perceptronInput(1), z: perceptronInput(1)}, /inputs\.z/],
  };
  for (const [name, fault] of Object.entries(wrong)) {
    if (!fault) continue;
    test(`${name} is named, and the engine still answers`, async () => {
      const [inputs, message] = fault;
      await assert.rejects(engine.run(inputs), {code: 'ERR_OPTION', message});
      await assertAnswers(engine);
    });
  }
});

/** A simulated GPU takes a core a second for some of them. */
const LAYER_RUNS = process.env.TENSORRT_NODE_TEST_SLOW === undefined ? {runs: 50} : {runs: 2, warmUp: 0};

/** Times that make sense, and a layer for the model's heavy nodes. */
function assertLayers(t, {layers, runs, totalMicroseconds, runMicroseconds, profiledRunMicroseconds}, model) {
  t.diagnostic(`a run ${runMicroseconds} us, with the profiler ${profiledRunMicroseconds} us, its layers ${totalMicroseconds / runs} us`);
  for (const layer of layers) t.diagnostic(JSON.stringify(layer));
  // Some layers are names for what others do.
  for (const {name, type, totalMicroseconds: time} of layers) assert(time > 0 || type === 'NoOp' || type === undefined, name);
  const ratio = totalMicroseconds / runs / profiledRunMicroseconds;
  assert(ratio > 0.5 && ratio < 2, `layers take ${ratio} of a run`);
  const heavy = model.graph.node.filter(({opType}) => opType === 'MatMul' || opType === 'Conv').map(({name}) => name);
  const joined = new Set(layers.flatMap(({nodes}) => nodes));
  const missing = heavy.filter((node) => !joined.has(node));
  assert(missing.length <= 0.1 * heavy.length, `no layer for ${missing.join(', ')}; there are ${[...joined].join(', ')}`);
}

if (onGpu) {
  for (const name of ['products', 'products-names']) {
    for (const rows of [4, 128]) {
      test(`layers have times that add up to the run's, and the nodes they were made of: ${name}, ${rows} rows`, async (t) => {
        const engine = await loadEngine(name);
        const profile = await engine.profileLayers({x: productsInput(rows)}, LAYER_RUNS);
        assertLayers(t, profile, products());
        if (name === 'products') assert(profile.layers.every(({type}) => type !== undefined));
        await engine.dispose();
      });
    }
  }

  test('so have convolutions', async (t) => {
    if (process.env.TENSORRT_NODE_TEST_SLOW !== undefined) return t.skip('a simulated GPU has none');
    const model = convolutions();
    const engine = await builtEngine('convolution-layers', model, {profiles: convolutionProfiles, precision: 'fp16'});
    assertLayers(t, await engine.profileLayers({x: convolutionInput(4, 1)}, LAYER_RUNS), model);
    await engine.dispose();
  });
}

test('every type comes through, bit by bit', async () => {
  const engine = await loadEngine('types');
  const cases = typeNames.map((type) => [type, ...typeCases[type]]);
  const outputs = await engine.run(Object.fromEntries(cases.map(([type, data]) => [type, {type, dims: [data.length], data}])));
  const binding = engine.bind(Object.fromEntries(cases.map(([type, data]) => [type, [data.length]])));
  for (const [type, {buffer}] of cases) {
    const {data} = binding.inputs[type];
    Buffer.from(data.buffer, data.byteOffset, data.byteLength).set(Buffer.from(buffer));
  }
  binding.runSync();
  for (const [type, , expected] of cases) {
    for (const output of [outputs[`${type}_out`], binding.outputs[`${type}_out`]]) {
      assert.deepEqual([output.type, output.dims], [type, [expected.length]]);
      assert.equal(bits(output.data), bits(expected), type);
    }
  }
  await engine.dispose();
});

test('outputs whose shape depends on the data have the right one each time', async () => {
  const engine = await loadEngine('non-zero');
  const binding = engine.bind({x: [8]});
  for (const values of [
    [0, 3, 0, 0, 5, 0, 0, 7],
    [1, 1, 1, 1, 1, 1, 1, 1],
    [0, 0, 0, 0, 0, 0, 0, 0],
    [0, 0, 0, 0, 0, 0, 0, 9],
  ]) {
    const expected = values.flatMap((value, index) => (value === 0 ? [] : [BigInt(index)]));
    const {positions} = await engine.run({x: {type: 'float32', dims: [8], data: Float32Array.from(values)}});
    assert.deepEqual([positions.type, positions.dims, [...positions.data]], ['int64', [1, expected.length], expected]);
    binding.inputs.x.data.set(values);
    await binding.run();
    assert.deepEqual([binding.outputs.positions.dims, [...binding.outputs.positions.data]], [[1, expected.length], expected]);
  }
  await engine.dispose();
});

test('an input that holds a shape decides the output’s', async () => {
  const engine = await loadEngine('expand');
  const x = {type: 'float32', dims: [1, 3], data: Float32Array.of(1, 2, 3)};
  for (const rows of [1, 4, 9]) {
    const {y} = await engine.run({x, shape: {type: 'int64', dims: [2], data: BigInt64Array.of(BigInt(rows), 3n)}});
    assert.deepEqual([y.dims, [...y.data]], [[rows, 3], Array.from({length: rows}, () => [1, 2, 3]).flat()]);
  }
  if (onGpu) {
    const tooMany = {type: 'int64', dims: [2], data: BigInt64Array.of(65n, 3n)};
    await assert.rejects(engine.run({x, shape: tooMany}), {code: 'ERR_OPTION', message: /inputs\.shape/});
  }
  await engine.dispose();
});

test('runs that are aborted, under way or waiting, end at once and leave the others alone', async () => {
  const engine = await loadEngine('slow');
  const x = slowInput();
  const abort = new AbortController();
  const runs = [engine.run({x}, {signal: abort.signal}), engine.run({x}, {signal: abort.signal}), engine.run({x})];
  setTimeout(() => abort.abort(new Error('enough')), 5);
  const [first, waiting, other] = await Promise.allSettled(runs);
  assert.equal(waiting.reason?.code, 'ERR_ABORTED');
  // A quick machine may have ended the first one in time.
  if (first.status === 'rejected') assert.equal(first.reason.code, 'ERR_ABORTED');
  assert.equal(other.status, 'fulfilled', String(other.reason));
  assert.equal(bits(other.value.y.data), bits(x.data));
  assert.equal(bits((await engine.run({x})).y.data), bits(x.data));
  await engine.dispose();
});

test('an engine that is disposed of ends the runs that wait', async () => {
  const engine = await loadEngine('slow');
  const x = slowInput();
  const runs = [engine.run({x}), engine.run({x}), engine.run({x})].map((run) => run.catch((error) => error));
  await engine.dispose();
  const settled = await Promise.all(runs);
  assert.equal(settled.at(-1).code, 'ERR_DISPOSED');
  await assert.rejects(engine.run({x}), {code: 'ERR_DISPOSED'});
});

if (onGpu) {
  describe('an engine folder that is not what it says', () => {
    const manifestOf = (where) => JSON.parse(readFileSync(path.join(where, 'manifest.json'), 'utf8'));
    const edited = (change) => (where) => {
      const manifest = manifestOf(where);
      change(manifest);
      writeFileSync(path.join(where, 'manifest.json'), JSON.stringify(manifest));
    };
    const faults = {
      'a plan with one bit changed': [
        (where) => {
          const plan = readFileSync(path.join(where, 'model.plan'));
          plan[plan.length >> 1] ^= 1;
          writeFileSync(path.join(where, 'model.plan'), plan);
        },
        {code: 'ERR_PLAN', message: /SHA-256/},
      ],
      'a plan cut short': [
        (where) => writeFileSync(path.join(where, 'model.plan'), readFileSync(path.join(where, 'model.plan')).subarray(0, 1000)),
        {code: 'ERR_PLAN', message: /1000 bytes/},
      ],
      'a plan of another TensorRT': [
        edited(({tensorrt}) => {
          tensorrt.version = '10.1.0';
        }),
        {code: 'ERR_PLAN_MISMATCH', message: /built by TensorRT 10\.1\.0.*build it again: npx tensorrt-node build/},
      ],
      'a plan of another GPU': [
        edited(({gpu}) => {
          gpu.computeCapability = '5.2';
          gpu.hardwareCompatibility = 'none';
        }),
        {code: 'ERR_PLAN_MISMATCH', message: /compute capability 5\.2.*build it again/},
      ],
      'a manifest with another hash': [
        edited(({plan}) => {
          plan.sha256 = '0'.repeat(64);
        }),
        {code: 'ERR_PLAN'},
      ],
      'a manifest that is no JSON': [(where) => writeFileSync(path.join(where, 'manifest.json'), '{"plan": '), {code: 'ERR_MANIFEST'}],
      'a manifest of another kind': [
        edited((manifest) => {
          manifest.formatVersion = 99;
        }),
        {code: 'ERR_MANIFEST'},
      ],
    };
    for (const [name, [spoil, error]] of Object.entries(faults)) {
      test(`${name} is refused, and another engine still answers`, async () => {
        const engine = await loadEngine('perceptron');
        const where = mkdtempSync(path.join(folder, 'spoilt-'));
        cpSync(await engineFolder('perceptron'), where, {recursive: true});
        spoil(where);
        await assert.rejects(Engine.load(where, {backend}), error);
        await assertAnswers(engine);
        await engine.dispose();
      });
    }

    test('bytes that are no plan, under a manifest that vouches for them, are TensorRT’s to refuse', async () => {
      const where = mkdtempSync(path.join(folder, 'spoilt-'));
      cpSync(await engineFolder('perceptron'), where, {recursive: true});
      const {createHash} = await import('node:crypto');
      const plan = Buffer.alloc(5000, 7);
      writeFileSync(path.join(where, 'model.plan'), plan);
      edited((manifest) => {
        Object.assign(manifest.plan, {bytes: plan.length, sha256: createHash('sha256').update(plan).digest('hex')});
      })(where);
      await assert.rejects(Engine.load(where, {backend}), {code: 'ERR_TENSORRT'});
      const engine = await loadEngine('perceptron');
      await assertAnswers(engine);
      await engine.dispose();
    });
  });

  test('a lack of device memory is an error, and the engine answers once there is some again', async () => {
    const engine = await loadEngine('perceptron');
    const big = await loadEngine('slow');
    // What it needs, it has from its first run on.
    await assertAnswers(engine);
    const device = Device.open(0);
    const stream = device.createStream('all the memory');
    const hold = [];
    try {
      for (let bytes = device.memory().freeBytes; bytes > 2 ** 20; bytes = Math.floor(bytes / 2)) {
        try {
          hold.push(device.allocate(bytes, stream));
        } catch (error) {
          assert.equal(error.code, 'ERR_OUT_OF_MEMORY');
        }
      }
      await assert.rejects(async () => big.bind({x: slowInput().dims.map((dim) => 2 * dim)}), {code: 'ERR_OUT_OF_MEMORY'});
      await assertAnswers(engine);
    } finally {
      for (const each of hold) each.dispose();
    }
    await stream.done();
    const x = slowInput();
    assert.equal(bits((await big.run({x})).y.data), bits(x.data));
    await assertAnswers(engine);
    await Promise.all([engine.dispose(), big.dispose()]);
  });
}
