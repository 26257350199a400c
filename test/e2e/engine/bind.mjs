// Bindings: fixed shapes, memory that stays, one run at a time.
import assert from 'node:assert/strict';

import {collected, dense, engine, expand, nonZero} from './fixture.mjs';

const loaded = await engine(dense());
for (const graph of [true, false]) {
  const binding = loaded.bind([[2, 4]], {graph, timing: true});
  assert.equal(binding.graph, graph);
  const input = new Float32Array(binding.inputs[0]);
  const output = new Float32Array(binding.outputs[0]);
  assert.equal(output.length, 8);
  assert.deepEqual(binding.outputDims(), [[2, 4]]);
  for (let i = 2; i < 20; i++) {
    input.fill(i);
    if (i % 2 === 0) {
      const run = binding.run();
      assert.throws(() => binding.run(), {code: 'ERR_BUSY'});
      assert.throws(() => binding.runSync(), {code: 'ERR_BUSY'});
      await run;
    } else {
      binding.runSync();
    }
    assert(output.every((value) => value === i - 1));
    assert(binding.gpuMilliseconds() > 0);
  }
  // The arrays are read-only properties.
  assert.throws(() => {
    binding.inputs = [];
  }, TypeError);
  binding.dispose();
  binding.dispose();
  assert.equal(input.length, 0);
  assert.throws(() => binding.run(), {code: 'ERR_DISPOSED'});
  assert.throws(() => binding.outputDims(), {code: 'ERR_DISPOSED'});
}
assert.throws(() => loaded.bind([[2, 4]], {graph: true, timing: false}).gpuMilliseconds(), {code: 'ERR_UNSUPPORTED'});
assert.throws(() => loaded.bind([[2, 5]], {graph: true, timing: false}), {code: 'ERR_TENSORRT'});
assert.throws(() => loaded.bind([], {graph: true, timing: false}), {message: /1 inputs/});
assert.throws(() => new (loaded.bind([[1, 4]], {graph: true, timing: false}).constructor)(), {message: /bind\(\)/});

// Several at once, each in its own pace.
const bindings = Array.from({length: 4}, (_, i) => loaded.bind([[i + 1, 4]], {graph: true, timing: false}));
await Promise.all(
  bindings.map(async (binding, which) => {
    const [input, output] = [new Float32Array(binding.inputs[0]), new Float32Array(binding.outputs[0])];
    for (let i = 0; i < 100; i++) {
      input.fill(i + which + 1);
      await binding.run();
      assert(output.every((value) => value === i + which));
    }
  }),
);

// They outlive their engine; disposed while a run is under way, that rejects, and the memory follows it.
await loaded.dispose();
const [kept, ...rest] = bindings;
new Float32Array(kept.inputs[0]).fill(3);
await kept.run();
assert.equal(new Float32Array(kept.outputs[0])[0], 2);
const pending = kept.run();
kept.dispose();
await assert.rejects(pending, {code: 'ERR_DISPOSED'});
for (const each of rest) each.dispose();

// Shapes that depend on data, and shapes that are inputs: no graph, and still right.
const places = await engine(nonZero());
const finder = places.bind([[8]], {graph: true, timing: false});
assert.equal(finder.graph, false);
assert.deepEqual(finder.outputDims(), [[1, -1]]);
assert.equal(finder.outputs[0].byteLength, 64);
for (const data of [[0, 0, 5, 0, 0, 0, 0, 1], Array(8).fill(0), Array(8).fill(1)]) {
  new Float32Array(finder.inputs[0]).set(data);
  await finder.run();
  const expected = data.flatMap((value, i) => (value === 0 ? [] : [BigInt(i)]));
  assert.deepEqual(finder.outputDims(), [[1, expected.length]]);
  assert.deepEqual([...new BigInt64Array(finder.outputs[0], 0, expected.length)], expected);
}
finder.dispose();
await places.dispose();

const shaped = await engine(expand());
const order = shaped
  .info()
  .tensors.filter(({mode}) => mode === 'input')
  .map(({name}) => name);
const at = order.indexOf('shape');
const shapes = order.map((name) => (name === 'x' ? [1, 3] : [2]));
const expander = shaped.bind(shapes, {graph: true, timing: false});
assert.equal(expander.graph, false);
assert.deepEqual(expander.outputDims(), [[-1, -1]]);
assert.deepEqual([...new BigInt64Array(expander.inputs[at])], [2n, 3n]);
new Float32Array(expander.inputs[1 - at]).set([1, 2, 3]);
for (const rows of [4, 12, 1]) {
  new BigInt64Array(expander.inputs[at]).set([BigInt(rows), 3n]);
  expander.runSync();
  assert.deepEqual(expander.outputDims(), [[rows, 3]]);
  assert.deepEqual([...new Float32Array(expander.outputs[0], 0, rows * 3)], Array(rows).fill([1, 2, 3]).flat());
}
expander.dispose();
await shaped.dispose();

assert(await collected(), 'memory is still out');
console.log('done');
