/** A comparison for people. */

import {formatBytes} from '../cli/format.js';
import {type Column, formatTable} from '../cli/table.js';
import type {Change, Comparison, TimeChange} from './compare.js';
import {formatTime, percent} from './summary_text.js';

const ROWS = 12;

const right = (title: string): Column => ({title, align: 'right'});

/** Ends with a line break. */
export function formatComparison(comparison: Comparison): string {
  return [
    overview(comparison),
    times('kernel', comparison.kernels),
    times('phase', comparison.phases),
    times('layer', comparison.layers),
    times('gaps waited for', comparison.gaps),
    times('host', comparison.host),
  ]
    .filter((part) => part !== '')
    .join('\n');
}

function overview({span, busy, idle, bound, overlap, copyRates, serialIdle}: Comparison): string {
  const row = (title: string, change: Change | undefined, format: (value: number) => string) =>
    change === undefined ? [] : [[title, format(change.before), format(change.after), ratio(change)]];
  const rows = [
    ...row('span', span, formatTime),
    ...row('compute busy', busy, formatTime),
    ...row('compute idle', idle, formatTime),
    ...row('copies overlapped', overlap, percent),
    ...copyRates.flatMap(({direction, rate}) => row(`copies ${direction}`, rate, (value) => `${formatBytes(value)}/s`)),
    ...row('beside serial copies idle', serialIdle, formatTime),
    ...(bound === undefined ? [] : [['bound by', bound.before, bound.after, '']]),
  ];
  return formatTable([{title: ''}, right('before'), right('after'), right('change')], rows);
}

function times(title: string, changes: readonly TimeChange[]): string {
  if (changes.length === 0) return '';
  const rows = changes
    .slice(0, ROWS)
    .map(({name, count, total, mean}) => [
      name,
      count.before === count.after ? String(count.before) : `${count.before} -> ${count.after}`,
      `${formatTime(total.before)} -> ${formatTime(total.after)}`,
      count.before === 0 ? 'new' : count.after === 0 ? 'gone' : ratio(total),
      mean === undefined ? '' : ratio(mean),
    ]);
  return formatTable([{title, maxWidth: 60}, right('count'), right('total'), right('change'), right('each')], rows);
}

/** '+12.0%' */
function ratio({before, after}: Change): string {
  if (before === after) return '0.0%';
  if (before === 0) return '';
  const change = after / before - 1;
  return `${change > 0 ? '+' : ''}${percent(change)}`;
}
