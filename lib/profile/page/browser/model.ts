/** Events as typed arrays, with sums that tell any range's busy time at once. */

import {union} from '../../intervals.js';
import type {PageData, PageDetail, PageLane} from '../page_data.js';

/** Times apart from one another, in nanoseconds as the page tells them, and how much of them is before each. */
export interface Busy {
  starts: Float64Array;
  ends: Float64Array;
  before: Float64Array;
}

export interface Lane extends Busy {
  names: Uint32Array;
  details: Uint32Array;
  steps: Int32Array | undefined;
  /** By event whether the filter wants it, and the time of those before; undefined without a filter. */
  matches: Uint8Array | undefined;
  matchesBefore: Float64Array | undefined;
}

export interface Track {
  group: string;
  name: string;
  lanes: Lane[];
  /** When any of its events was under way. */
  busy: Busy;
  /** Of a GPU: its streams and copies. */
  onGpu: boolean;
  isCopies: boolean;
}

export interface EventRef {
  track: Track;
  lane: Lane;
  index: number;
}

export interface Model extends Omit<PageData, 'tracks'> {
  tracks: Track[];
  /** Names a step's events, in no order. */
  stepEvents(step: number): EventRef[];
}

export function makeModel(data: PageData): Model {
  const tracks = data.tracks.map(({group, name, lanes: encoded}): Track => {
    const lanes = encoded.map((lane) => decode(lane, data.start));
    return {group, name, lanes, busy: busyOf(lanes), onGpu: group.startsWith('GPU'), isCopies: group.endsWith('copies')};
  });
  let steps: Map<number, EventRef[]> | undefined;
  const stepEvents = (step: number) => {
    steps ??= eventsByStep(tracks);
    return steps.get(step) ?? [];
  };
  return {...data, tracks, stepEvents};
}

function decode({starts, lengths, names, details, steps}: PageLane, from: number): Lane {
  const count = starts.length;
  const [begin, end, before] = [new Float64Array(count), new Float64Array(count), new Float64Array(count + 1)];
  let now = from;
  for (let i = 0; i < count; i++) {
    now += starts[i]!;
    begin[i] = now;
    end[i] = now + lengths[i]!;
    before[i + 1] = before[i]! + lengths[i]!;
  }
  return {
    starts: begin,
    ends: end,
    names: Uint32Array.from(names),
    details: Uint32Array.from(details),
    steps: steps && Int32Array.from(steps),
    before,
    matches: undefined,
    matchesBefore: undefined,
  };
}

function eventsByStep(tracks: readonly Track[]): Map<number, EventRef[]> {
  const found = new Map<number, EventRef[]>();
  for (const track of tracks) {
    for (const lane of track.lanes) {
      for (const [index, step] of lane.steps?.entries() ?? []) {
        if (step < 0) continue;
        const own = found.get(step);
        if (own === undefined) found.set(step, [{track, lane, index}]);
        else own.push({track, lane, index});
      }
    }
  }
  return found;
}

/** The first place from `low` on whose value is beyond `limit`: `values` rise. */
export function firstBeyond(values: Float64Array, limit: number, low = 0): number {
  let high = values.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (values[middle]! > limit) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** When any of several was busy. */
export function busyOf(several: readonly Busy[]): Busy {
  const [only] = several;
  if (several.length === 1) return only!;
  const all = union(several.flatMap(({starts, ends}) => Array.from(starts, (start, i) => ({start, end: ends[i]!}))));
  const [starts, ends] = [Float64Array.from(all, ({start}) => start), Float64Array.from(all, ({end}) => end)];
  const before = new Float64Array(all.length + 1);
  for (let i = 0; i < all.length; i++) before[i + 1] = before[i]! + ends[i]! - starts[i]!;
  return {starts, ends, before};
}

/** How much of the time between two it was busy. */
export function busyWithin({starts, ends, before}: Busy, from: number, to: number): number {
  const first = firstBeyond(ends, from);
  const last = firstBeyond(starts, to, first);
  if (last <= first) return 0;
  return before[last]! - before[first]! - Math.max(0, from - starts[first]!) - Math.max(0, ends[last - 1]! - to);
}

/** As the legend and the filter know an event. */
export function detailOf(model: Model, {lane, index}: Pick<EventRef, 'lane' | 'index'>): PageDetail {
  return model.details[lane.details[index]!]!;
}
