import {expect, it} from 'vitest';

import {packed} from '../../test/support/packed_activities.js';
import {copy, kernel} from '../../test/support/simulated_activity.js';
import {ActivityReader} from '../native/activities.js';
import type {Activity} from './activity.js';
import {ActivityLines} from './activity_lines.js';
import {LineBuffer} from './line_buffer.js';
import {encodeActivity, trackOfActivity} from './trace_file.js';

/** What lines say; undefined for those that have none. */
function linesOf(activities: readonly Activity[]): unknown[] {
  const batch = new ActivityReader().packed(packed(activities));
  const lines = new ActivityLines((activity) => ({...trackOfActivity(activity), id: 3}));
  return activities.map((_, index) => {
    const buffer = new LineBuffer(0);
    const template = lines.templateOf(batch, index);
    if (template === undefined) return undefined;
    lines.write(template, batch, index, buffer);
    return JSON.parse(buffer.bytes.toString().replace(/^,\n/, ''));
  });
}

const DETAILS = {sharedBytes: 512, registers: 40};
const ALIKE = [1, 2, 3, 4, 5].map((n) => kernel('gemv', n * 1e9, n * 1e9 + n * 1111, {...DETAILS, graph: 7, correlation: 100 + n}));

it('are what an activity encodes to, one by one', () => {
  const activities = [
    ...ALIKE,
    kernel('gemv', 1, 2, DETAILS),
    kernel('names are "quoted", é too', 5e9, 5e9, {...DETAILS, stream: 9, streamName: undefined}),
    {kind: 'graph', name: 'graph', device: 1, stream: 4, start: 10, end: 20, graph: 7, correlation: 1},
    {kind: 'set', name: 'set', device: 0, stream: 4, start: 10, end: 20, bytes: 2 ** 40},
    {kind: 'synchronize', name: 'wait for a stream', device: 0, stream: 4, start: 10, end: 20},
  ] as const satisfies Activity[];
  const encoded = activities.map((each) => JSON.parse(encodeActivity(each, trackOfActivity(each), 3)));
  expect(linesOf(activities)).toEqual(encoded);
});

it('are told apart by every field', () => {
  const one = kernel('gemv', 1000, 2000, {...DETAILS, graph: 7, correlation: 1});
  const unlike: Activity[] = [
    {...one, name: 'gemm'},
    {...one, stream: 5},
    {...one, device: 1},
    {...one, streamName: 'other'},
    {...one, graph: 8},
    {...one, grid: [1, 2, 3]},
    {...one, block: [3, 2, 1]},
    {...one, sharedBytes: 1},
    {...one, registers: 41},
    {...one, correlation: undefined},
  ];
  const lines = linesOf([one, ...unlike, one]);
  expect(new Set(lines.map((line) => JSON.stringify(line))).size).toBe(1 + unlike.length);
  expect(lines.at(-1)).toEqual(lines[0]);
});

it('have none: copies, which tell their rate, and times that cannot be', () => {
  expect(linesOf([copy(100, 1, 2), kernel('k', -5, 3), kernel('k', 5, 3)])).toEqual([undefined, undefined, undefined]);
});
