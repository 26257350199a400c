// Ten thousand runs take no more memory than a hundred, pinned or not, and none from the driver.
import assert from 'node:assert/strict';

import {collected, dense, device, engine, tensor} from './fixture.mjs';

// One context: which of several takes a run is chance, and each takes memory with its first of a shape.
const loaded = await engine(dense(), {contexts: 1});
const binding = loaded.bind([[2, 4]], {graph: true, timing: false});
const large = tensor(Array(1024 * 4).fill(1), [1024, 4]);
const small = tensor([1, 2, 3, 4], [1, 4]);

async function runs(count) {
  for (let i = 0; i < count; i++) {
    const [, [{buffer}]] = await Promise.all([binding.run(), loaded.run([i % 10 === 0 ? large : small]).result]);
    assert(buffer.byteLength > 0);
    if (i % 500 === 0) globalThis.gc();
  }
  globalThis.gc();
  await new Promise(setImmediate);
}

await runs(600);
const allocations = device.deviceStats().allocations;
const pinned = device.pinnedStats().reservedBytes;
const {rss} = process.memoryUsage();
await runs(10_000);
assert.equal(device.deviceStats().allocations, allocations, 'device memory was taken from the driver');
assert(device.pinnedStats().reservedBytes <= 2 * pinned, 'pinned memory grew');
const grown = process.memoryUsage().rss - rss;
assert(grown < 40e6, `memory grew by ${grown} bytes`);

binding.dispose();
await loaded.dispose();
assert(await collected(), 'memory is still out');
console.log('done');
