// A run can be cancelled at any moment, and the engine goes on.
import assert from 'node:assert/strict';

import {caught, collected, dense, engine, floats, tensor} from './fixture.mjs';

const loaded = await engine(dense(), {contexts: 1});
const input = [tensor([2, 2, 2, 2], [1, 4])];

// Under way, waiting, cancelled twice, cancelled when all is over.
const [first, second, third] = [loaded.run(input), loaded.run(input), loaded.run(input)];
second.cancel();
second.cancel();
assert.equal((await caught(() => second.result)).code, 'ERR_ABORTED');
first.cancel();
assert.equal((await caught(() => first.result)).code, 'ERR_ABORTED');
assert.deepEqual(floats((await third.result)[0]), [1, 1, 1, 1]);
third.cancel();
await third.result;

// At every stage of a run.
let aborted = 0;
for (let delay = 0; delay < 60; delay++) {
  const run = loaded.run(input);
  const other = loaded.run(input);
  const until = performance.now() + delay * 0.02;
  while (performance.now() < until);
  run.cancel();
  await run.result.catch(({code}) => {
    assert.equal(code, 'ERR_ABORTED');
    aborted++;
  });
  await other.result;
}
assert(aborted > 0);

// Promises of runs that wait reject with the engine's end; the one under way comes to its own.
const runs = Array.from({length: 20}, () =>
  loaded.run(input).result.then(
    () => 'done',
    ({code}) => code,
  ),
);
await loaded.dispose();
const ends = await Promise.all(runs);
assert(ends.every((end) => end === 'done' || end === 'ERR_DISPOSED'));
assert.equal(ends.at(-1), 'ERR_DISPOSED');
assert(await collected(), 'memory is still out');
console.log('done');
