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
  const {kind, start, end, name, ...args} = activity;
  const {bytes} = args;
  const rate = kind === 'copy' && bytes !== undefined && end > start ? Number((bytes / (end - start)).toPrecision(4)) : undefined;
  return encodeSpan(group, trackId, start, end, name, kind, {...args, 'GB/s': rate});
}

export function encodeHostEvent({name, start, end, args}: HostEvent, {group}: Track, trackId: number): string {
  return encodeSpan(group, trackId, start, end, name, 'host', args);
}

function encodeSpan(pid: number, tid: number, start: number, end: number, name: string, cat: string, args: object | undefined): string {
  return JSON.stringify({ph: 'X', pid, tid, ts: micros(start), dur: micros(end - start), name, cat, args});
}

/** Chrome's unit; to the nanosecond, without the digits that binary fractions add. */
function micros(nanoseconds: number): number {
  return Math.round(nanoseconds) / 1000;
}
