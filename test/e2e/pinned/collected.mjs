// Memory returns to the pool when JavaScript drops it, and not before.
import assert from 'node:assert/strict';

import {Device} from '../../../dist/native/device.js';

const device = Device.open(0);

/** Collects garbage until the pool has `blocks` out. */
async function collectUntil(blocks) {
  for (let i = 0; i < 200 && device.pinnedStats().usedBlocks !== blocks; i++) {
    globalThis.gc();
    await new Promise(setImmediate);
  }
  assert.equal(device.pinnedStats().usedBlocks, blocks);
}

(() => {
  for (let i = 0; i < 50; i++) device.allocatePinned(4096 * (i + 1));
})();
await collectUntil(0);

// The ArrayBuffer alone keeps its memory.
let bytes = (() => new Uint8Array(device.allocatePinned(4096).buffer))();
bytes.fill(5);
await collectUntil(1);
assert(bytes.every((each) => each === 5));
bytes = undefined;
await collectUntil(0);

// So does a stream whose promise is pending: it is not collected before it settles.
const settled = (() => {
  const stream = device.createStream('dropped');
  const memory = device.allocate(4096, stream);
  stream.copyToDevice(memory, device.allocatePinned(4096));
  return stream.done();
})();
for (let i = 0; i < 5; i++) globalThis.gc();
await settled;
await collectUntil(0);
console.log('done');
