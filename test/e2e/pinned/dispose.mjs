// A disposed buffer is detached, and its memory is the pool's again.
import assert from 'node:assert/strict';

import {Device} from '../../../dist/native/device.js';

const device = Device.open(0);
const buffer = device.allocatePinned(10_000);
const view = new Uint8Array(buffer.buffer);
assert.equal(buffer.byteLength, 10_000);
assert.equal(device.pinnedStats().usedBlocks, 1);

buffer.dispose();
assert.equal(buffer.byteLength, 0);
assert.equal(view.length, 0);
assert.equal(device.pinnedStats().usedBlocks, 0);
buffer.dispose();
buffer[Symbol.dispose]();
assert.equal(device.pinnedStats().idleBlocks, 1);

// The same memory under a new buffer; the old one's finaliser, which comes later, leaves it alone.
const again = device.allocatePinned(9_000);
assert.equal(device.pinnedStats().reuses, 1);
new Uint8Array(again.buffer).fill(7);
for (let i = 0; i < 5; i++) {
  globalThis.gc();
  await new Promise(setImmediate);
}
assert.equal(device.pinnedStats().usedBlocks, 1);
buffer.dispose();
assert.equal(device.pinnedStats().usedBlocks, 1);
again.dispose();
assert.equal(device.pinnedStats().usedBlocks, 0);

// It cannot be transferred: Node 20 copies it instead, later ones refuse.
const stays = device.allocatePinned(10);
try {
  structuredClone(stays.buffer, {transfer: [stays.buffer]});
} catch (error) {
  assert.equal(error.name, 'DataCloneError');
}
assert.equal(stays.byteLength, 10);
stays.dispose();

// Where JavaScript can move an ArrayBuffer's memory to another, dispose must not take it from there.
const moved = device.allocatePinned(5_000);
if (typeof moved.buffer.transfer === 'function') {
  const {usedBlocks} = device.pinnedStats();
  const taken = moved.buffer.transfer();
  moved.dispose();
  assert.equal(device.pinnedStats().usedBlocks, usedBlocks);
  new Uint8Array(taken).fill(1);
}

assert(device.trimPinned() > 0);
assert.equal(device.pinnedStats().idleBlocks, 0);
console.log('done');
