// The addon itself, without the checks of lib/native before it: refusals in words, never a crash.
import assert from 'node:assert/strict';

import {Device} from '../../../dist/native/device.js';
import {requireAddon} from '../../../dist/native/load.js';

const device = Device.open(0);
const stream = device.createStream('test');
const memory = device.allocate(1000, stream);
const addon = requireAddon();
const native = new addon.Device(0);
const bytes = new ArrayBuffer(100);

for (const wrong of [new SharedArrayBuffer(10), new Uint8Array(10), {}, undefined, null, 5]) {
  assert.throws(() => stream.native.copyToDevice(memory.native, 0, wrong, 0, 1), /expected an ArrayBuffer/);
  assert.throws(() => stream.native.copyToHost(wrong, 0, memory.native, 0, 1), /expected an ArrayBuffer/);
  assert.throws(() => addon.releasePinned(wrong), /expected an ArrayBuffer/);
}
for (const wrong of [-1, NaN, Infinity, 2 ** 53, 2 ** 64]) {
  assert.throws(() => stream.native.copyToDevice(memory.native, wrong, bytes, 0, 1), /a size is not/);
  assert.throws(() => stream.native.copyToDevice(memory.native, 0, bytes, wrong, 1), /a size is not/);
  assert.throws(() => stream.native.copyToHost(bytes, 0, memory.native, 0, wrong), /a size is not/);
  assert.throws(() => native.allocatePinned(wrong), /a size is not/);
  assert.throws(() => native.trimPinned(wrong), /a size is not/);
  assert.throws(() => native.trimDevice(wrong), /a size is not/);
}
for (const [offset, length] of [
  [0, 101],
  [100, 1],
  [101, 0],
  [Number.MAX_SAFE_INTEGER, 1],
  [1, Number.MAX_SAFE_INTEGER],
]) {
  assert.throws(() => stream.native.copyToDevice(memory.native, 0, bytes, offset, length), /do not fit a block of 100 bytes/);
}
for (const wrong of [{}, undefined, stream.native]) {
  assert.throws(() => stream.native.copyToDevice(wrong, 0, bytes, 0, 1), /class DeviceMemory/);
  assert.throws(() => stream.native.record(wrong), /class Event/);
}
assert.throws(() => stream.native.done.call(memory.native), TypeError);
assert.throws(() => addon.Stream(native, 'called as a function'), TypeError);
// What is thrown while an object is made leaves nothing behind.
assert.throws(() => new addon.DeviceMemory(native, 10, memory.native), /class Stream/);
memory.dispose();
console.log('done');
