/** What changed between two traces. Times in nanoseconds, rates in bytes a second, shares from 0 to 1. */

import type {Bound, Summary, TimeOf} from './summary.js';

export interface Change {
  before: number;
  after: number;
}

/** Things of one name: those of one trace alone have a count of 0 in the other. */
export interface TimeChange {
  name: string;
  count: Change;
  total: Change;
  /** Of one; undefined where one of the traces has none. */
  mean?: Change;
}

export interface Comparison {
  span: Change;
  /** Of the compute stream; undefined where one of the traces has none, as the next. */
  busy?: Change;
  idle?: Change;
  bound?: {before: Bound; after: Bound};
  overlap?: Change;
  copyRates: {direction: string; rate: Change}[];
  serialIdle: Change;
  /** The largest change of the total first; what is the same in both is left out, as in the next. */
  kernels: TimeChange[];
  phases: TimeChange[];
  layers: TimeChange[];
  /** By what they waited for. */
  gaps: TimeChange[];
  host: TimeChange[];
}

export function compareSummaries(before: Summary, after: Summary): Comparison {
  const both = <T>(field: (summary: Summary) => T | undefined) => {
    const [a, b] = [field(before), field(after)];
    return a === undefined || b === undefined ? undefined : {before: a, after: b};
  };
  const times = (listOf: (summary: Summary) => readonly Named[]) => compareTimes(listOf(before), listOf(after));
  return {
    span: {before: before.span, after: after.span},
    busy: both(({compute}) => compute?.busy),
    idle: both(({compute}) => compute?.idle),
    bound: both(({bound}) => bound),
    overlap: both(({overlap}) => overlap?.share),
    copyRates: before.copies.flatMap(({direction, rate}) => {
      const other = after.copies.find((each) => each.direction === direction);
      return other === undefined ? [] : [{direction, rate: {before: rate, after: other.rate}}];
    }),
    serialIdle: {before: serialIdle(before), after: serialIdle(after)},
    kernels: times(({kernels}) => kernels),
    phases: times(({phases}) => phases),
    layers: times(({layers}) => layers),
    gaps: times(({gaps}) => gaps.map(({cause, waitedFor = cause, count, total}) => ({name: waitedFor, count, total}))),
    host: times(({host}) => host),
  };
}

type Named = Pick<TimeOf, 'name' | 'count' | 'total'>;

function compareTimes(before: readonly Named[], after: readonly Named[]): TimeChange[] {
  const old = new Map(before.map((each) => [each.name, each]));
  const current = new Map(after.map((each) => [each.name, each]));
  const changes = [...new Set([...old.keys(), ...current.keys()])].map((name): TimeChange => {
    const [a, b] = [old.get(name), current.get(name)];
    return {
      name,
      count: {before: a?.count ?? 0, after: b?.count ?? 0},
      total: {before: a?.total ?? 0, after: b?.total ?? 0},
      mean: a && b && {before: a.total / a.count, after: b.total / b.count},
    };
  });
  const difference = ({total}: TimeChange) => Math.abs(total.after - total.before);
  return changes
    .filter((each) => difference(each) > 0 || each.count.before !== each.count.after)
    .sort((a, b) => difference(b) - difference(a));
}

function serialIdle({serialCopies}: Summary): number {
  return serialCopies.reduce((sum, {idle}) => sum + idle, 0);
}
