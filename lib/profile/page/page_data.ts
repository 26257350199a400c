/** A trace as the page holds it: names and details once, events as numbers. */

import type {Activity, HostEvent, Trace} from '../activity.js';
import {groupBy} from '../group_by.js';
import {groupName, type Track, trackOfActivity, trackOfHostEvent} from '../trace_file.js';

/** Events of a lane follow one another. */
export interface PageLane {
  /** Nanoseconds from the start of the page, and of the event. */
  starts: number[];
  lengths: number[];
  /** Numbers in `names` and `details`. */
  names: number[];
  details: number[];
}

export interface PageTrack {
  group: string;
  name: string;
  lanes: PageLane[];
}

export interface PageData {
  /** Nanoseconds. */
  length: number;
  names: string[];
  /** What is shown beside name and time: a line each. */
  details: string[][];
  /** By name, the kind that gives its colour. */
  kinds: string[];
  tracks: PageTrack[];
  /** What to look at first. */
  findings: {text: string; start: number; end: number}[];
}

type PageEvent = {start: number; end: number; name: string; kind: string; details: string[]; track: Track};

/** The newest `maxEvents` of a trace. */
export function pageData({activities, hostEvents}: Trace, maxEvents: number): Omit<PageData, 'findings'> & {origin: number; left: number} {
  const all = [...activities.map(ofActivity), ...hostEvents.map(ofHostEvent)].sort((a, b) => a.start - b.start || b.end - a.end);
  const shown = all.slice(Math.max(0, all.length - maxEvents));
  const origin = shown[0]?.start ?? 0;
  const names = new Numbers<string>((name) => name);
  const details = new Numbers<string[]>((lines) => lines.join('\n'));
  const kinds: string[] = [];
  const tracks = [...groupBy(shown, ({track: {group, name}}) => `${group} ${name}`).values()]
    .sort((a, b) => order(a[0]!) - order(b[0]!))
    .map((events): PageTrack => {
      const lanes: PageLane[] = [];
      for (const {start, end, name, kind, details: lines} of events) {
        const lane = laneFor(lanes, start - origin);
        lane.starts.push(start - origin);
        lane.lengths.push(end - start);
        const number = names.of(name);
        kinds[number] ??= kind;
        lane.names.push(number);
        lane.details.push(details.of(lines));
      }
      const {group, name} = events[0]!.track;
      return {group: groupName(group), name, lanes};
    });
  const length = shown.reduce((latest, {end}) => Math.max(latest, end - origin), 0);
  return {length, names: names.all, details: details.all, kinds, tracks, origin, left: all.length - shown.length};
}

/** Kernels may begin while the one before ends, and events of the host enclose others. */
function laneFor(lanes: PageLane[], start: number): PageLane {
  const free = lanes.find(({starts, lengths}) => starts.at(-1)! + lengths.at(-1)! <= start);
  if (free !== undefined) return free;
  const lane = {starts: [], lengths: [], names: [], details: []};
  lanes.push(lane);
  return lane;
}

/** GPUs first, then the host, then requests. */
function order({track: {group}}: PageEvent): number {
  return group >= 10 ? group - 1000 : group;
}

function ofActivity(activity: Activity): PageEvent {
  const {start, end, name, kind, stream, streamName, bytes, direction, grid, block, sharedBytes, registers, phase, layer, pageable} =
    activity;
  const lines = [`${kind} on ${streamName === undefined ? 'stream' : streamName} (${stream})`];
  if (phase !== undefined || layer !== undefined) lines.push([phase, layer].filter((each) => each !== undefined).join(', '));
  // The rate is made of bytes and time on the page.
  if (bytes !== undefined) lines.push(`bytes ${bytes}`);
  if (pageable) lines.push('pageable memory');
  if (grid !== undefined) lines.push(`grid ${grid.join(' x ')}`);
  if (block !== undefined) lines.push(`block ${block.join(' x ')}`);
  if (sharedBytes) lines.push(`shared memory ${sharedBytes} B`);
  if (registers) lines.push(`registers ${registers}`);
  return {start, end, name, kind: kind === 'copy' ? (direction ?? kind) : kind, details: lines, track: trackOfActivity(activity)};
}

function ofHostEvent(event: HostEvent): PageEvent {
  const {start, end, name, args = {}} = event;
  const lines = Object.entries(args).map(([field, value]) => `${field} ${typeof value === 'string' ? value : JSON.stringify(value)}`);
  return {start, end, name, kind: 'host', details: lines, track: trackOfHostEvent(event)};
}

class Numbers<T> {
  readonly all: T[] = [];
  readonly #numbers = new Map<string, number>();

  constructor(readonly keyOf: (value: T) => string) {}

  of(value: T): number {
    const key = this.keyOf(value);
    const found = this.#numbers.get(key);
    if (found !== undefined) return found;
    this.#numbers.set(key, this.all.length);
    return this.all.push(value) - 1;
  }
}
