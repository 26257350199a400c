import {expect, test} from 'vitest';

import {copy, kernel} from '../../../test/support/simulated_activity.js';
import type {Activity, HostEvent} from '../activity.js';
import {pageData} from './page_data.js';

const traceOf = (activities: Activity[], hostEvents: HostEvent[] = []) => ({info: {}, activities, hostEvents});
const MANY = 1000;

test('kernels that begin before the last one ends have lanes of their own; starts are told from one another', () => {
  const {data, left} = pageData(traceOf([kernel('a', 100, 200), kernel('b', 150, 250), kernel('c', 200, 300)]), MANY);
  expect(left).toBe(0);
  expect(data).toMatchObject({start: 0, end: 200, names: ['a', 'b', 'c']});
  expect(data.tracks).toMatchObject([
    {group: 'GPU 0', name: 'compute (13)', lanes: [{starts: [0, 100], lengths: [100, 100], names: [0, 2]}, {starts: [50]}]},
  ]);
});

test('the newest events stay where there are too many, and times are still told from the first of the GPU', () => {
  const {data, left, origin} = pageData(traceOf([kernel('old', 10, 20), kernel('a', 100, 200), kernel('b', 200, 300)]), 2);
  expect([left, origin]).toEqual([1, 10]);
  expect(data).toMatchObject({start: 90, end: 290, names: ['a', 'b']});
  expect(data.tracks[0]!.lanes[0]!.starts).toEqual([0, 100]);
});

test('time is told from the first activity of the GPU, which is shown first; the host may begin before', () => {
  const load = {track: 'models', name: 'load', start: 1000, end: 5000};
  const {data, origin} = pageData(traceOf([kernel('a', 3000, 4000)], [load]), MANY);
  expect(origin).toBe(3000);
  expect(data).toMatchObject({start: -2000, end: 2000, view: [-15, 1015]});
});

test('streams come before copies, then the scheduler, requests and the rest of the host', () => {
  const host = (track: string) => ({track, name: 'x', start: 0, end: 1});
  const {data} = pageData(traceOf([copy(10, 0, 5), kernel('a', 1, 2)], ['gc', 'request 1', 'scheduler'].map(host)), MANY);
  expect(data.tracks.map(({group, name}) => `${group}: ${name}`)).toEqual([
    'GPU 0: compute (13)',
    'GPU 0 · copies: prefetch (14)',
    'scheduler: scheduler',
    'requests: request 1',
    'host: gc',
  ]);
});

test('an event has what the tooltip tells, and alike ones share it', () => {
  const activities = [
    kernel('a', 0, 1, {phase: 'decode', layer: 'layer 3', registers: 40}),
    kernel('b', 1, 2, {phase: 'decode', layer: 'layer 3', registers: 40}),
  ];
  const {data} = pageData(traceOf([...activities, copy(4096, 0, 8, {pageable: true})]), MANY);
  expect(data.details).toHaveLength(2);
  expect(data.details.find(({kind}) => kind === 'kernel')).toEqual({
    kind: 'kernel',
    phase: 'decode',
    layer: 'layer 3',
    fields: [
      ['stream', 'compute (13)'],
      ['grid', '128 × 1 × 1'],
      ['block', '256 × 1 × 1'],
      ['registers', '40 a thread'],
    ],
  });
  expect(data.details.find(({kind}) => kind === 'toDevice')).toMatchObject({
    bytes: 4096,
    fields: [
      ['stream', 'prefetch (14)'],
      ['memory', 'pageable'],
    ],
  });
});

test('kernels of one family share a colour, those with most time first', () => {
  const {data} = pageData(
    traceOf([kernel('norm_float16_1', 0, 1), kernel('gemv_float16_1_1', 1, 9), kernel('gemv_float16_2_1', 9, 10)]),
    MANY,
  );
  expect(data.families.map(({name, time}) => [name, time])).toEqual([
    ['gemv', 9],
    ['norm', 1],
  ]);
  expect(data.familyOf).toEqual([1, 0, 0]);
});
