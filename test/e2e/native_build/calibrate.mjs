// Batches for the calibrator: asked for one by one, copied, checked; the wait for one can be cancelled.
import assert from 'node:assert/strict';
import {readFileSync} from 'node:fs';

import {addon, batch, calibration, failure, file, request} from './fixture.mjs';

const wanted = await request(undefined, {flags: ['int8'], calibration});

async function calibrated(batches) {
  let asked = 0;
  const build = addon.buildEngine(wanted, {
    progress() {},
    batchWanted() {
      const next = batches[asked++] ?? null;
      build.provideBatch(next);
      // It was copied.
      if (next !== null) new Float32Array(next.x.buffer).fill(99);
    },
  });
  await build.result;
  assert.equal(asked, batches.length + 1);
  return readFileSync(file('calibration'), 'utf8');
}

const scales = await calibrated([batch(1), batch(2)]);
assert.equal(await calibrated([batch(1), batch(2)]), scales);
assert.notEqual(await calibrated([batch(1), batch(3)]), scales);

// A part of a larger buffer.
const larger = new Float32Array(20).fill(7);
larger.fill(1, 4, 12);
const part = {x: {buffer: larger.buffer, byteOffset: 16, byteLength: 32, dims: [2, 4]}};
assert.equal(await calibrated([part, batch(2)]), scales);

const refused = async (answer) => {
  const build = addon.buildEngine(wanted, {progress() {}, batchWanted: () => build.provideBatch(answer)});
  return failure(() => build.result);
};
assert.match((await refused({})).message, /calibration batch 1: input 'x' is missing/);
assert.match((await refused(batch(1, 3))).message, /input 'x' has the shape \[3, 4\], expected \[2, 4\]/);
assert.match((await refused(null)).message, /no batch to calibrate with/);

// What is no batch at all is refused where it is given, and the build goes on waiting.
const problems = [];
const build = addon.buildEngine(wanted, {
  progress() {},
  async batchWanted() {
    const {x} = batch(1);
    for (const each of [
      undefined,
      1,
      {x: 1},
      {x: {...x, buffer: new SharedArrayBuffer(32)}},
      {x: {...x, byteLength: 36}},
      {x: {...x, dims: 2}},
    ])
      problems.push((await failure(() => build.provideBatch(each))).code);
    build.cancel();
  },
});
assert.equal((await failure(() => build.result)).code, 'ERR_ABORTED');
assert.deepEqual(problems, Array(6).fill('ERR_ADDON'));
// What a listener throws ends the build, also one that waits for a batch.
const thrower = (method) => ({
  progress() {},
  batchWanted() {},
  [method]() {
    throw new Error('on purpose');
  },
});
for (const method of ['progress', 'batchWanted']) {
  const {code, message} = await failure(() => addon.buildEngine(wanted, thrower(method)).result);
  assert.deepEqual([code, message], ['ERR_ADDON', `${method}() of the build's listener threw: on purpose`]);
}
console.log('done');
