import {describe, expect, test} from 'vitest';

import {createRandom} from '../../test/support/random.js';
import {copy, decoderTrace, kernel} from '../../test/support/simulated_activity.js';
import type {Activity, HostEvent, Trace} from './activity.js';
import {summarize} from './summary.js';
import {formatSummary} from './summary_text.js';

const traceOf = (activities: Activity[], hostEvents: HostEvent[] = [], info: Trace['info'] = {}): Trace => ({info, activities, hostEvents});

test('a decoder in VRAM: time by kernel, phase and layer; no copies, no gaps to speak of', () => {
  const summary = summarize(decoderTrace({steps: 10, layers: 2}));
  expect(summary.kernels.slice(0, 2)).toEqual([
    {name: 'norm_gate_up', count: 22, total: (20 * 14 + 2 * 42) * 1000, longest: 42_000, share: expect.closeTo(0.325, 2)},
    {name: 'norm_qkv', count: 22, total: (20 * 9 + 2 * 27) * 1000, longest: 27_000, share: expect.closeTo(0.209, 2)},
  ]);
  expect(summary.phases.map(({name, total}) => [name, total])).toEqual([
    ['decode', 10 * (2 * 41 + 5) * 1000],
    ['prefill', (2 * 123 + 5) * 1000],
  ]);
  expect(summary.layers.map(({name}) => name).sort()).toEqual(['epilogue', 'layer 0', 'layer 1']);
  expect(summary.kernels.reduce((sum, {share}) => sum + share, 0)).toBeCloseTo(1);
  expect(summary.copies).toEqual([]);
  expect(summary.overlap).toBeUndefined();
  expect(summary.serialCopies).toEqual([]);
  expect(summary.compute).toMatchObject({stream: 'compute', idle: 10_000, waits: {launch: 10_000, copy: 0, host: 0, stream: 0}});
  expect(summary.bound).toBe('kernels');
});

test('copies beside compute overlap, and reach a share of what the card could do', () => {
  const {copies, overlap, serialCopies} = summarize(decoderTrace({steps: 10, layers: 4, layerBytes: 1e6}));
  expect(copies).toEqual([
    {direction: 'toDevice', count: 44, bytes: 44e6, busy: 880_000, rate: expect.closeTo(50e9), reached: expect.closeTo(50 / 55)},
  ]);
  expect(overlap).toEqual({copying: 880_000, overlapped: 880_000, share: 1});
  expect(serialCopies).toEqual([]);
});

test('a planted serial copy is named with its stream, bytes and time, and the gap it makes waits for it', () => {
  const trace = traceOf([
    kernel('a', 0, 100_000),
    copy(1000, 50_000, 90_000),
    copy(5_000_000, 100_000, 200_000, {streamName: 'uploads', stream: 20}),
    kernel('b', 200_000, 300_000),
  ]);
  const summary = summarize(trace);
  const worst = {start: 100_000, end: 200_000, bytes: 5_000_000, idle: 100_000};
  expect(summary.serialCopies).toEqual([
    {stream: 'uploads', name: 'copy to device', direction: 'toDevice', count: 1, bytes: 5_000_000, idle: 100_000, worst},
  ]);
  expect(summary.gaps).toEqual([
    {cause: 'copy', waitedFor: 'copy to device on uploads', count: 1, total: 100_000, longest: {start: 100_000, end: 200_000}},
  ]);
  expect(summary.bound).toBe('copies');
  expect(summary.overlap).toMatchObject({copying: 140_000, overlapped: 40_000});
  expect(formatSummary(summary)).toMatch(/copy to device on uploads +1 +5\.0 MB +100 µs +100 µs, 5\.0 MB +0\.100 ms/);
});

test.each<[string, Activity[], HostEvent[], object, string]>([
  [
    'the tokenizer',
    [],
    [{track: 'tokenizer', name: 'encode', start: 110, end: 190}],
    {cause: 'host', waitedFor: 'tokenizer: encode'},
    'host',
  ],
  [
    'the innermost event of the host',
    [],
    [
      {track: 'scheduler', name: 'step', start: 0, end: 1000},
      {track: 'gc', name: 'major', start: 120, end: 185},
      {track: 'event loop', name: 'delay', start: 120, end: 150},
    ],
    {cause: 'host', waitedFor: 'gc: major'},
    'host',
  ],
  [
    'work of another stream, where a copy is too short',
    [kernel('other', 100, 190, {stream: 3, streamName: 'side'}), copy(8, 110, 120)],
    [{track: 'gc', name: 'minor', start: 100, end: 200}],
    {cause: 'stream', waitedFor: 'kernel other on side'},
    'streams',
  ],
  [
    'many copies that together fill it',
    [copy(8, 100, 120), copy(8, 120, 140), copy(8, 150, 170)],
    [],
    {cause: 'copy', waitedFor: 'copy to device on prefetch'},
    'copies',
  ],
  [
    'the host, which waited for the GPU',
    [kernel('cuStreamSynchronize', 100, 180, {kind: 'synchronize'})],
    [],
    {cause: 'launch', waitedFor: 'cuStreamSynchronize'},
    'launches',
  ],
  [
    'nothing that is known, whatever a request waits for',
    [],
    [{track: 'request 1', name: 'decode', start: 0, end: 300}],
    {cause: 'launch'},
    'launches',
  ],
])('a planted gap waited for %s', (_, activities, hostEvents, expected, bound) => {
  const summary = summarize(traceOf([kernel('a', 0, 100), kernel('b', 200, 300), ...activities], hostEvents));
  expect(summary.gaps).toEqual([{...expected, count: 1, total: 100, longest: {start: 100, end: 200}}]);
  expect(summary.bound).toBe(bound);
});

describe('what binds a stream that is busy', () => {
  const busy = [kernel('a', 0, 1000), kernel('b', 1000, 2000)];
  const speeds = {memory: 1e9};
  const read = (bytesRead: number): HostEvent[] => [{track: 'scheduler', name: 'decode', start: 0, end: 1, args: {bytesRead}}];

  test('memory, where kernels read at most of its rate', () => {
    const {bound, memory} = summarize(traceOf(busy, read(1500), {speeds}));
    expect(memory).toEqual({bytes: 1500, rate: 0.75e9, reached: 0.75});
    expect(bound).toBe('memory');
  });
  test('its kernels, where they read less', () => {
    expect(summarize(traceOf(busy, read(500), {speeds})).bound).toBe('kernels');
  });
  test('its kernels, where nobody says what they read', () => {
    const {bound, memory} = summarize(traceOf(busy));
    expect([bound, memory]).toEqual(['kernels', undefined]);
  });
});

test("ranges of a stream tell phase and layer where kernels don't, the innermost of each", () => {
  const range = (name: string, start: number, end: number, rest: Partial<Activity> = {}) =>
    kernel(name, start, end, {kind: 'range', ...rest});
  const {phases, layers} = summarize(
    traceOf([
      range('generate', 0, 1000),
      range('decode', 100, 500),
      range('layer 3', 200, 300),
      range('decode of another', 0, 1000, {stream: 5}),
      kernel('a', 210, 220),
      kernel('b', 310, 340),
      kernel('c', 600, 700),
      kernel('d', 290, 310, {phase: 'told', layer: 'layer 9'}),
      kernel('e', 2000, 2001),
    ]),
  );
  expect(Object.fromEntries(phases.map(({name, total}) => [name, total]))).toEqual({
    ...{generate: 100, decode: 40, told: 20},
    'outside steps': 1,
  });
  expect(Object.fromEntries(layers.map(({name, total}) => [name, total]))).toEqual({
    ...{'layer 3': 10, 'layer 9': 20},
    'no layer': 131,
  });
});

test('a graph counts as compute only where its kernels are not told one by one', () => {
  const graph = (correlation: number, start: number, end: number) => kernel('graph', start, end, {kind: 'graph', correlation});
  const {kernels, compute} = summarize(
    traceOf([graph(1, 0, 100), kernel('a', 0, 40, {correlation: 1}), kernel('b', 60, 100, {correlation: 1}), graph(2, 100, 150)]),
  );
  expect(kernels.map(({name, total}) => [name, total])).toEqual([
    ['graph', 50],
    ['a', 40],
    ['b', 40],
  ]);
  expect(compute).toMatchObject({span: 150, busy: 130});
});

test('small copies that each step has are no finding, unless they hold it up', () => {
  const kernels = Array.from({length: 100}, (_, step) => kernel('step', step * 1000, step * 1000 + 900));
  const copies = (length: number) =>
    Array.from({length: 99}, (_, step) => copy(172, step * 1000 + 900, step * 1000 + 900 + length, {streamName: 'decode'}));
  expect(summarize(traceOf([...kernels, ...copies(9)])).serialCopies).toEqual([]);
  expect(summarize(traceOf([...kernels, ...copies(20)])).serialCopies).toMatchObject([{stream: 'decode', count: 99, idle: 1980}]);
  expect(summarize(traceOf([...kernels, ...copies(9), copy(10e6, 5900, 5990)])).serialCopies).toMatchObject([{count: 1, bytes: 10e6}]);
});

test('an empty trace has a summary', () => {
  const summary = summarize(traceOf([]));
  expect(summary).toMatchObject({span: 0, kernels: [], copies: [], gaps: [], compute: undefined, bound: undefined});
  expect(formatSummary(summary)).toBe('nothing of a GPU\n');
});

test("requests' events are told together", () => {
  const event = (track: string, name: string, end: number): HostEvent => ({track, name, start: 0, end});
  const {host} = summarize(
    traceOf([], [event('request 1', 'queue', 5), event('request 2', 'queue', 7), event('request 2', 'request 2', 30)]),
  );
  expect(host.map(({name, count, total, longest}) => [name, count, total, longest])).toEqual([
    ['request: whole', 1, 30, 30],
    ['request: queue', 2, 12, 7],
  ]);
});

describe('random traces, against counting each nanosecond', () => {
  const LENGTH = 200;

  test.each(Array.from({length: 200}, (_, seed) => seed))('seed %i', (seed) => {
    const {activities, hostEvents} = randomTrace(seed);
    const summary = summarize(traceOf(activities, hostEvents));
    const works = ({kind}: Activity) => kind === 'kernel' || kind === 'set';
    const at = (time: number, items: readonly {start: number; end: number}[]) =>
      items.filter(({start, end}) => start <= time && time < end);
    const count = (test: (time: number) => boolean, from = 0, to = LENGTH) =>
      Array.from({length: to - from}, (_, i) => from + i).filter(test).length;

    const copies = activities.filter(({kind}) => kind === 'copy');
    const crossing = copies.filter(({direction}) => direction !== 'onDevice');
    const computing = activities.filter(works);
    const copying = count((time) => at(time, crossing).length > 0);
    const overlapped = count((time) => at(time, crossing).length > 0 && at(time, computing).length > 0);
    expect(summary.overlap).toEqual(copying === 0 ? undefined : {copying, overlapped, share: overlapped / copying});

    for (const {direction, bytes, busy} of summary.copies) {
      const own = copies.filter((each) => each.direction === direction);
      expect(bytes).toBe(own.reduce((sum, {bytes}) => sum + bytes!, 0));
      expect(busy).toBe(count((time) => at(time, own).length > 0));
    }

    const first = Math.min(...computing.map(({start}) => start));
    const last = Math.max(...computing.map(({end}) => end));
    const idleOf = ({start, end}: Activity) => count((time) => at(time, computing).length === 0, start, end);
    const serial = copies.filter((copy) => copy.start >= first && copy.end <= last && idleOf(copy) >= (copy.end - copy.start) / 2);
    expect(summary.serialCopies.reduce((sum, {count}) => sum + count, 0)).toBe(serial.length);
    expect(summary.serialCopies.reduce((sum, {idle}) => sum + idle, 0)).toBe(serial.reduce((sum, each) => sum + idleOf(each), 0));

    for (const {name, count, total} of summary.kernels) {
      const own = activities.filter((each) => each.kind === 'kernel' && each.name === name);
      expect([count, total]).toEqual([own.length, own.reduce((sum, {start, end}) => sum + end - start, 0)]);
    }

    const {compute} = summary;
    if (compute === undefined) return;
    const own = computing.filter(({stream, streamName = `stream ${stream}`}) => streamName === compute.stream);
    const [begin, end] = [Math.min(...own.map(({start}) => start)), Math.max(...own.map(({end}) => end))];
    expect(compute.span).toBe(end - begin);
    expect(compute.busy).toBe(count((time) => at(time, own).length > 0));
    expect(summary.gaps.reduce((sum, {total}) => sum + total, 0)).toBe(compute.idle);
    const waits = {copy: 0, stream: 0, host: 0, launch: 0};
    for (let time = begin; time < end; time++) {
      if (at(time, own).length > 0) continue;
      let until = time;
      while (at(until, own).length === 0) until++;
      const covers = (items: readonly {start: number; end: number}[]) =>
        count((each) => at(each, items).length > 0, time, until) >= (until - time) / 2;
      const others = computing.filter((each) => !own.includes(each));
      if (copies.length > 0 && covers(copies)) waits.copy += until - time;
      else if (others.length > 0 && covers(others)) waits.stream += until - time;
      else if (hostEvents.some((event) => covers([event]))) waits.host += until - time;
      else waits.launch += until - time;
      time = until;
    }
    expect(compute.waits).toEqual(waits);
  });

  function randomTrace(seed: number): Pick<Trace, 'activities' | 'hostEvents'> {
    const {below: pick} = createRandom(seed);
    const span = () => {
      const start = pick(LENGTH - 1);
      return {start, end: Math.min(LENGTH, start + 1 + pick(pick(5) === 0 ? 80 : 12))};
    };
    const activities = Array.from({length: 1 + pick(24)}, (): Activity => {
      const stream = pick(3);
      const base = {device: 0, stream, streamName: stream === 0 ? undefined : `s${stream}`, ...span()};
      const kind = (['kernel', 'kernel', 'copy', 'set'] as const)[pick(4)]!;
      if (kind !== 'copy') return {...base, kind, name: `${kind} ${pick(3)}`};
      return {...base, kind, name: 'copy', bytes: 65_536 + pick(1000), direction: (['toDevice', 'toHost', 'onDevice'] as const)[pick(3)]!};
    });
    const hostEvents = Array.from({length: pick(6)}, (): HostEvent => ({track: `t${pick(2)}`, name: `n${pick(2)}`, ...span()}));
    return {activities, hostEvents};
  }
});
