// Times of layers, and what becomes of the memory that taking them takes.
import assert from 'node:assert/strict';

import {caught, collected, dense, engine, expand, nonZero, tensor} from './fixture.mjs';

const x = () => [tensor([1, 2, 3, 4, 5, 6, 7, 8], [2, 4])];
const loaded = await engine(dense());
for (let round = 0; round < 20; round++) {
  const {layers, runs, profiledRuns, information} = await loaded.profileLayers(x(), {runs: 3, warmUp: 1}).result;
  assert.equal(layers.length, 3);
  for (const {milliseconds} of layers) assert(milliseconds.length === 3 && milliseconds.every((each) => each > 0));
  assert.equal(runs.length + profiledRuns.length, 6);
  // With the shapes of this run.
  assert.deepEqual(
    JSON.parse(information).Layers.map(({Name}) => Name),
    layers.map(({name}) => name),
  );
}
const cancelled = loaded.profileLayers(x(), {runs: 1e6, warmUp: 0});
const beside = loaded.profileLayers(x(), {runs: 10, warmUp: 0});
cancelled.cancel();
assert.equal((await caught(() => cancelled.result)).code, 'ERR_ABORTED');
await beside.result;
// Again is nothing.
cancelled.cancel();

assert.match((await caught(() => loaded.profileLayers([], {runs: 1, warmUp: 0}))).message, /an array of 1 inputs/);
assert.match((await caught(() => loaded.profileLayers(x(), {runs: 0, warmUp: 0}))).message, /runs: expected at least 1/);
const rows = Array.from({length: 4 * 2000}, () => 1);
const tooMany = loaded.profileLayers([tensor(rows, [2000, 4])], {runs: 1, warmUp: 0});
assert.match((await caught(() => tooMany.result)).message, /no optimization profile/);
await loaded.dispose();
assert.equal((await caught(() => loaded.profileLayers(x(), {runs: 1, warmUp: 0}))).code, 'ERR_DISPOSED');

for (const [drawn, inputs] of [
  [nonZero(), [tensor([0, 1, 0, 1, 1, 0, 0, 1])]],
  [expand(), [tensor([1, 2, 3], [1, 3]), tensor([4n, 3n])]],
]) {
  const other = await engine(drawn);
  assert.equal((await other.profileLayers(inputs, {runs: 2, warmUp: 0}).result).layers.length, 1);
  await other.dispose();
}
assert(await collected());
console.log('done');
