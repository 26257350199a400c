/** What a trace lacks, for people. */

import type {TraceFile} from './trace_reader.js';

/** A line each: dropped events, and an end that is missing. */
export function describeState({state}: Pick<TraceFile, 'state'>): string[] {
  if (state === undefined) return ['the file was cut in the middle of a write: its last events are missing'];
  const lines: string[] = [];
  if (state.dropped > 0) {
    const since = state.from === undefined ? '' : `; all since ${(state.from / 1e9).toFixed(3)} s of the clock are there`;
    lines.push(`${state.dropped} events were dropped, ${state.events} stayed${since}`);
  }
  if (state.lost !== undefined) lines.push(`${state.lost} of these came faster than they could be written`);
  if (!state.ended) lines.push('the recording was not ended: its last moments may be missing');
  return lines;
}
