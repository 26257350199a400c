// A stream's thread ends with dispose, not when the stream is collected.
import assert from 'node:assert/strict';
import {readdirSync} from 'node:fs';

import {Device} from '../../../dist/native/device.js';

const threads = () => readdirSync('/proc/self/task').length;
const device = Device.open(0);
const kept = [];
const before = threads();
for (let i = 0; i < 30; i++) {
  const stream = device.createStream('short');
  kept.push(stream);
  await stream.done();
  stream.dispose();
  await assert.rejects(stream.done(), {code: 'ERR_DISPOSED'});
}
// Disposed while the promise is pending: it settles all the same.
const pending = [];
for (let i = 0; i < 30; i++) {
  const stream = device.createStream('pending');
  kept.push(stream);
  pending.push(stream.done());
  stream.dispose();
  stream.dispose();
}
await Promise.all(pending);
// Never more than asked for, and none left after the call that comes too late.
for (let i = 0; i < 30; i++) {
  const stream = device.createStream('late');
  kept.push(stream);
  stream.dispose();
  await assert.rejects(stream.done(), {code: 'ERR_DISPOSED'});
}
// The simulated streams' own threads end by themselves, too.
for (let i = 0; i < 400 && threads() > before; i++) await new Promise((resolve) => setTimeout(resolve, 5));
assert.equal(threads(), before);
console.log('done');
