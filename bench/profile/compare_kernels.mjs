/** The same kernels in a trace and as another profiler timed them. */

import {groupBy} from '../../dist/group_by.js';

/**
 * Pairs the n-th launch of each kernel (name, grid, block) on one side with the n-th on the other; `theirs` are in the order
 * of their launches. A kernel that begins before the one before it on its stream has ended waits for that one, and its time
 * in a timeline is longer than alone: such pairs are left out of the sums, and counted.
 */
export function compareKernels(activities, theirs) {
  const ours = withOverlap(activities.filter(({kind}) => kind === 'kernel'));
  const other = groupBy(theirs, keyOf);
  const byName = new Map();
  const counts = {pairs: 0, overlapping: 0, alone: ours.length};
  for (const [key, mine] of groupBy(ours, keyOf)) {
    for (const [index, kernel] of mine.entries()) {
      const their = other.get(key)?.[index];
      if (their === undefined) continue;
      counts.alone--;
      counts.pairs++;
      if (kernel.overlaps) {
        counts.overlapping++;
        continue;
      }
      const sums = byName.get(kernel.name) ?? {name: kernel.name, count: 0, ours: 0, theirs: 0};
      byName.set(kernel.name, sums);
      sums.count++;
      sums.ours += kernel.end - kernel.start;
      sums.theirs += their.time;
    }
  }
  const names = [...byName.values()].sort((a, b) => b.theirs - a.theirs);
  const sum = (side) => names.reduce((total, each) => total + each[side], 0);
  return {...counts, ratio: sum('ours') / sum('theirs'), microseconds: sum('theirs') / 1000, names};
}

function keyOf({name, grid, block}) {
  return `${plainName(name)} ${grid} ${block}`;
}

/** Demanglers differ in blanks, and some tell what a function returns. */
function plainName(name) {
  return name.replace(/^void /, '').replaceAll(/\s+/g, '');
}

function withOverlap(kernels) {
  const sorted = [...kernels].sort((a, b) => a.start - b.start);
  let end = 0;
  return sorted.map((kernel) => {
    const overlaps = kernel.start < end;
    end = Math.max(end, kernel.end);
    return {...kernel, overlaps};
  });
}
