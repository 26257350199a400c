/** Which phase and layer a kernel belongs to. */

import {groupBy} from '../group_by.js';
import type {Activity} from './activity.js';
import {overlapping} from './intervals.js';

export interface Place {
  phase?: string;
  layer?: string;
}

/** For each kernel what it says itself, else the innermost ranges around it on its stream. */
export function placeKernels(activities: readonly Activity[]): Map<Activity, Place> {
  const places = new Map<Activity, Place>();
  const byStream = groupBy(
    activities.filter(({kind}) => kind === 'kernel' || kind === 'range' || kind === 'graph'),
    ({device, stream}) => `${device} ${stream}`,
  );
  for (const ofStream of byStream.values()) {
    const ranges = ofStream.filter(({kind}) => kind === 'range');
    // A step as a whole stands for its kernels, where these are not told.
    const work = ofStream.filter(({kind, step}) => kind !== 'range' || step !== undefined);
    for (const [kernel, around] of overlapping(work, ranges)) {
      const enclosing = around
        .filter(({start, end}) => start <= kernel.start && end >= kernel.end)
        .sort((a, b) => a.end - a.start - (b.end - b.start));
      places.set(kernel, {
        phase: kernel.phase ?? enclosing.find(({name}) => !isLayer(name))?.name,
        layer: kernel.layer ?? enclosing.find(({name}) => isLayer(name))?.name,
      });
    }
  }
  return places;
}

function isLayer(name: string): boolean {
  return /^layer\b/.test(name);
}
