/** What led to what: from a request to the scheduler's steps for it, and from a step to the GPU's work. */

import type {Link} from './draw.js';
import {detailOf, type EventRef, firstBeyond, type Model} from './model.js';

/** Of a request no more steps than can be told apart. */
const MOST_STEPS = 200;

export function linksOf(model: Model, event: EventRef, [from, to]: [number, number]): Link[] {
  if (event.track.group === 'requests') return linksOfRequest(model, event, [from, to]);
  const step = event.lane.steps?.[event.index] ?? -1;
  return step < 0 ? [] : linksOfStep(model, step);
}

function linksOfStep(model: Model, step: number): Link[] {
  const events = model.stepEvents(step);
  const scheduled = events.find(({track}) => !track.onGpu);
  const first = new Map<string, EventRef>();
  for (const event of events.filter(({track}) => track.onGpu)) {
    const key = `${event.track.group} ${event.track.name}`;
    const found = first.get(key);
    if (found === undefined || event.lane.starts[event.index]! < found.lane.starts[found.index]!) first.set(key, event);
  }
  if (scheduled === undefined) return [];
  const requests = (detailOf(model, scheduled).requests ?? []).flatMap((name) => requestAt(model, name, scheduled) ?? []);
  return [...requests.map((from) => ({from, to: scheduled})), ...[...first.values()].map((to) => ({from: scheduled, to}))];
}

function linksOfRequest(model: Model, {track, lane, index}: EventRef, [from, to]: [number, number]): Link[] {
  const [begin, end] = [Math.max(from, lane.starts[index]!), Math.min(to, lane.ends[index]!)];
  const links: Link[] = [];
  let steps = 0;
  for (const scheduler of model.tracks.filter(({group}) => group === 'scheduler')) {
    for (const each of scheduler.lanes) {
      for (let i = firstBeyond(each.ends, begin); i < each.starts.length && each.starts[i]! < end; i++) {
        const step = each.steps?.[i] ?? -1;
        if (step < 0 || !model.details[each.details[i]!]!.requests?.includes(track.name)) continue;
        if (++steps > MOST_STEPS) return links;
        links.push(...linksOfStep(model, step).filter((link) => link.from.track.group !== 'requests' || link.from.track === track));
      }
    }
  }
  return links;
}

/** The phase that a request was in when a step for it began; else the request as a whole. */
function requestAt(model: Model, name: string, {lane, index}: EventRef): EventRef | undefined {
  const track = model.tracks.find((each) => each.group === 'requests' && each.name === name);
  const when = (lane.starts[index]! + lane.ends[index]!) / 2;
  let found: EventRef | undefined;
  for (const each of track?.lanes ?? []) {
    const at = firstBeyond(each.ends, when);
    if (at < each.starts.length && each.starts[at]! <= when) found = {track: track!, lane: each, index: at};
  }
  return found;
}
