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

test('a step of which something was under way is there with all that it did', () => {
  const step = (number: number, start: number) => ({track: 'steps', name: 'decode', start, end: start + 5, args: {step: number}});
  const of = (name: string, number: number, start: number) => kernel(name, start, start + 20, {step: number});
  const cut = cutTrace(
    {
      info: {},
      activities: [of('a', 1, 10), of('b', 1, 40), of('c', 2, 90), of('d', 2, 140), of('e', 3, 300)],
      hostEvents: [step(1, 0), step(2, 20), step(3, 120), step(4, 250)],
    },
    {start: 100, end: 200},
  );
  expect(cut.activities.map(({name}) => name)).toEqual(['c', 'd']);
  expect(cut.hostEvents).toEqual([step(2, 20), step(3, 120)]);
});

test('times begin with the GPU, else with the host', () => {
  expect(zeroOf(trace)).toBe(50);
  expect(zeroOf({...trace, activities: [kernel('wait', 10, 20, {kind: 'synchronize'})]})).toBe(0);
});
