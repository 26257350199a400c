import {expect, test} from 'vitest';

import {kernel} from '../../test/support/simulated_activity.js';
import {cutTrace, zeroOf} from './cut.js';

const load = {track: 'models', name: 'load', start: 0, end: 150};
const trace = {
  info: {device: 'Simulated'},
  activities: [
    kernel('before', 50, 100),
    kernel('into', 90, 110),
    kernel('empty', 100, 100),
    kernel('within', 120, 130),
    kernel('after', 200, 210),
  ],
  hostEvents: [load, {track: 'gc', name: 'minor', start: 300, end: 310}],
};

test('what was under way in the range stays as it is', () => {
  const cut = cutTrace(trace, {start: 100, end: 200});
  expect(cut.activities.map(({name}) => name)).toEqual(['into', 'empty', 'within']);
  expect(cut.activities[0]).toEqual(trace.activities[1]);
  expect(cut.hostEvents).toEqual([load]);
  expect(cut.info).toEqual({device: 'Simulated'});
});

test('times begin with the GPU, else with the host', () => {
  expect(zeroOf(trace)).toBe(50);
  expect(zeroOf({...trace, activities: [kernel('wait', 10, 20, {kind: 'synchronize'})]})).toBe(0);
});
