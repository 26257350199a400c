import {describe, expect, test} from 'vitest';

import {copy, kernel} from '../../test/support/simulated_activity.js';
import type {Activity, HostEvent, Trace} from './activity.js';
import {summarize} from './summary.js';
import {formatSummary} from './summary_text.js';

interface Planned {
  phase?: 'prefill' | 'decode';
  requests?: number[];
  rows?: number;
  bytesRead?: number;
  /** Before its work. */
  idle?: number;
  took?: number;
}

/** Steps one after another, from 1000 on, queued 10 before their work. */
function traceOf(plan: readonly Planned[], info: Trace['info'] = {}): Trace {
  const activities: Activity[] = [];
  const hostEvents: HostEvent[] = [];
  let now = 1000;
  plan.forEach(({phase = 'decode', requests = [1], rows = requests.length, bytesRead = 1000, idle = 0, took = 100}, index) => {
    const step = index + 1;
    now += idle;
    hostEvents.push({
      ...{track: 'scheduler', name: phase, start: now - 10, end: now - 5},
      args: {step, model: 'm', phase, rows, tokens: rows, requests, bytesRead},
    });
    activities.push(kernel('work', now, now + took, {step, phase}));
    now += took;
  });
  return {info, activities, hostEvents};
}

const decode = (count: number): Planned[] => Array.from({length: count}, () => ({}));

test('steps are as long as their requests wait: from the end of the one before', () => {
  const {steps} = summarize(traceOf([{phase: 'prefill', rows: 12, took: 300}, ...decode(4), {idle: 50}]));
  expect(steps).toEqual([
    {phase: 'decode', count: 5, rows: 1, median: 100, p99: 150, longest: {start: 1700, end: 1850, step: 6}, slow: []},
    {phase: 'prefill', count: 1, rows: 12, median: 310, p99: 310, longest: {start: 990, end: 1300, step: 1}, slow: []},
  ]);
});

test("a step does not wait for another request's end", () => {
  const {steps} = summarize(traceOf([{requests: [1]}, {requests: [2], idle: 5000}]));
  expect(steps[0]).toMatchObject({count: 2, longest: {end: 6200, start: 6090}});
});

describe('what a slow step was slow for', () => {
  const slowOf = (trace: Trace) => summarize(trace).steps[0]!.slow;
  const normal = decode(10);

  test("another request's prefill", () => {
    const trace = traceOf([...normal, {phase: 'prefill', requests: [2], rows: 64, took: 400}, {requests: [1]}, {requests: [1, 2]}]);
    expect(slowOf(trace)).toEqual([
      {cause: 'step', waitedFor: 'prefill', count: 1, excess: 400, longest: {start: 2000, end: 2500, step: 12}},
    ]);
    expect(formatSummary(summarize(trace))).toMatch(/decode: prefill +other steps between +1 +400 ns +500 ns +0\.001 ms/);
  });
  test('the host', () => {
    const trace = traceOf([...normal, {idle: 300}, {}, {idle: 500}]);
    trace.hostEvents.push(...[2000, 2500].map((start) => ({track: 'gc', name: 'major', start, end: start + 280})), {
      track: 'scheduler',
      name: 'decode',
      start: 0,
      end: 1,
    });
    expect(slowOf(trace)).toMatchObject([{cause: 'host', waitedFor: 'gc: major', count: 2, excess: 800, longest: {step: 13}}]);
  });
  test('the queueing of the step itself', () => {
    const trace = traceOf([...normal, {idle: 300}]);
    const last = trace.hostEvents.at(-1)!;
    trace.hostEvents[trace.hostEvents.length - 1] = {...last, start: 2010, end: 2290};
    expect(slowOf(trace)).toMatchObject([{cause: 'launch', waitedFor: 'scheduler: decode', excess: 300}]);
    expect(summarize(trace).bound).toBe('launches');
  });
  test('a copy', () => {
    const trace = traceOf([...normal, {idle: 300}]);
    trace.activities.push(copy(1e6, 2000, 2290));
    expect(slowOf(trace)).toMatchObject([{cause: 'copy', waitedFor: 'copy to device on prefetch', excess: 300}]);
  });
  test('its own work', () => {
    expect(slowOf(traceOf([...normal, {took: 250}]))).toMatchObject([{cause: 'work', count: 1, excess: 150}]);
  });
});

describe('of a trace with steps', () => {
  test('loading the model before them counts neither as idle time nor as serial copies', () => {
    const trace = traceOf(decode(10));
    trace.activities.push(kernel('dequantize', 0, 10), copy(1e6, 20, 90), kernel('dequantize', 100, 110));
    const {compute, serialCopies, overlap, kernels, phases} = summarize(trace);
    expect(compute).toMatchObject({span: 1000, busy: 1000, idle: 0});
    expect(serialCopies).toEqual([]);
    expect(overlap).toBeUndefined();
    expect(kernels.map(({name, total}) => [name, total])).toEqual([
      ['work', 1000],
      ['dequantize', 20],
    ]);
    expect(phases.map(({name, total}) => [name, total])).toEqual([
      ['decode', 1000],
      ['outside steps', 20],
    ]);
  });

  test('time in which nothing was asked for is no idle time', () => {
    const {compute, gaps} = summarize(traceOf([{}, {idle: 50}, {requests: [2], idle: 10_000}, {requests: [2]}]));
    expect(compute).toMatchObject({busy: 400, idle: 50, span: 450});
    expect(gaps).toMatchObject([{count: 1, total: 50}]);
  });

  test('a request that was told as a whole was asked for all its time', () => {
    const trace = traceOf([{}, {idle: 900}]);
    trace.hostEvents.push({track: 'request 1', name: 'request 1', start: 0, end: 5000});
    expect(summarize(trace).compute).toMatchObject({busy: 200, idle: 900});
  });

  test('decode steps alone tell what memory gives', () => {
    const {memory, bound} = summarize(
      traceOf([{phase: 'prefill', bytesRead: 1e6, took: 1e6, rows: 100}, ...Array.from({length: 4}, () => ({bytesRead: 250}))], {
        speeds: {memory: 3e9},
      }),
    );
    expect(memory).toEqual({phase: 'decode', bytes: 1000, rate: 2.5e9, reached: expect.closeTo(2.5 / 3)});
    expect(bound).toBe('memory');
  });

  test('steps as a whole stand for their kernels where those are not told', () => {
    const trace = traceOf([{phase: 'prefill', rows: 5}, ...decode(3)]);
    const activities = trace.activities.map((each): Activity => ({...each, kind: 'range', name: each.phase!}));
    const {phases, compute, steps} = summarize({...trace, activities});
    expect(phases.map(({name, total}) => [name, total])).toEqual([
      ['decode', 300],
      ['prefill', 100],
    ]);
    expect(compute).toMatchObject({busy: 400, idle: 0});
    expect(steps).toHaveLength(2);
  });
});
