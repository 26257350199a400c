/** Events as the page tells of them: alike ones share what is told beside name and time, of which there may be millions. */

import {formatBytes} from '../../cli/format.js';
import type {Activity, HostEvent, Trace} from '../activity.js';
import {type Place, placeKernels} from '../phases.js';
import {type Track, trackOfActivity, trackOfHostEvent} from '../trace_file.js';
import type {PageDetail} from './page_data.js';

export interface PageEvent {
  start: number;
  end: number;
  name: string;
  /** The same objects for events alike. */
  track: Track;
  detail: PageDetail;
  step: number;
}

export const NO_STEP = -1;

/** In no order. */
export function pageEvents({activities, hostEvents}: Trace): PageEvent[] {
  const places = placeKernels(activities);
  const requests = requestTracks(hostEvents);
  const shared = new Shared();
  return [
    ...activities.map((each) => ofActivity(each, places.get(each), shared)),
    ...hostEvents.map((each) => ofHostEvent(each, requests, shared)),
  ];
}

class Shared {
  readonly #known = new Map<string, Pick<PageEvent, 'track' | 'detail'>>();
  readonly #tracks = new Map<string, Track>();

  /** `make` is called for the first of each key. */
  of(key: string, make: () => Pick<PageEvent, 'track' | 'detail'>): Pick<PageEvent, 'track' | 'detail'> {
    const found = this.#known.get(key);
    if (found !== undefined) return found;
    const {track, detail} = make();
    const trackKey = `${track.group} ${track.name}`;
    const made = {track: this.#tracks.get(trackKey) ?? track, detail};
    this.#tracks.set(trackKey, made.track);
    this.#known.set(key, made);
    return made;
  }
}

/** Tracks by what steps call their requests. */
function requestTracks(hostEvents: readonly HostEvent[]): Map<string, string> {
  const own = hostEvents.filter(({track, name, args}) => track === name && args?.request !== undefined);
  return new Map(own.map(({track, args}) => [`${args!.model} ${args!.request}`, track]));
}

function ofActivity(activity: Activity, place: Place = activity, shared: Shared): PageEvent {
  const {start, end, name, kind, device, stream, streamName, bytes, direction, grid, block, sharedBytes, registers, pageable} = activity;
  const key = `${kind} ${device} ${stream} ${streamName} ${bytes} ${direction} ${grid} ${block} ${sharedBytes} ${registers} ${pageable} ${place.phase} ${place.layer}`;
  const {track, detail} = shared.of(key, () => ({track: trackOfActivity(activity), detail: detailOf(activity, place)}));
  return {start, end, name, track, detail, step: stepOf(activity)};
}

function detailOf(activity: Activity, {phase, layer}: Place): PageDetail {
  const {kind, stream, streamName, bytes, direction, grid, block, sharedBytes, registers, pageable} = activity;
  const fields: [string, string][] = [];
  // The host may wait for what is of no stream.
  if (kind !== 'synchronize' || stream !== 0)
    fields.push(['stream', streamName === undefined ? String(stream) : `${streamName} (${stream})`]);
  if (grid !== undefined) fields.push(['grid', grid.join(' × ')]);
  if (block !== undefined) fields.push(['block', block.join(' × ')]);
  if (sharedBytes) fields.push(['shared memory', `${sharedBytes} B`]);
  if (registers) fields.push(['registers', `${registers} a thread`]);
  if (pageable) fields.push(['memory', 'pageable']);
  return {kind: kind === 'copy' ? (direction ?? kind) : kind, phase, layer, bytes, fields};
}

function ofHostEvent(event: HostEvent, tracks: ReadonlyMap<string, string>, shared: Shared): PageEvent {
  const {start, end, name, args = {}} = event;
  const served = Array.isArray(args.requests)
    ? args.requests.map((each) => tracks.get(`${args.model} ${each}`) ?? `request ${each}`)
    : undefined;
  const fields = Object.entries({...args, ...(served && {requests: served.join(', ')})})
    .filter(([field, value]) => value !== undefined && field !== 'step' && field !== 'phase')
    .map(([field, value]): [string, string] => [titleOfArg(field), textOfArg(field, value)]);
  const phase = typeof args.phase === 'string' ? args.phase : undefined;
  const {track, detail} = shared.of(`host ${event.track} ${JSON.stringify(fields)} ${phase}`, () => ({
    track: trackOfHostEvent(event),
    detail: {kind: 'host', phase, fields, requests: served},
  }));
  return {start, end, name, track, detail, step: stepOf(args)};
}

/** 'bytesRead' reads 'bytes read'. */
function titleOfArg(field: string): string {
  return field.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
}

function textOfArg(field: string, value: unknown): string {
  if (typeof value === 'string') return value;
  return /bytes/i.test(field) && typeof value === 'number' ? formatBytes(value) : JSON.stringify(value);
}

function stepOf(from: object): number {
  const {step} = from as {step?: unknown};
  return typeof step === 'number' ? step : NO_STEP;
}
