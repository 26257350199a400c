// A build: its progress in order, its files, its result; and one at a time.
import assert from 'node:assert/strict';
import {existsSync, statSync} from 'node:fs';

import {addon, failure, file, request, silent, tensorrt} from './fixture.mjs';

const events = [];
const caches = {timingCache: file('timings'), timingCacheOut: file('timings')};
const layers = [
  {pattern: '*', precision: 'float32'},
  {pattern: 'nothing*', outputType: 'float16'},
];
const wanted = await request(undefined, {...caches, layers, flags: ['fp16', 'prefer-precision-constraints'], optimizationLevel: 1});
const build = addon.buildEngine(wanted, {...silent, progress: (event) => events.push(event)});
assert.equal((await failure(() => addon.buildEngine(wanted, silent))).code, 'ERR_BUSY');

const result = await build.result;
assert.deepEqual(result, {planBytes: statSync(file('model.plan')).size, layers: 3, unmatched: ['nothing*'], timingCacheUsed: false});
const [first, last] = [events[0], events.at(-1)];
assert.deepEqual(first, {event: 'start', phase: first.phase, steps: first.steps});
assert.deepEqual(last, {event: 'finish', phase: first.phase});
const open = new Map();
for (const {event, phase, parent, steps, step} of events) {
  if (event === 'start') {
    assert(parent === undefined || open.has(parent));
    open.set(phase, {steps, next: 0});
  } else if (event === 'step') {
    assert.equal(step, open.get(phase).next++);
    assert(step < open.get(phase).steps);
  } else assert(open.delete(phase));
}
assert.equal(open.size, 0);

assert.equal((await addon.buildEngine(wanted, silent).result).timingCacheUsed, true);
await addon.mergeTimingCache({device: 0, tensorrt, into: file('merged'), from: file('timings')});
assert(existsSync(file('merged')));

// After the end both do nothing.
build.cancel();
build.provideBatch(null);
console.log('done');
