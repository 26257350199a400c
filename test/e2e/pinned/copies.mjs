// Bytes written by JavaScript go to the GPU and come back, while the event loop goes on.
import assert from 'node:assert/strict';

import {Device} from '../../../dist/native/device.js';

const device = Device.open(0);
const stream = device.createStream('test');
const bytes = 1 << 20;
const source = device.allocatePinned(bytes);
const target = device.allocatePinned(bytes);
assert(source.buffer instanceof ArrayBuffer);
const written = new Uint8Array(source.buffer);
for (let i = 0; i < bytes; i++) written[i] = (i * 31) & 0xff;

const memory = device.allocate(bytes, stream);
let turns = 0;
// A GPU is done before any timer is due.
let turn = setImmediate(function next() {
  turns++;
  turn = setImmediate(next);
});
stream.copyToDevice(memory, source);
stream.copyToHost(target, memory);
await stream.done();
clearImmediate(turn);
assert(turns > 0, 'the event loop stood still during the copies');
assert.equal(Buffer.compare(Buffer.from(target.buffer), Buffer.from(source.buffer)), 0);

// Parts of a buffer, and views of it.
stream.copyToDevice(memory, new Uint8Array(source.buffer, 100, 50), {toOffset: 1000});
stream.copyToHost(target, memory, {fromOffset: 1000, toOffset: 5, byteLength: 50});
await stream.done();
assert.deepEqual(new Uint8Array(target.buffer, 5, 50), new Uint8Array(source.buffer, 100, 50));

// Memory is handed back while a copy from it is under way: nobody may get it before that is done.
stream.copyToDevice(memory, source);
source.dispose();
const other = device.allocatePinned(bytes);
new Uint8Array(other.buffer).fill(1);
await stream.done();

const [first, second] = [device.createEvent({timing: true}), device.createEvent({timing: true})];
stream.record(first);
stream.copyToHost(target, memory);
stream.record(second);
await stream.done();
assert(second.millisecondsSince(first) > 0);
console.log('done');
