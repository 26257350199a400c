/** Which events have a text in their name, phase or layer. */

import type {Model} from './model.js';

/** Marks lanes; returns how many events match and how long they took, or undefined without a filter. */
export function applyFilter(model: Model, text: string): {count: number; time: number} | undefined {
  const wanted = text.trim().toLowerCase();
  const has = (each: string | undefined) => each?.toLowerCase().includes(wanted) ?? false;
  const names = model.names.map(has);
  const details = model.details.map(({phase, layer}) => has(phase) || has(layer));
  const found = {count: 0, time: 0};
  for (const lane of model.tracks.flatMap((track) => track.lanes)) {
    lane.matches = undefined;
    lane.matchesBefore = undefined;
    if (wanted === '') continue;
    lane.matches = new Uint8Array(lane.starts.length);
    lane.matchesBefore = new Float64Array(lane.starts.length + 1);
    for (let i = 0; i < lane.starts.length; i++) {
      const matches = names[lane.names[i]!]! || details[lane.details[i]!]!;
      const length = matches ? lane.ends[i]! - lane.starts[i]! : 0;
      lane.matches[i] = matches ? 1 : 0;
      lane.matchesBefore[i + 1] = lane.matchesBefore[i]! + length;
      found.count += matches ? 1 : 0;
      found.time += length;
    }
  }
  return wanted === '' ? undefined : found;
}

/** The first match that begins after a time, else the first of all. */
export function nextMatch(model: Model, after: number): {start: number; end: number} | undefined {
  let [next, first]: ({start: number; end: number} | undefined)[] = [];
  for (const {matches, starts, ends} of model.tracks.flatMap((track) => track.lanes)) {
    for (let i = 0; i < starts.length; i++) {
      if (matches?.[i] !== 1) continue;
      const each = {start: starts[i]!, end: ends[i]!};
      if (first === undefined || each.start < first.start) first = each;
      if (each.start > after && (next === undefined || each.start < next.start)) next = each;
      if (each.start > after) break;
    }
  }
  return next ?? first;
}
