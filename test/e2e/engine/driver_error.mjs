// A call of the driver fails some time: that run rejects, the next ones do not. Prints the error as JSON.
import assert from 'node:assert/strict';

import {collected, dense, engine, tensor} from './fixture.mjs';

const loaded = await engine(dense());
const binding = loaded.bind([[2, 4]], {graph: true, timing: false});
const input = [tensor([2, 2, 2, 2], [1, 4])];
const errors = [];
for (let i = 0; i < 30 || errors.length === 0; i++) {
  for (const action of [async () => binding.run(), async () => loaded.run(input).result]) {
    await action().catch((error) => errors.push(error));
  }
}
assert.equal(errors.length, 1);
await binding.run();
await loaded.run(input).result;
binding.dispose();
await loaded.dispose();
assert(await collected(), 'memory is still out');
const [{code, call, result}] = errors;
console.log(JSON.stringify({code, call, result}));
