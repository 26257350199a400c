// What goes wrong is told by type, and the engine still answers afterwards. Prints the errors of loading as JSON.
import assert from 'node:assert/strict';
import path from 'node:path';

import {addon, caught, collected, dense, device, engine, floats, load, plan, tensor} from './fixture.mjs';

const bytes = await plan(dense());
const report = async (action) => {
  const {code, call, message, hint} = await caught(action);
  return {code, call, message, hint};
};
const truncated = bytes.slice(0, bytes.length / 2);
const errors = {
  empty: await report(() => load(new Uint8Array())),
  garbage: await report(() => load(new Uint8Array(1000).fill(7))),
  truncated: await report(() => load(truncated)),
  noLibrary: await report(() => load(bytes, {tensorrt: [path.join(process.cwd(), 'nothing.so')]})),
  noDevice: await report(() => load(bytes, {device: 9})),
  noContexts: await report(() => load(bytes, {contexts: 0})),
  noPlan: await report(() => load('plan')),
  noStreaming: await report(() => load(bytes, {weightStreamingBudget: 0})),
  noRefit: await report(() => load(bytes, {refitFrom: 'model.onnx'})),
};
assert.throws(() => addon.loadEngine(), {message: /expected a request/});

// One run fails, others do not.
const loaded = await load(bytes);
const input = [tensor([2, 2, 2, 2], [1, 4])];
const good = async () => assert.deepEqual(floats((await loaded.run(input).result)[0]), [1, 1, 1, 1]);
await good();

// More memory than there is: what was needed, and the next run finds all that is left.
const huge = {model: dense(1024, 0).model, profiles: [{x: {min: [1, 1024], opt: [1, 1024], max: [1 << 20, 1024]}}]};
const wide = await engine(huge, {contexts: 1});
const rows = 3000;
const before = device.deviceStats().usedBytes;
const error = await caught(() => wide.run([tensor(Array(rows * 1024).fill(1), [rows, 1024])]).result);
assert.equal(error.code, 'ERR_OUT_OF_MEMORY');
assert.match(error.message, /device pool, \d+ bytes with \d+ in use/);
assert(device.deviceStats().usedBytes <= before);
const [{buffer}] = await wide.run([tensor(Array(1024).fill(1), [1, 1024])]).result;
assert(new Float32Array(buffer).every((value) => value === 1));
assert.equal((await caught(() => wide.bind([[rows, 1024]], {graph: true, timing: false}))).code, 'ERR_OUT_OF_MEMORY');
await good();

await Promise.all([loaded.dispose(), wide.dispose()]);
assert(await collected(), 'memory is still out');
console.log(JSON.stringify(errors));
