/** A part of a trace, by time. */

import type {Trace} from './activity.js';
import type {Interval} from './intervals.js';

/**
 * What was under way at any time in `range`, whole: events that began before it or ended after it keep their times, and
 * steps all of their work, so that what is told of a step is true of what is there. Nanoseconds of the trace's clock.
 */
export function cutTrace({info, activities, hostEvents}: Trace, range: Interval): Trace {
  const within = ({start, end}: Interval) => start < range.end && (end > range.start || start >= range.start);
  const steps = new Set(activities.filter(within).map(({step}) => step));
  steps.delete(undefined);
  return {
    info,
    activities: activities.filter((each) => within(each) || steps.has(each.step)),
    hostEvents: hostEvents.filter((each) => within(each) || steps.has(each.args?.step as number | undefined)),
  };
}

/** The zero of the times that summaries and pages tell: the GPU's first activity; of a trace without any its first event. */
export function zeroOf({activities, hostEvents}: Trace): number {
  const onGpu = activities.filter(({kind}) => kind !== 'synchronize');
  return (onGpu.length > 0 ? onGpu : hostEvents).reduce((earliest, {start}) => Math.min(earliest, start), Infinity);
}
