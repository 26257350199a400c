import {mkdtempSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import {afterEach, beforeEach, expect, test, vi} from 'vitest';

import {packed} from '../../test/support/packed_activities.js';
import {copy, decoderTrace, kernel} from '../../test/support/simulated_activity.js';
import {ActivityReader} from '../native/activities.js';
import type {Trace} from './activity.js';
import {readTrace} from './trace_reader.js';
import {TraceWriter} from './trace_writer.js';

let folder: string;
let path: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tensorrt-node-trace-'));
  path = join(folder, 'trace.json');
});
afterEach(() => rmSync(folder, {recursive: true}));

function writeTrace({info, activities, hostEvents}: Trace): void {
  using writer = new TraceWriter(path, {info});
  for (const activity of activities) writer.add(activity);
  for (const event of hostEvents) writer.addHostEvent(event);
}

interface Record {
  ph: string;
  name: string;
  pid: number;
  tid: number;
  ts: number;
  args: {[name: string]: unknown};
}
const parsed = (): Record[] => JSON.parse(readFileSync(path, 'utf8'));

test('what was written is read back', async () => {
  const trace = decoderTrace({steps: 3, layers: 2, layerBytes: 1e6});
  writeTrace(trace);
  const {info, activities, hostEvents, state} = await readTrace(path);
  expect(info).toEqual(trace.info);
  expect(activities).toEqual(trace.activities);
  expect(hostEvents).toEqual(trace.hostEvents.map(({args = {}, ...rest}) => ({...rest, args})));
  expect(state).toEqual({ended: true, events: activities.length + hostEvents.length, dropped: 0});
});

test('activities as numbers are read back as those that were added one by one', async () => {
  const {activities} = decoderTrace({steps: 3, layers: 2, layerBytes: 1e6});
  const reader = new ActivityReader();
  const numbers = new Map<string, number>();
  const writer = new TraceWriter(path);
  for (let at = 0; at < activities.length; at += 10) writer.addPacked(reader.packed(packed(activities.slice(at, at + 10), numbers)));
  writer.close();
  const read = await readTrace(path);
  expect(read.activities).toEqual(new ActivityReader().read(packed(activities)));
  expect(read.state).toEqual({ended: true, events: activities.length, dropped: 0});
});

test('the file is an array of events with tracks for streams, their copies, the host and each request', () => {
  writeTrace(decoderTrace({steps: 1, layers: 1, layerBytes: 1e6}));
  const names = (name: string) => parsed().filter((each) => each.name === name);
  expect(names('process_name').map(({pid, args}) => [pid, args.name])).toEqual([
    [10, 'GPU 0'],
    [1, 'host'],
    [2, 'requests'],
  ]);
  expect(names('thread_name').map(({args}) => args.name)).toEqual(['compute (13)', 'prefetch (14): copies', 'scheduler', 'request 1']);
  const [first] = names('copy to device');
  expect(first).toMatchObject({ph: 'X', ts: 1_000_000, dur: 20, args: {bytes: 1e6, 'GB/s': 50, direction: 'toDevice'}});
});

test('the file is whole after each write, before the recording has ended', async () => {
  vi.useFakeTimers();
  try {
    const writer = new TraceWriter(path);
    expect(parsed()).toHaveLength(2);
    writer.add(kernel('a', 0, 1000));
    vi.advanceTimersByTime(200);
    writer.add(kernel('b', 2000, 3000));
    vi.advanceTimersByTime(200);
    expect(parsed().filter(({ph}) => ph === 'X')).toHaveLength(2);
    expect((await readTrace(path)).state).toMatchObject({ended: false, events: 2});
    writer.close();
    expect((await readTrace(path)).state).toMatchObject({ended: true, events: 2});
  } finally {
    vi.useRealTimers();
  }
});

test('a file that was cut in the middle of a line is read up to there', async () => {
  writeTrace(decoderTrace({steps: 1, layers: 1}));
  const whole = await readTrace(path);
  truncateSync(path, Math.floor(statSync(path).size / 2));
  const {activities, state} = await readTrace(path);
  expect(activities.length).toBeGreaterThan(0);
  expect(activities).toEqual(whole.activities.slice(0, activities.length));
  expect(state).toBeUndefined();
});

test('beyond the limit the oldest events go, on disk too, and the file says which', async () => {
  const maxBytes = 2 ** 20;
  const count = 60_000;
  const writer = new TraceWriter(path, {maxBytes, info: {device: 'X'}});
  let largest = 0;
  for (let i = 0; i < count; i++) {
    writer.add(kernel(`kernel ${i}`, i * 1e6, i * 1e6 + 1000));
    if (i % 500 === 0) largest = Math.max(largest, statSync(path).size);
  }
  writer.addHostEvent({track: 'request 1', name: 'late', start: 5, end: 10});
  writer.close();
  expect(Math.max(largest, statSync(path).size)).toBeLessThanOrEqual(maxBytes);
  expect(readdirSync(folder)).toEqual(['trace.json']);
  const {activities, hostEvents, state, info} = await readTrace(path);
  expect(info).toEqual({device: 'X'});
  expect(state!.dropped + state!.events).toBe(count + 1);
  expect(state!.dropped).toBeGreaterThan(count / 2);
  // None is missing after `from`, and what came from before is not shown as if the rest were there.
  expect(activities.map(({name}) => name)).toEqual(Array.from(activities, (_, i) => `kernel ${count - activities.length + i}`));
  expect(activities[0]!.start).toBeGreaterThanOrEqual(state!.from!);
  expect(activities[0]!.start).toBeLessThan(state!.from! + 1e6);
  expect(hostEvents).toEqual([]);
  expect(parsed().filter(({name}) => name === 'older events were dropped')).toMatchObject([{ts: state!.from! / 1000}]);
  // Tracks are told again.
  const tracks = new Set(parsed().flatMap(({ph, name, tid}) => (ph === 'M' && name === 'thread_name' ? [tid] : [])));
  expect(parsed().every(({ph, tid}) => ph !== 'X' || tracks.has(tid))).toBe(true);
});

test('tracks of requests long gone do not add up', () => {
  const writer = new TraceWriter(path, {maxBytes: 2 ** 20});
  for (let i = 0; i < 30_000; i++) writer.addHostEvent({track: `request ${i}`, name: 'decode', start: i * 1e6, end: i * 1e6 + 10});
  writer.close();
  expect(parsed().filter(({name}) => name === 'thread_name').length).toBeLessThan(10_000);
});

test('events that are too large for a line, or were lost before, are counted', async () => {
  const writer = new TraceWriter(path);
  writer.addHostEvent({track: 'x', name: 'y'.repeat(5000), start: 0, end: 1});
  writer.addLost(3);
  writer.close();
  expect((await readTrace(path)).state).toMatchObject({events: 0, dropped: 4});
});

test('events without a time, or that end before they begin, are counted as dropped', async () => {
  const writer = new TraceWriter(path);
  writer.add(kernel('k', 20, 10));
  writer.addPacked(new ActivityReader().packed(packed([kernel('k', 20, 10), kernel('k', Number.NaN, 10), kernel('k', 10, 20)])));
  writer.addHostEvent({track: 'x', name: 'y', start: 0, end: Number.NaN});
  writer.addHostEvent({track: 'x', name: 'y', start: -Infinity, end: 1});
  writer.close();
  expect((await readTrace(path)).state).toMatchObject({events: 1, dropped: 5});
});

test('a closed trace takes no more; closing twice does nothing', () => {
  const writer = new TraceWriter(path);
  writer.close();
  writer.close();
  expect(() => writer.add(copy(1, 0, 1))).toThrow(expect.objectContaining({code: 'ERR_DISPOSED'}));
});

test('a file that cannot be written is a FileError that names it', () => {
  expect(() => new TraceWriter(join(folder, 'none', 'trace.json'))).toThrow(
    expect.objectContaining({code: 'ERR_FILE', result: 'ENOENT', path: join(folder, 'none', 'trace.json')}),
  );
  expect(() => new TraceWriter(path, {maxBytes: 1000})).toThrow(/maxBytes must be an integer of at least 1048576, got 1000/);
});

test('a full disk is a FileError', () => {
  // A device that is always full stands for the disk.
  expect(() => new TraceWriter('/dev/full')).toThrow(expect.objectContaining({code: 'ERR_FILE', result: 'ENOSPC'}));
});

test.each([
  ['no JSON', 'hello\nworld\n', 'ERR_TRACE'],
  ['a JSON file', '{\n"a": 1\n}\n', 'ERR_TRACE'],
  ['an array of something else', '[\n{"name": "x"}\n]\n', 'ERR_TRACE'],
  ['an empty file', '', 'ERR_TRACE'],
  [
    'a line that is not JSON in the middle',
    '[\n{"ph":"M","name":"tensorrt-node","args":{}},\n{"ph":\n{"ph":"M","name":"x"}\n]',
    'ERR_TRACE',
  ],
  ['an event without time', '[\n{"ph":"M","name":"tensorrt-node","args":{}},\n{"ph":"X","name":"k","cat":"kernel"}\n]', 'ERR_TRACE'],
])('%s is refused', async (_, text, code) => {
  writeFileSync(path, text);
  await expect(readTrace(path)).rejects.toMatchObject({code, path});
});

test('a trace that is not there is said to be so', async () => {
  await expect(readTrace(path)).rejects.toMatchObject({code: 'ERR_NOT_FOUND', path});
});
