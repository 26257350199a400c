/** Times in which the compute stream ran nothing, and what was under way meanwhile. */

import {groupBy} from '../group_by.js';
import type {Activity, HostEvent} from './activity.js';
import {between, type Interval, overlapping, shared, totalLength, union} from './intervals.js';

/**
 * What a gap waited for, by what was under way for at least half of it: a copy, else work of another stream, else something
 * of the host. 'launch': none of these, so the host had queued nothing yet, or the GPU had not begun it; where the host queued a
 * step meanwhile, or waited for the GPU, as it does before it queues what depends on a result, `waitedFor` says so.
 */
export type GapCause = 'copy' | 'stream' | 'host' | 'launch';

export interface Gap extends Interval {
  cause: GapCause;
  /** 'copy to device on prefetch', 'kernel scale on side', 'tokenizer: encode', 'wait for an event'; undefined where nothing is known. */
  waitedFor?: string;
}

interface Candidate extends Interval {
  cause: GapCause;
  name: string;
}

/** Gaps between the first and the last of `work`, which is what the compute stream ran, by their start. */
export function findGaps(work: readonly Interval[], others: readonly Activity[], hostEvents: readonly HostEvent[]): Gap[] {
  const candidates = [...others.flatMap(candidateOfActivity), ...hostEvents.filter(isCause).map(candidateOfHostEvent)];
  return Array.from(overlapping(between(union(work)), candidates), ([gap, under]) => ({...gap, ...causeOf(gap, under)}));
}

/** Copies of any stream, and whatever else is not of the compute stream. */
function candidateOfActivity({kind, name, stream, streamName = `stream ${stream}`, start, end}: Activity): Candidate[] {
  if (kind === 'range') return [];
  if (kind === 'synchronize') return [{cause: 'launch', name, start, end}];
  if (kind === 'copy') return [{cause: 'copy', name: `${name} on ${streamName}`, start, end}];
  return [{cause: 'stream', name: `${kind} ${name} on ${streamName}`, start, end}];
}

/** A request lasts as long as all it waits for. */
function isCause({track}: HostEvent): boolean {
  return !/^request\b/.test(track);
}

function candidateOfHostEvent({track, name, start, end, args}: HostEvent): Candidate {
  const queues = typeof args?.step === 'number';
  return {cause: queues ? 'launch' : 'host', name: `${track}: ${name}`, start, end};
}

function causeOf(gap: Interval, candidates: readonly Candidate[]): Pick<Gap, 'cause' | 'waitedFor'> {
  const half = (gap.end - gap.start) / 2;
  for (const cause of ['copy', 'stream'] as const) {
    const found = longestOf(
      gap,
      half,
      candidates.filter((each) => each.cause === cause),
    );
    if (found !== undefined) return {cause, waitedFor: found};
  }
  // Events of the host enclose one another: the innermost says most.
  const inner = (cause: GapCause) =>
    candidates
      .filter((each) => each.cause === cause && shared(each, gap) >= half)
      .sort((a, b) => a.end - a.start - (b.end - b.start) || compare(a.name, b.name))[0];
  const host = inner('host') ?? inner('launch');
  return host === undefined ? {cause: 'launch'} : {cause: host.cause, waitedFor: host.name};
}

/** The name with most of the gap, if all candidates together cover half of it. */
function longestOf(gap: Interval, half: number, candidates: readonly Candidate[]): string | undefined {
  const clipped = candidates.map(({name, start, end}) => ({name, start: Math.max(start, gap.start), end: Math.min(end, gap.end)}));
  if (clipped.length === 0 || lengthOf(clipped) < half) return undefined;
  const byName = groupBy(clipped, ({name}) => name);
  const lengths = Array.from(byName, ([name, each]) => ({name, length: lengthOf(each)}));
  return lengths.sort((a, b) => b.length - a.length || compare(a.name, b.name))[0]!.name;
}

function lengthOf(intervals: readonly Interval[]): number {
  return totalLength(union(intervals));
}

function compare(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}
