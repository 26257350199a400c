// New weights between runs: graphs that were captured with the old ones are captured again.
import assert from 'node:assert/strict';
import {mkdtempSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import path from 'node:path';

import {writeModel} from '../../../dist/onnx/write.js';
import {caught, collected, dense, floats, load, plan, tensor} from './fixture.mjs';

const folder = mkdtempSync(path.join(tmpdir(), 'refit-'));
const other = path.join(folder, 'other.onnx');
await writeModel(dense(4, 2).model, other);
const bytes = await plan(dense(4, -1), {flags: ['refit']});

const loaded = await load(bytes);
assert.equal(loaded.info().refittable, true);
const input = [tensor([2, 2, 2, 2], [1, 4])];
const run = async () => floats((await loaded.run(input).result)[0])[0];
const binding = loaded.bind([[1, 4]], {graph: true, timing: false});
assert.equal(binding.graph, true);
new Float32Array(binding.inputs[0]).fill(2);
const bound = async () => {
  await binding.run();
  return new Float32Array(binding.outputs[0])[0];
};
assert.deepEqual([await run(), await bound()], [1, 1]);

// Never while a binding runs, nor the other way round; runs of the engine wait.
const pending = binding.run();
assert.throws(() => loaded.refit(other), {code: 'ERR_BUSY'});
await pending;
const before = loaded.run(input).result;
const refitted = loaded.refit(other);
assert.throws(() => binding.run(), {code: 'ERR_BUSY'});
assert.throws(() => loaded.refit(other), {code: 'ERR_BUSY'});
assert.throws(() => loaded.bind([[1, 4]], {graph: true, timing: false}), {code: 'ERR_BUSY'});
const after = loaded.run(input).result;
await Promise.all([refitted, before, after]);
assert.deepEqual([await run(), await bound()], [4, 4]);

// One that fails leaves the engine usable.
assert.equal((await caught(() => loaded.refit(path.join(folder, 'missing.onnx')))).code, 'ERR_TENSORRT');
assert.deepEqual([await run(), await bound()], [4, 4]);
binding.dispose();
await loaded.dispose();

// At load.
const fresh = await load(bytes, {refitFrom: other});
assert.equal(floats((await fresh.run(input).result)[0])[0], 4);
await fresh.dispose();
rmSync(folder, {recursive: true});
assert(await collected(), 'memory is still out');
console.log('done');
