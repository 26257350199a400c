import {expect, test} from 'vitest';

import {kernel, SAMPLES} from '../../../test/support/simulated_activity.js';
import {type Summary, summarize} from '../summary.js';
import {figures, findings, lists, verdict} from './summary_parts.js';

const planted = summarize(SAMPLES.planted());
const empty = summarize({info: {}, activities: [], hostEvents: []});

test('the verdict is what compute was bound by, and what most of its idle time waited for', () => {
  expect(verdict(planted)).toEqual({
    text: 'Bound by its kernels',
    note: `Stream compute was busy for 92.7% of 2.97 ms and idle for 218 µs. 120 µs of that waited for copy to device on uploads.`,
  });
  expect(verdict(empty)).toMatchObject({text: 'Nothing of a GPU in this trace'});
});

test('figures tell busy, idle, overlap and rates', () => {
  expect(figures(planted).map(({title, value}) => `${title}: ${value}`)).toEqual([
    'Compute busy: 92.7%',
    'Idle, waiting for: 218 µs',
    'Copies beside compute: 0.0%',
    'To the device: 50.0 GB/s',
    'Kernels: 280',
  ]);
  expect(figures(empty)).toEqual([]);
});

test('findings lead to their place', () => {
  expect(findings(planted, planted.start).map(({kind, text, total, start, end}) => [kind, text, total, start, end])).toEqual([
    ['serial copy', 'copy to device on uploads', 120_000, 1_623_000, 1_743_000],
    ['gap', 'waited for copy to device on uploads', 120_000, 1_623_000, 1_743_000],
    ['gap', 'waited for tokenizer: encode', 89_900, 1_743_100, 1_833_000],
  ]);
});

test('slow steps come first, by what they waited for; without any the longest one', () => {
  const steps: Summary['steps'][number] = {
    phase: 'decode',
    count: 100,
    rows: 1,
    median: 400,
    p99: 900,
    longest: {start: 50, end: 1050, step: 7},
    slow: [],
  };
  const [longest] = findings({...planted, steps: [steps]}, 0);
  expect(longest).toMatchObject({kind: 'slow step', text: 'longest decode step', total: 1000, start: 50, end: 1050});
  const place = {start: 10, end: 1010, step: 3};
  const slow = (['work', 'step', 'host', 'launch'] as const).map((cause, i) => ({
    cause,
    waitedFor: ['x', 'prefill', 'gc: major', 'wait for an event'][i],
    count: 2,
    excess: 900 - i,
    longest: place,
  }));
  expect(findings({...planted, steps: [{...steps, slow}]}, 10).slice(0, 4)).toMatchObject([
    {text: 'decode took longer itself', total: 900, start: 0, end: 1000},
    {text: "decode waited for others' prefill"},
    {text: 'decode waited for gc: major'},
    {text: 'decode not queued, the host in: wait for an event'},
  ]);
});

test('lists that are empty are left out; what the host did can be filtered by', () => {
  const host = {track: 'gc', name: 'minor', start: 0, end: 5};
  const summary = summarize({info: {}, activities: [kernel('a', 0, 10, {phase: 'decode'})], hostEvents: [host]});
  expect(lists(summary).map(({title}) => title)).toEqual(['Kernels', 'Phases', 'Host']);
  expect(lists(summary).at(-1)!.rows).toMatchObject([{name: 'gc: minor', filter: 'minor'}]);
});
