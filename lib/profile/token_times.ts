/** Times between tokens, as the GPU finished the steps that made them, and what the slow ones waited for. */

import type {Activity, HostEvent, Trace} from './activity.js';
import {findGaps} from './gaps.js';
import {groupBy} from './group_by.js';
import {type Interval, totalLength, union} from './intervals.js';

/** From the end of one step on the GPU to the end of the next one for the same request. */
export interface TokenTime extends Interval {
  step: number;
}

export interface SlowToken extends TokenTime {
  /** What made it slower than the median, most first: nanoseconds beyond the median's. */
  causes: {name: string; time: number}[];
}

export interface TokenTimes {
  count: number;
  p50: number;
  p99: number;
  longest: number;
  /** Slowest first; those that took at least 1.25 times as long as the median. */
  slow: SlowToken[];
}

const SLOW = 1.25;
const MOST = 4;

/** Undefined for a trace without decode steps of requests. */
export function findTokenTimes({activities, hostEvents}: Trace): TokenTimes | undefined {
  const steps = hostEvents.filter(
    ({track, args}) => track === 'scheduler' && typeof args?.step === 'number' && Array.isArray(args.requests),
  );
  const work = groupBy(activities.filter(isWork), ({step}) => step!);
  const times = tokensOf(steps, work);
  if (times.length === 0) return undefined;
  const sorted = times.map(({start, end}) => end - start).sort((a, b) => a - b);
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * share) - 1)]!;
  const p50 = at(0.5);
  const typical = median(times.map(({step}) => totalLength(union(work.get(step)!))));
  const slow = times
    .filter(({start, end}) => end - start >= p50 * SLOW)
    .sort((a, b) => b.end - b.start - (a.end - a.start))
    .slice(0, MOST)
    .map((time) => ({...time, causes: causesOf(time, typical, {activities, hostEvents, steps})}));
  return {count: times.length, p50, p99: at(0.99), longest: sorted.at(-1)!, slow};
}

function isWork({kind, step}: Activity): boolean {
  return step !== undefined && kind !== 'synchronize';
}

/** A step that serves several requests counts once, from the latest of their last ones. */
function tokensOf(steps: readonly HostEvent[], work: ReadonlyMap<number, Activity[]>): TokenTime[] {
  const last = new Map<string, number>();
  const times: TokenTime[] = [];
  for (const {args} of [...steps].sort((a, b) => a.start - b.start)) {
    const {step, phase, model, requests} = args as {step: number; phase?: string; model?: string; requests: readonly unknown[]};
    const own = work.get(step);
    if (own === undefined) continue;
    const end = own.reduce((latest, each) => Math.max(latest, each.end), -Infinity);
    const keys = requests.map((request) => `${model} ${request}`);
    const before = keys.flatMap((key) => last.get(key) ?? []);
    if (phase === 'decode' && before.length > 0) times.push({step, start: Math.max(...before), end});
    for (const key of keys) last.set(key, end);
  }
  return times;
}

/** Its own kernels, as far as they took longer than those of the median; other steps' kernels; and gaps by what they waited for. */
function causesOf(
  {step, start, end}: TokenTime,
  typical: number,
  {activities, hostEvents, steps}: Pick<Trace, 'activities' | 'hostEvents'> & {steps: readonly HostEvent[]},
): SlowToken['causes'] {
  const within = <T extends Interval>(all: readonly T[]) => all.filter((each) => each.end > start && each.start < end);
  const clip = (each: Interval) => ({start: Math.max(start, each.start), end: Math.min(end, each.end)});
  const around = within(activities);
  const computing = around.filter(({kind}) => kind === 'kernel' || kind === 'graph' || kind === 'set');
  const times = new Map<string, number>();
  const add = (name: string, time: number) => times.set(name, (times.get(name) ?? 0) + time);
  add('its own kernels took longer', totalLength(union(computing.filter((each) => each.step === step).map(clip))) - typical);
  for (const [other, own] of groupBy(
    computing.filter((each) => each.step !== step),
    (each) => each.step,
  )) {
    const args = steps.find((each) => each.args?.step === other)?.args;
    add(other === undefined ? 'work of no step' : `${args?.phase ?? 'step'} for others`, totalLength(union(own.map(clip))));
  }
  const copies = around.filter(({kind}) => kind === 'copy' || kind === 'synchronize');
  // Nothing was computed before the first kernel and after the last one: gaps too.
  const edges = [
    {start: start - 1, end: start},
    {start: end, end: end + 1},
  ];
  for (const gap of findGaps([...edges, ...computing.map(clip)], copies, within(hostEvents))) {
    add(gap.cause === 'launch' ? 'nothing was queued' : `waited for ${gap.waitedFor}`, gap.end - gap.start);
  }
  return [...times]
    .map(([name, time]) => ({name, time}))
    .filter(({time}) => time > 0)
    .sort((a, b) => b.time - a.time);
}

function median(values: number[]): number {
  return values.sort((a, b) => a - b)[Math.ceil(values.length / 2) - 1] ?? 0;
}
