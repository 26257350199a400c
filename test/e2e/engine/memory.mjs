// Where memory has run out, what the contexts of run() hold for their last shapes serves a binding.
import assert from 'node:assert/strict';

import {caught, collected, dense, device, engine, tensor} from './fixture.mjs';

const loaded = await engine(dense(256), {contexts: 1});
const stream = device.createStream('filler');
const filler = [];
async function run(rows) {
  const [{dims}] = await loaded.run([tensor(Array(rows * 256).fill(1), [rows, 256])]).result;
  assert.deepEqual(dims, [rows, 256]);
}

await run(1024);
for (let bytes = 2 ** 30; bytes >= 2 ** 18; ) {
  if (device.memory().freeBytes < 2 * bytes) bytes /= 2;
  else filler.push(device.allocate(bytes, stream));
}
assert(device.memory().freeBytes < 2 ** 20, 'the filler leaves room for the binding');
const binding = loaded.bind([[1000, 256]], {graph: true, timing: false});
await binding.run();
// And the other way round there is nothing to give.
assert.equal((await caught(() => run(1024))).code, 'ERR_OUT_OF_MEMORY');
await binding.run();
binding.dispose();
await run(1024);

for (const each of filler) each.dispose();
stream.dispose();
await loaded.dispose();
assert(await collected(), 'memory is still out');
console.log('done');
