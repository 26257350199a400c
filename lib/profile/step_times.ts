/** How long steps took as their requests saw them, and what the slow ones were slow for. */

import {groupBy} from '../group_by.js';
import type {Activity, HostEvent} from './activity.js';
import type {Gap, GapCause} from './gaps.js';
import {type Interval, overlapping, shared} from './intervals.js';

/** Steps of one phase. Times in nanoseconds. */
export interface StepTimes {
  phase: string;
  count: number;
  /** Tokens of a step, on average. */
  rows: number;
  /** Of what a request waits for in a step: from the end of the step before it to its end; of a first one, from its queueing. */
  median: number;
  p99: number;
  longest: Interval & {step: number};
  /** Those that took more than twice the median, by what took the time; the most time first. */
  slow: SlowSteps[];
}

/** 'step': other requests' steps came between. 'work': its own work took longer. Else what the stream waited for. */
export type SlowCause = GapCause | 'step' | 'work';

export interface SlowSteps {
  cause: SlowCause;
  /** Of steps their phase; else as of gaps: 'gc: major', 'copy to device on weights'; undefined where nothing is known. */
  waitedFor?: string;
  count: number;
  /** What they took beyond the median. */
  excess: number;
  longest: Interval & {step: number};
}

/** A step that the host queued, and what the GPU did for it. */
interface Step extends Interval {
  number: number;
  phase: string;
  model: unknown;
  rows: number;
  requests: readonly number[];
  /** Of its work on the GPU. */
  work: Interval;
}

const SLOW = 2;
/** What is less of a step is no reason. */
const REASON_SHARE = 0.25;

/** Steps whose work on the GPU was recorded. `gaps`: of the compute stream. */
export function summarizeSteps(activities: readonly Activity[], hostEvents: readonly HostEvent[], gaps: readonly Gap[]): StepTimes[] {
  const steps = readSteps(activities, hostEvents);
  const waits = steps.map((step, index) => ({...waitFor(step, steps, index), of: step}));
  const phases = groupBy(waits, ({of}) => of.phase);
  const times = Array.from(phases, ([phase, own]) => timesOf(phase, own, steps, gaps));
  return times.sort((a, b) => b.count * b.median - a.count * a.median);
}

interface Wait extends Interval {
  of: Step;
}

/** By their numbers. */
function readSteps(activities: readonly Activity[], hostEvents: readonly HostEvent[]): Step[] {
  const work = new Map<number, Interval>();
  for (const {kind, step, start, end} of activities) {
    if (step === undefined || kind === 'copy') continue;
    const known = work.get(step);
    if (known === undefined) work.set(step, {start, end});
    else [known.start, known.end] = [Math.min(known.start, start), Math.max(known.end, end)];
  }
  const steps = hostEvents.flatMap(({start, end, args}): Step[] => {
    const own = typeof args?.step === 'number' ? work.get(args.step) : undefined;
    if (own === undefined) return [];
    const {step, phase, model, rows, requests} = args as {step: number; phase: string; model: string; rows: number; requests?: number[]};
    return [{number: step, phase, model, rows, requests: requests ?? [], start, end, work: own}];
  });
  return steps.sort((a, b) => a.number - b.number);
}

/** No step is more than this many behind the one before it of its requests, or it is taken for a first one. */
const LOOK_BACK = 64;

function waitFor(step: Step, steps: readonly Step[], index: number): Interval {
  for (let before = index - 1; before >= Math.max(0, index - LOOK_BACK); before--) {
    const other = steps[before]!;
    if (other.model !== step.model || !other.requests.some((request) => step.requests.includes(request))) continue;
    return {start: Math.min(other.work.end, step.work.end), end: step.work.end};
  }
  return {start: Math.min(step.start, step.work.start), end: step.work.end};
}

function timesOf(phase: string, waits: readonly Wait[], steps: readonly Step[], gaps: readonly Gap[]): StepTimes {
  const sorted = [...waits].sort((a, b) => lengthOf(a) - lengthOf(b));
  const at = (share: number) => lengthOf(sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]!);
  const median = at(0.5);
  const slow = waits.filter((wait) => lengthOf(wait) > SLOW * median);
  const rows = waits.reduce((sum, {of}) => sum + of.rows, 0) / waits.length;
  return {
    phase,
    count: waits.length,
    rows,
    median,
    p99: at(0.99),
    longest: placeOf(sorted.at(-1)!),
    slow: reasonsOf(slow, median, steps, gaps),
  };
}

function reasonsOf(slow: readonly Wait[], median: number, steps: readonly Step[], gaps: readonly Gap[]): SlowSteps[] {
  const reasons = new Map<string, SlowSteps>();
  const others = steps.map((step) => ({...step.work, step}));
  const under = new Map(overlapping(slow, gaps));
  for (const [wait, beside] of overlapping(slow, others)) {
    const reason = reasonOf(wait, beside, under.get(wait)!);
    const key = `${reason.cause} ${reason.waitedFor}`;
    const excess = lengthOf(wait) - median;
    const known = reasons.get(key);
    if (known === undefined) {
      reasons.set(key, {...reason, count: 1, excess, longest: placeOf(wait)});
      continue;
    }
    known.count++;
    known.excess += excess;
    if (lengthOf(wait) > lengthOf(known.longest)) known.longest = placeOf(wait);
  }
  return [...reasons.values()].sort((a, b) => b.excess - a.excess);
}

/** What took most of the time, of other steps and gaps. */
function reasonOf(wait: Wait, beside: readonly (Interval & {step: Step})[], gaps: readonly Gap[]): Pick<SlowSteps, 'cause' | 'waitedFor'> {
  let [most, found]: [number, Pick<SlowSteps, 'cause' | 'waitedFor'>] = [lengthOf(wait) * REASON_SHARE, {cause: 'work'}];
  const others = beside.filter(({step}) => step !== wait.of && step.model === wait.of.model && shared(step.work, wait) > 0);
  for (const [phase, own] of groupBy(others, ({step}) => step.phase)) {
    const time = own.reduce((sum, {step}) => sum + shared(step.work, wait), 0);
    if (time < most) continue;
    [most, found] = [time, {cause: 'step', waitedFor: phase}];
  }
  for (const [, own] of groupBy(gaps, ({cause, waitedFor}) => `${cause} ${waitedFor}`)) {
    const time = own.reduce((sum, gap) => sum + shared(gap, wait), 0);
    if (time < most) continue;
    const {cause, waitedFor} = own[0]!;
    [most, found] = [time, {cause, waitedFor}];
  }
  return found;
}

function placeOf({start, end, of}: Wait): StepTimes['longest'] {
  return {start, end, step: of.number};
}

function lengthOf({start, end}: Interval): number {
  return end - start;
}
