// A runtime without libuv, as Bun: a thread alone finds out that runs are over, and the event loop sleeps meanwhile.
import assert from 'node:assert/strict';
import {performance} from 'node:perf_hooks';

Object.defineProperty(process, 'versions', {value: {...process.versions, bun: '1.3.0'}});
const {collected, dense, engine} = await import('./fixture.mjs');

const loaded = await engine(dense());
const bindings = Array.from({length: 3}, (_, i) => loaded.bind([[i + 1, 4]], {graph: true, timing: false}));
const turns = () => performance.nodeTiming.uvMetricsInfo.loopCount;
for (let i = 2; i < 12; i++) {
  for (const [which, binding] of bindings.entries()) new Float32Array(binding.inputs[0]).fill(i + which);
  const before = turns();
  await Promise.all(bindings.map((binding) => binding.run()));
  // One or two for each that ends; a loop that asks for itself turns hundreds of times.
  assert(turns() - before < 20, `${turns() - before} turns of the event loop`);
  for (const [which, binding] of bindings.entries()) assert.equal(new Float32Array(binding.outputs[0])[0], i + which - 1);
}
const [{buffer}] = await loaded.run([{buffer: new Float32Array([2, 3, 4, 5]).buffer, byteOffset: 0, byteLength: 16, dims: [1, 4]}]).result;
assert.deepEqual([...new Float32Array(buffer)], [1, 2, 3, 4]);
for (const binding of bindings) binding.dispose();
await loaded.dispose();
assert(await collected(), 'memory is still out');
console.log('done');
