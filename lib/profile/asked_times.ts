/** When there was work to do: what an idle GPU outside of it is no fault of. */

import type {Activity, HostEvent} from './activity.js';
import {Coverage, type Interval, union} from './intervals.js';

/** From the first work of a step to the last one's; undefined where none is known to be of a step. */
export function stepWindow(activities: readonly Activity[]): Interval | undefined {
  let [start, end] = [Infinity, -Infinity];
  for (const each of activities) {
    if (each.step === undefined || each.kind === 'copy') continue;
    start = Math.min(start, each.start);
    end = Math.max(end, each.end);
  }
  return start < end ? {start, end} : undefined;
}

/** In which requests were under way; undefined where none is known. */
export function askedTimes(hostEvents: readonly HostEvent[]): Coverage | undefined {
  // Those that had not ended with the recording are known by their steps.
  const bySteps = new Map<unknown, Interval>();
  const whole: Interval[] = [];
  for (const {track, name, start, end, args} of hostEvents) {
    if (track === name && /^request\b/.test(track)) whole.push({start, end});
    if (typeof args?.step !== 'number' || !Array.isArray(args.requests)) continue;
    for (const request of args.requests) {
      const known = bySteps.get(request);
      if (known === undefined) bySteps.set(request, {start, end});
      else known.end = Math.max(known.end, end);
    }
  }
  const asked = union([...whole, ...bySteps.values()]);
  return asked.length === 0 ? undefined : new Coverage(asked);
}
