// Loads, describes and runs.
import assert from 'node:assert/strict';

import {collected, dense, device, engine, expand, floats, nonZero, tensor} from './fixture.mjs';

let loaded = await engine(dense());
const info = loaded.info();
assert.equal(info.profiles, 2);
assert.deepEqual(
  info.tensors.map(({name, mode, type, dims}) => ({name, mode, type, dims})),
  [
    {name: 'x', mode: 'input', type: 'float32', dims: [-1, 4]},
    {name: 'y', mode: 'output', type: 'float32', dims: [-1, 4]},
  ],
);
assert.deepEqual(info.tensors[0].profiles[1], {min: [9, 4], opt: [16, 4], max: [1024, 4]});
JSON.parse(loaded.layerInformation());

// The caller may reuse its array at once; both profiles; results are its own.
const values = Float32Array.of(1, 2, 3, 0);
const first = loaded.run([{buffer: values.buffer, byteOffset: 0, byteLength: 16, dims: [1, 4]}]).result;
values.fill(9);
assert.deepEqual(floats((await first)[0]), [0, 1, 2, 0]);
const [many] = await loaded.run([tensor(Array(1024 * 4).fill(3), [1024, 4])]).result;
assert.deepEqual(many.dims, [1024, 4]);
assert(floats(many).every((value) => value === 2));

// Pinned memory is used where it is, and stays out of the pool although it is given back meanwhile.
const pinned = device.allocatePinned(64);
new Float32Array(pinned.buffer).fill(5);
const run = loaded.run([{buffer: pinned.buffer, byteOffset: 16, byteLength: 32, dims: [2, 4]}]);
pinned.dispose();
assert.deepEqual(floats((await run.result)[0]), Array(8).fill(4));

// More runs than contexts.
const results = await Promise.all(Array.from({length: 50}, (_, i) => loaded.run([tensor([i, i, i, i], [1, 4])]).result));
results.forEach(([{buffer}], i) => {
  assert.equal(new Float32Array(buffer)[0], Math.max(i - 1, 0));
});

// Mistakes are told before anything is queued.
for (const [wrong, message] of [
  [[], /array of 1 inputs/],
  [[tensor([1, 2], [1, 4])], /'x' of shape \[1, 4\] has 16 bytes, got 8/],
  [[{...tensor([1, 2, 3, 4], [1, 4]), byteOffset: 4}], /not within its buffer/],
  [[{...tensor([1, 2, 3, 4], [1, 4]), buffer: new SharedArrayBuffer(16)}], /expected an ArrayBuffer/],
  [[{...tensor([1, 2, 3, 4], [-1, 4])}], /dimension/],
  [[5], /expected an object/],
]) {
  assert.throws(() => loaded.run(wrong), {message});
}
await assert.rejects(loaded.run([tensor([], [0, 4])]).result, {code: 'ERR_TENSORRT', message: /no optimization profile .* x \[0, 4\]/});
await loaded.dispose();
await loaded.dispose();
assert.throws(() => loaded.run([tensor([1, 2, 3, 4], [1, 4])]), {code: 'ERR_DISPOSED'});
assert.throws(() => loaded.info(), {code: 'ERR_DISPOSED'});

loaded = await engine(nonZero());
for (const data of [[0, 1, 0, 0, 2, 0, 0, 3], Array(8).fill(0), Array(8).fill(1)]) {
  const [{dims, buffer}] = await loaded.run([tensor(data)]).result;
  const expected = data.flatMap((value, i) => (value === 0 ? [] : [BigInt(i)]));
  assert.deepEqual(dims, [1, expected.length]);
  assert.deepEqual([...new BigInt64Array(buffer)], expected);
}
await loaded.dispose();

loaded = await engine(expand());
const shape = loaded.info().tensors.find(({name}) => name === 'shape');
assert.deepEqual([shape.location, shape.isShapeTensor], ['host', true]);
assert.deepEqual(shape.profiles[0].values, {min: [1, 3], opt: [2, 3], max: [12, 3]});
const order = loaded
  .info()
  .tensors.filter(({mode}) => mode === 'input')
  .map(({name}) => name);
for (const rows of [2, 12, 2, 1]) {
  const inputs = {x: tensor([1, 2, 3], [1, 3]), shape: tensor([BigInt(rows), 3n])};
  const [{dims, buffer}] = await loaded.run(order.map((name) => inputs[name])).result;
  assert.deepEqual(dims, [rows, 3]);
  assert.deepEqual([...new Float32Array(buffer)], Array(rows).fill([1, 2, 3]).flat());
}
await loaded.dispose();

assert(await collected(), 'memory is still out');
console.log('done');
