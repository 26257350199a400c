/** What a trace tells in numbers. All times are in nanoseconds, all rates in bytes a second, all shares from 0 to 1. */

import {groupBy} from '../group_by.js';
import type {Activity, CardSpeeds, Trace} from './activity.js';
import {askedTimes, stepWindow} from './asked_times.js';
import {findGaps, type Gap, type GapCause} from './gaps.js';
import {Coverage, type Interval, totalLength, union} from './intervals.js';
import {type Place, placeKernels} from './phases.js';
import {findSerialCopies, type SerialCopies} from './serial_copies.js';
import {type StepTimes, summarizeSteps} from './step_times.js';

/** Time of things of one name. */
export interface TimeOf {
  name: string;
  count: number;
  total: number;
  longest: number;
  /** Of the time of all of the list. */
  share: number;
}

export interface CopySummary {
  direction: NonNullable<Activity['direction']>;
  count: number;
  bytes: number;
  /** In which at least one was under way. */
  busy: number;
  /** Bytes by busy time. */
  rate: number;
  /** Of what the card could do, where that is known. */
  reached?: number;
}

export interface ComputeSummary {
  /** The stream whose kernels took most time. */
  stream: string;
  /**
   * Busy and idle: from the start of its first kernel to the end of its last, of steps where the trace tells of those. Gaps in
   * which no request was under way are left out.
   */
  span: number;
  busy: number;
  idle: number;
  /** Idle time by what it waited for. */
  waits: Record<GapCause, number>;
}

export interface GapGroup {
  cause: GapCause;
  waitedFor?: string;
  count: number;
  total: number;
  longest: Interval;
}

/**
 * What the compute stream's time is bound by. 'copies', 'streams', 'host' and 'launches': what most of its idle time waited for,
 * if it was idle for over a fifth. 'memory': it was busy, and its kernels read at 60% or more of what the card's memory gives.
 * 'kernels': it was busy, and they read less, or what they read is not known.
 */
export type Bound = 'copies' | 'streams' | 'host' | 'launches' | 'memory' | 'kernels';

export interface Summary {
  device?: string;
  /** Of the first activity on the GPU, since the clock's zero. */
  start: number;
  /** From there to the last end. */
  span: number;
  kernels: TimeOf[];
  /** Of what models' steps took; empty where the trace tells of none. */
  steps: StepTimes[];
  /** Of kernels, as the next; empty where nothing was told. Together all kernels: the rest is 'outside steps', or in 'no layer'. */
  phases: TimeOf[];
  layers: TimeOf[];
  copies: CopySummary[];
  /** Of the time in which copies between host and device were under way, how much the device computed too. */
  overlap?: {copying: number; overlapped: number; share: number};
  serialCopies: SerialCopies[];
  compute?: ComputeSummary;
  /** On the compute stream, by what they waited for, the most time first. */
  gaps: GapGroup[];
  /** What kernels read of the GPU's memory, where it was told, over the time in which they ran; of decode steps where there are any. */
  memory?: {phase?: string; bytes: number; rate: number; reached?: number};
  bound?: Bound;
  /** By track and name: 'scheduler: decode'; of requests 'request: queue', of all of them together. */
  host: TimeOf[];
}

const IDLE_BOUND = 0.2;
const MEMORY_BOUND = 0.6;
const BOUND_BY: Record<GapCause, Bound> = {copy: 'copies', stream: 'streams', host: 'host', launch: 'launches'};

export function summarize({info, activities, hostEvents}: Trace): Summary {
  const all = computeOf(activities);
  // What loads models is not what they are slow for.
  const window = stepWindow(activities);
  const isWithin = ({start, end}: Interval) => window === undefined || (start >= window.start && end <= window.end);
  const work = all.filter(isWithin);
  const copies = activities.filter(({kind}) => kind === 'copy');
  const onGpu = activities.filter(({kind}) => kind !== 'synchronize');
  const start = onGpu.length === 0 ? 0 : onGpu.reduce((earliest, each) => Math.min(earliest, each.start), Infinity);
  const places = placeKernels(activities);
  const kernels = all.filter(({kind}) => kind !== 'set');
  const [compute, gaps] = summarizeCompute(work, activities, hostEvents);
  const memory = summarizeMemory({info, activities: kernels, hostEvents}, places);
  return {
    device: info.device,
    start,
    span: onGpu.reduce((end, each) => Math.max(end, each.end), start) - start,
    kernels: timesOf(kernels, ({name}) => name),
    steps: summarizeSteps(activities, hostEvents, gaps),
    phases: timesOfAll(kernels, (kernel) => places.get(kernel)?.phase, 'outside steps'),
    layers: timesOfAll(kernels, (kernel) => places.get(kernel)?.layer, 'no layer'),
    copies: summarizeCopies(copies, info.speeds),
    overlap: overlapOf(copies.filter(isWithin), work),
    serialCopies: serialCopiesOf(copies, work),
    compute,
    gaps: groupGaps(gaps),
    memory,
    bound: compute && boundOf(compute, memory),
    host: timesOf(hostEvents, ({track, name}) => `${track.replace(/^request\b.*/, 'request')}: ${name.replace(/^request\b.*/, 'whole')}`),
  };
}

/** What computes: kernels and sets, and graphs whose kernels are not told one by one. Without any, steps as a whole. */
function computeOf(activities: readonly Activity[]): Activity[] {
  if (!activities.some(({kind}) => kind === 'kernel' || kind === 'graph')) {
    return activities.filter(({kind, step}) => kind === 'set' || (kind === 'range' && step !== undefined));
  }
  const told = new Set(activities.flatMap(({kind, correlation, device}) => (kind === 'kernel' ? [`${device} ${correlation}`] : [])));
  return activities.filter(
    ({kind, correlation, device}) =>
      kind === 'kernel' || kind === 'set' || (kind === 'graph' && (correlation === undefined || !told.has(`${device} ${correlation}`))),
  );
}

function summarizeCompute(
  work: readonly Activity[],
  activities: readonly Activity[],
  hostEvents: Trace['hostEvents'],
): [ComputeSummary | undefined, Gap[]] {
  const streams = [...groupBy(work, ({device, stream}) => `${device} ${stream}`).values()];
  const times = streams.map((each) => each.reduce((sum, {kind, start, end}) => sum + (kind === 'set' ? 0 : end - start), 0));
  const own = streams[times.indexOf(Math.max(...times))];
  if (own === undefined) return [undefined, []];
  const {device, stream, streamName = `stream ${stream}`} = own[0]!;
  const others = activities.filter(
    (each) => each.device === device && (each.kind === 'copy' || each.kind === 'synchronize' || each.stream !== stream),
  );
  const merged = union(own);
  const asked = askedTimes(hostEvents);
  const gaps = findGaps(merged, others, hostEvents).filter((gap) => asked === undefined || asked.within(gap) >= (gap.end - gap.start) / 2);
  const busy = totalLength(merged);
  const waits = {copy: 0, stream: 0, host: 0, launch: 0};
  for (const {cause, start, end} of gaps) waits[cause] += end - start;
  const idle = totalLength(gaps);
  return [{stream: streamName, span: busy + idle, busy, idle, waits}, gaps];
}

function boundOf({span, idle, waits}: ComputeSummary, memory: Summary['memory']): Bound {
  if (idle > span * IDLE_BOUND) {
    const [[cause]] = (Object.entries(waits) as [GapCause, number][]).sort(([, a], [, b]) => b - a) as [[GapCause, number]];
    return BOUND_BY[cause];
  }
  return memory?.reached !== undefined && memory.reached >= MEMORY_BOUND ? 'memory' : 'kernels';
}

function summarizeMemory({info, activities, hostEvents}: Trace, places: ReadonlyMap<Activity, Place>): Summary['memory'] {
  const decoding = activities.filter((each) => places.get(each)?.phase === 'decode');
  const steps = new Set(decoding.map(({step}) => step));
  const ofSteps = hostEvents.filter(({args}) => typeof args?.step === 'number' && steps.has(args.step));
  if (ofSteps.length > 0) {
    const memory = memoryOf({info, activities: decoding, hostEvents: ofSteps});
    return memory && {phase: 'decode', ...memory};
  }
  return memoryOf({info, activities, hostEvents});
}

function memoryOf({info, activities, hostEvents}: Trace): Summary['memory'] {
  const told = hostEvents.reduce((sum, {args}) => sum + (typeof args?.bytesRead === 'number' ? args.bytesRead : 0), 0);
  const bytes = activities.reduce((sum, {bytes = 0}) => sum + bytes, told);
  const busy = totalLength(union(activities));
  if (bytes === 0 || busy === 0) return undefined;
  const rate = (bytes / busy) * 1e9;
  return {bytes, rate, reached: info.speeds?.memory && rate / info.speeds.memory};
}

function summarizeCopies(copies: readonly Activity[], speeds: CardSpeeds = {}): CopySummary[] {
  return (['toDevice', 'toHost', 'onDevice'] as const).flatMap((direction) => {
    const own = copies.filter((each) => each.direction === direction);
    if (own.length === 0) return [];
    const bytes = own.reduce((sum, {bytes = 0}) => sum + bytes, 0);
    const busy = totalLength(union(own));
    const rate = busy === 0 ? 0 : (bytes / busy) * 1e9;
    const speed = direction === 'onDevice' ? undefined : speeds[direction];
    return [{direction, count: own.length, bytes, busy, rate, reached: speed && rate / speed}];
  });
}

function overlapOf(copies: readonly Activity[], work: readonly Activity[]): Summary['overlap'] {
  let [copying, overlapped] = [0, 0];
  for (const [device, own] of groupBy(copies, ({device}) => device)) {
    const merged = union(own.filter(({direction}) => direction !== 'onDevice'));
    const coverage = new Coverage(union(work.filter((each) => each.device === device)));
    copying += totalLength(merged);
    for (const interval of merged) overlapped += coverage.within(interval);
  }
  return copying === 0 ? undefined : {copying, overlapped, share: overlapped / copying};
}

function serialCopiesOf(copies: readonly Activity[], work: readonly Activity[]): SerialCopies[] {
  const found = [...groupBy(copies, ({device}) => device)].flatMap(([device, own]) => {
    const compute = union(work.filter((each) => each.device === device));
    return findSerialCopies(own, compute);
  });
  return found.sort((a, b) => b.idle - a.idle);
}

function groupGaps(gaps: readonly Gap[]): GapGroup[] {
  const groups = Array.from(groupBy(gaps, ({cause, waitedFor}) => `${cause} ${waitedFor}`).values(), (own) => {
    const longest = own.reduce((a, b) => (b.end - b.start > a.end - a.start ? b : a));
    const {cause, waitedFor, start, end} = longest;
    return {cause, waitedFor, count: own.length, total: totalLength(own), longest: {start, end}};
  });
  return groups.sort((a, b) => b.total - a.total);
}

/** As `timesOf`, and last what has no name, as `rest`; nothing where nothing has one. */
function timesOfAll<T extends Interval>(items: readonly T[], nameOf: (item: T) => string | undefined, rest: string): TimeOf[] {
  if (!items.some((item) => nameOf(item) !== undefined)) return [];
  const times = timesOf(items, (item) => nameOf(item) ?? rest);
  return [...times.filter(({name}) => name !== rest), ...times.filter(({name}) => name === rest)];
}

function timesOf<T extends Interval>(items: readonly T[], nameOf: (item: T) => string | undefined): TimeOf[] {
  const times = new Map<string, TimeOf>();
  let all = 0;
  for (const item of items) {
    const name = nameOf(item);
    if (name === undefined) continue;
    const time = item.end - item.start;
    all += time;
    const found = times.get(name);
    if (found === undefined) {
      times.set(name, {name, count: 1, total: time, longest: time, share: 0});
    } else {
      found.count++;
      found.total += time;
      found.longest = Math.max(found.longest, time);
    }
  }
  for (const each of times.values()) each.share = all === 0 ? 0 : each.total / all;
  return [...times.values()].sort((a, b) => b.total - a.total);
}
