/** Lists of intervals of time: sorted, apart from one another, none empty. */

export interface Interval {
  start: number;
  end: number;
}

/** The times that are in any of `intervals`, which may be in any order. */
export function union(intervals: Iterable<Readonly<Interval>>): Interval[] {
  const merged: Interval[] = [];
  for (const {start, end} of byStart([...intervals])) {
    if (end <= start) continue;
    const last = merged.at(-1);
    if (last !== undefined && start <= last.end) last.end = Math.max(last.end, end);
    else merged.push({start, end});
  }
  return merged;
}

/** The times between the intervals of a union. */
export function between(merged: readonly Interval[]): Interval[] {
  return merged.slice(1).map(({start}, index) => ({start: merged[index]!.end, end: start}));
}

export function totalLength(merged: readonly Interval[]): number {
  return merged.reduce((sum, {start, end}) => sum + end - start, 0);
}

/** How much of any interval a union covers, by binary search. */
export class Coverage {
  readonly #merged: readonly Interval[];
  /** The length of all intervals before each. */
  readonly #before: Float64Array;

  constructor(merged: readonly Interval[]) {
    this.#merged = merged;
    this.#before = new Float64Array(merged.length + 1);
    for (const [i, {start, end}] of merged.entries()) this.#before[i + 1] = this.#before[i]! + end - start;
  }

  within({start, end}: Readonly<Interval>): number {
    return end > start ? this.#until(end) - this.#until(start) : 0;
  }

  #until(time: number): number {
    let low = 0;
    let high = this.#merged.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#merged[middle]!.start < time) low = middle + 1;
      else high = middle;
    }
    if (low === 0) return 0;
    const {start, end} = this.#merged[low - 1]!;
    return this.#before[low - 1]! + Math.min(time, end) - start;
  }
}

/** For each of `places`, in order of their starts, the items that share some time with it. */
export function* overlapping<P extends Interval, I extends Interval>(places: readonly P[], items: readonly I[]): Generator<[P, I[]]> {
  const sorted = byStart([...items]);
  let next = 0;
  let active: I[] = [];
  for (const place of byStart([...places])) {
    while (next < sorted.length && sorted[next]!.start < place.end) active.push(sorted[next++]!);
    active = active.filter(({end}) => end > place.start);
    // What began for an earlier, longer place may lie behind this one.
    yield [place, active.filter(({start}) => start < place.end)];
  }
}

export function shared(a: Readonly<Interval>, b: Readonly<Interval>): number {
  return Math.max(0, Math.min(a.end, b.end) - Math.max(a.start, b.start));
}

/** In place. Most lists are in order already. */
function byStart<I extends Interval>(items: I[]): I[] {
  for (let i = 1; i < items.length; i++) if (items[i]!.start < items[i - 1]!.start) return items.sort((a, b) => a.start - b.start);
  return items;
}
