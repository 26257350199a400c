/** A trace as the page holds it: names and details once, events as numbers. */

import {groupBy} from '../../group_by.js';
import type {Trace} from '../activity.js';
import {zeroOf} from '../cut.js';
import {GPU, groupName, HOST} from '../trace_file.js';
import {familyOf} from './families.js';
import {NO_STEP, type PageEvent, pageEvents} from './page_events.js';

/** Events of a lane follow one another. */
export interface PageLane {
  /** Nanoseconds: from the start of the event before, and of the first from the page's `start`. */
  starts: number[];
  lengths: number[];
  /** Numbers in `names` and `details`. */
  names: number[];
  details: number[];
  /** The step of the scheduler that events belong to; -1 where that is not known. Not there where it is known of none. */
  steps?: number[];
}

export interface PageTrack {
  /** What stands over tracks alike: 'GPU 0', 'GPU 0 · copies', 'scheduler', 'requests', 'host'. */
  group: string;
  name: string;
  lanes: PageLane[];
}

/** What is shown of events beside name and time. */
export interface PageDetail {
  /** The activity's, 'copy' with its direction; 'host' for what the host did. */
  kind: string;
  phase?: string;
  layer?: string;
  bytes?: number;
  /** Titles and texts. */
  fields: [string, string][];
  /** Requests that a step of the scheduler served, by their tracks. */
  requests?: string[];
}

export interface PageData {
  /** Nanoseconds since the GPU's first activity, as summaries tell times; of a trace without any since its first event. */
  start: number;
  end: number;
  /** What is shown first: the time of the GPU. */
  view: [number, number];
  names: string[];
  /** By name, a number in `families`. */
  families: {name: string; kind: string; time: number}[];
  familyOf: number[];
  details: PageDetail[];
  tracks: PageTrack[];
}

/** The newest `maxEvents` of a trace, and how many are `left` out. `origin`: the zero of the page's times. */
export function pageData(trace: Trace, maxEvents: number): {data: PageData; origin: number; left: number} {
  const all = pageEvents(trace);
  const shown = newest(all, maxEvents).sort((a, b) => a.start - b.start || b.end - a.end);
  const onGpu = shown.filter(({track}) => track.group >= GPU);
  const first = shown[0]?.start ?? 0;
  const origin = all.length === 0 ? 0 : zeroOf(trace);
  const end = shown.reduce((latest, each) => Math.max(latest, each.end - origin), 1);
  const gpuEnd = onGpu.reduce((latest, each) => Math.max(latest, each.end - origin), 0);
  const names = new Numbers<string>();
  const details = new Numbers<PageDetail>();
  const tracks = [...groupBy(shown, ({track}) => track).values()]
    .sort((a, b) => order(a[0]!) - order(b[0]!) || timeOnGpu(b) - timeOnGpu(a))
    .map((events): PageTrack => {
      const {group, name} = events[0]!.track;
      return {
        group: titleOf(events[0]!),
        name: isCopy(events[0]!) && group >= GPU ? name.replace(/: copies$/, '') : name,
        lanes: lanesOf(events),
      };
    });
  const data = {start: first - origin, end, view: viewOf(first - origin, end, gpuEnd), names: names.all, details: details.all, tracks};
  return {data: {...data, ...familiesOf(shown, names)}, origin, left: all.length - shown.length};

  function lanesOf(events: readonly PageEvent[]): PageLane[] {
    const open: {lane: PageLane; start: number; end: number}[] = [];
    const told = events.some(({step}) => step !== NO_STEP);
    for (const {start, end, name, detail, step} of events) {
      // Kernels may begin while the one before ends, and events of the host enclose others.
      let free = open.find((each) => each.end <= start);
      if (free === undefined) {
        free = {lane: {starts: [], lengths: [], names: [], details: [], ...(told && {steps: []})}, start: first, end: first};
        open.push(free);
      }
      free.lane.starts.push(start - free.start);
      free.lane.lengths.push(end - start);
      free.lane.names.push(names.of(name));
      free.lane.details.push(details.of(detail));
      free.lane.steps?.push(step);
      free.start = start;
      free.end = end;
    }
    return open.map(({lane}) => lane);
  }
}

/** Those that ended last: what lasts long, such as requests, stays with what was done for it. */
function newest(all: PageEvent[], most: number): PageEvent[] {
  if (all.length <= most) return all;
  return all.sort((a, b) => b.end - a.end).slice(0, most);
}

/** With a little room on both sides. */
function viewOf(start: number, end: number, gpuEnd: number): [number, number] {
  if (gpuEnd === 0) return [start, end];
  const room = gpuEnd * 0.015;
  return [Math.max(start, -room), Math.min(end, gpuEnd + room)];
}

function familiesOf(events: readonly PageEvent[], names: Numbers<string>): Pick<PageData, 'families' | 'familyOf'> {
  const families = new Map<string, {name: string; kind: string; time: number; members: Set<string>}>();
  const times = new Map<string, {name: string; kind: string; time: number}>();
  for (const {name, detail, start, end} of events) {
    const key = `${detail.kind} ${name}`;
    const found = times.get(key);
    if (found === undefined) times.set(key, {name, kind: detail.kind, time: end - start});
    else found.time += end - start;
  }
  for (const {name, kind, time} of times.values()) {
    const family = kind === 'kernel' ? familyOf(name) : name;
    const key = `${kind} ${family}`;
    const found = families.get(key) ?? {name: family, kind, time: 0, members: new Set()};
    families.set(key, found);
    found.time += time;
    found.members.add(name);
  }
  const sorted = [...families.values()].sort((a, b) => b.time - a.time);
  const numbers: number[] = [];
  for (const [number, {members}] of sorted.entries()) for (const member of members) numbers[names.of(member)] ??= number;
  return {families: sorted.map(({name, kind, time}) => ({name, kind, time})), familyOf: numbers};
}

const isCopy = ({detail: {kind}}: PageEvent) => ['copy', 'toDevice', 'toHost', 'onDevice'].includes(kind);
const isScheduler = ({track: {group, name}}: PageEvent) => group === HOST && name === 'scheduler';

function titleOf(event: PageEvent): string {
  if (isScheduler(event)) return 'scheduler';
  return `${groupName(event.track.group)}${event.track.group >= GPU && isCopy(event) ? ' · copies' : ''}`;
}

/** Streams of GPUs, each GPU's copies after its streams, then the scheduler, requests, the rest of the host. */
function order(event: PageEvent): number {
  const {group} = event.track;
  if (group >= GPU) return (group - GPU) * 2 + (isCopy(event) ? 1 : 0) - 1e6;
  return isScheduler(event) ? 0 : group === HOST ? 2 : 1;
}

/** Of streams the busiest comes first; tracks of the host keep their order. */
function timeOnGpu(events: readonly PageEvent[]): number {
  return events[0]!.track.group >= GPU ? events.reduce((sum, {start, end}) => sum + end - start, 0) : 0;
}

class Numbers<T> {
  readonly all: T[] = [];
  readonly #numbers = new Map<T, number>();

  of(value: T): number {
    const found = this.#numbers.get(value);
    if (found !== undefined) return found;
    this.#numbers.set(value, this.all.length);
    return this.all.push(value) - 1;
  }
}
