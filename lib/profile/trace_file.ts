/** The form of a trace on disk: Chrome's trace events, which Perfetto, Speedscope and chrome://tracing open, one a line. */

import type {Activity, HostEvent, TraceInfo} from './activity.js';

/** Groups of tracks, "processes" in Chrome's words: the host, requests, and from `GPU` on a GPU each. */
export const HOST = 1;
export const REQUESTS = 2;
export const GPU = 10;

/** Names of the records about the file itself. Viewers pass over them. */
export const INFO_RECORD = 'tensorrt-node';
export const STATE_RECORD = 'tensorrt-node.state';

/** What a file says of itself at its end. */
export interface TraceState {
  /** Whether the recording was ended; else the process went away, or the file is being written. */
  ended: boolean;
  events: number;
  /** Events that are not in the file: the oldest, to keep within the limit, and those that came faster than the disk took them. */
  dropped: number;
  /** Of these, events that came faster than they could be written. Left out where there are none. */
  lost?: number;
  /** Nanoseconds: what started earlier was dropped, or some of it. */
  from?: number;
}

export interface Track {
  group: number;
  name: string;
}

/** The track of an activity. Copies have one beside their stream's: on it they would hide what encloses them. */
export function trackOfActivity({kind, device, stream, streamName}: Activity): Track {
  if (kind === 'synchronize') return {group: HOST, name: 'synchronize'};
  const name = streamName === undefined ? `stream ${stream}` : `${streamName} (${stream})`;
  return {group: GPU + device, name: kind === 'copy' ? `${name}: copies` : name};
}

export function trackOfHostEvent({track}: HostEvent): Track {
  return {group: /^request\b/.test(track) ? REQUESTS : HOST, name: track};
}

export function groupName(group: number): string {
  if (group === HOST) return 'host';
  return group === REQUESTS ? 'requests' : `GPU ${group - GPU}`;
}

export function encodeGroup(group: number): string {
  return JSON.stringify({ph: 'M', name: 'process_name', pid: group, tid: 0, args: {name: groupName(group)}});
}

export function encodeTrack({group, name}: Track, id: number): string {
  return JSON.stringify({ph: 'M', name: 'thread_name', pid: group, tid: id, args: {name}});
}

export function encodeInfo(info: TraceInfo): string {
  return JSON.stringify({ph: 'M', name: INFO_RECORD, pid: HOST, tid: 0, args: info});
}

export function encodeState(state: TraceState): string {
  return JSON.stringify({ph: 'M', name: STATE_RECORD, pid: HOST, tid: 0, args: state});
}

/** A mark across all tracks, for people who look at the file in a viewer. */
export function encodeMark(name: string, time: number): string {
  return JSON.stringify({ph: 'i', s: 'g', name, pid: HOST, tid: 0, ts: micros(time)});
}

export function encodeActivity(activity: Activity, {group}: Track, trackId: number): string {
  const {kind, start, end, bytes} = activity;
  const rate = kind === 'copy' && bytes !== undefined && end > start ? `,"GB/s":${Number((bytes / (end - start)).toPrecision(4))}` : '';
  return encodeSpan(group, trackId, start, end, activity.name, kind, `{${argsOf(activity)}${rate}}`);
}

/** An activity's line up to its last argument; what follows is more arguments, the end of these, `ts` and `dur`. */
export function encodeActivityStart(activity: Activity, {group}: Track, trackId: number): string {
  return `{"ph":"X","pid":${group},"tid":${trackId},"name":${quoted(activity.name)},"cat":"${activity.kind}","args":{${argsOf(activity)}`;
}

function argsOf(activity: Activity): string {
  let args = '';
  for (const field of NUMBERS) {
    const value = activity[field];
    if (value !== undefined) args += `,"${field}":${value}`;
  }
  for (const field of TEXTS) {
    const value = activity[field];
    if (value !== undefined) args += `,"${field}":${quoted(value)}`;
  }
  for (const field of SIZES) {
    const value = activity[field];
    if (value !== undefined) args += `,"${field}":[${value[0]},${value[1]},${value[2]}]`;
  }
  if (activity.pageable !== undefined) args += `,"pageable":${activity.pageable}`;
  return args.slice(1);
}

// By hand, as `JSON.stringify` takes three times as long.
const NUMBERS = ['device', 'stream', 'bytes', 'graph', 'correlation', 'step', 'sharedBytes', 'registers'] as const;
const TEXTS = ['streamName', 'direction', 'phase', 'layer'] as const;
const SIZES = ['grid', 'block'] as const;

export function encodeHostEvent({name, start, end, args = {}}: HostEvent, {group}: Track, trackId: number): string {
  return encodeSpan(group, trackId, start, end, name, 'host', JSON.stringify(args));
}

function encodeSpan(pid: number, tid: number, start: number, end: number, name: string, cat: string, args: string): string {
  const [ts, dur] = [micros(start), micros(end - start)];
  return `{"ph":"X","pid":${pid},"tid":${tid},"ts":${ts},"dur":${dur},"name":${quoted(name)},"cat":"${cat}","args":${args}}`;
}

const QUOTED_LIMIT = 10_000;
const quotedNames = new Map<string, string>();

/** As JSON. The same few names come again and again. */
function quoted(text: string): string {
  let found = quotedNames.get(text);
  if (found === undefined) {
    found = JSON.stringify(text);
    if (quotedNames.size >= QUOTED_LIMIT) quotedNames.clear();
    quotedNames.set(text, found);
  }
  return found;
}

/** Chrome's unit; to the nanosecond, without the digits that binary fractions add. */
function micros(nanoseconds: number): number {
  return Math.round(nanoseconds) / 1000;
}
