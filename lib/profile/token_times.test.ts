import {expect, test} from 'vitest';

import {kernel} from '../../test/support/simulated_activity.js';
import type {Activity, HostEvent} from './activity.js';
import {findTokenTimes} from './token_times.js';

const step = (number: number, start: number, phase = 'decode', requests = [1]): HostEvent => ({
  track: 'scheduler',
  name: phase,
  start,
  end: start + 1,
  args: {step: number, phase, model: 'm', requests},
});

/** A prefill, then ten steps of 100 ns, one every 110, but for what `later` makes of the sixth. */
function decoding(pause = 0): {activities: Activity[]; hostEvents: HostEvent[]} {
  const activities = [kernel('prefill', 0, 500, {step: 1, phase: 'prefill'})];
  const hostEvents = [step(1, 0, 'prefill')];
  let now = 510;
  for (let number = 2; number < 12; number++) {
    if (number === 7) now += pause;
    activities.push(kernel('gemv', now, now + 100, {step: number, phase: 'decode'}));
    hostEvents.push(step(number, now - 5));
    now += 110;
  }
  return {activities, hostEvents};
}

test('times between tokens go from the end of a step to the end of the next one', () => {
  expect(findTokenTimes({info: {}, ...decoding()})).toEqual({count: 10, p50: 110, p99: 110, longest: 110, slow: []});
});

test('a token that waited for the host says so', () => {
  const {activities, hostEvents} = decoding(400);
  const blocked = {track: 'event loop', name: 'blocked', start: 1060, end: 1440};
  const found = findTokenTimes({info: {}, activities, hostEvents: [...hostEvents, blocked]})!;
  expect(found).toMatchObject({p50: 110, p99: 510, longest: 510});
  expect(found.slow).toEqual([{step: 7, start: 1050, end: 1560, causes: [{name: 'waited for event loop: blocked', time: 410}]}]);
});

test('a token that waited for the prefill of another request says so', () => {
  const {activities, hostEvents} = decoding(300);
  const other = kernel('prefill', 1060, 1355, {step: 20, phase: 'prefill'});
  const found = findTokenTimes({
    info: {},
    activities: [...activities, other],
    hostEvents: [...hostEvents, step(20, 1050, 'prefill', [2])],
  })!;
  expect(found.slow.map(({causes}) => causes[0])).toEqual([{name: 'prefill for others', time: 295}]);
});

test('a token whose kernels took longer says so', () => {
  const {activities, hostEvents} = decoding();
  activities[10] = {...activities[10]!, end: activities[10]!.end + 200};
  const [slowest] = findTokenTimes({info: {}, activities, hostEvents})!.slow;
  expect(slowest).toMatchObject({step: 11, causes: [{name: 'its own kernels took longer', time: 200}, {name: 'nothing was queued'}]});
});

test('a trace without steps has none', () => {
  expect(findTokenTimes({info: {}, activities: [kernel('a', 0, 1)], hostEvents: []})).toBeUndefined();
});
