/** A comparison for people. */

import {formatBytes} from '../cli/format.js';
import {type Column, formatTable} from '../cli/table.js';
import type {Change, Comparison, TimeChange} from './compare.js';
import type {LayerChange, LayerComparison} from './compare_layers.js';
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

/** Ends with a line break. */
export function formatLayerComparison({run, layers}: LayerComparison, rows = 40): string {
  const time = (microseconds: number) => formatTime(1e3 * microseconds);
  const both = ({before, after}: Change) => `${time(before)} -> ${time(after)}`;
  const head = `A run: ${both(run)}, ${ratio(run)}\n`;
  if (layers.length === 0) return head;
  const table = formatTable(
    [{title: 'layer', maxWidth: 60}, right('time'), right('change'), {title: '', maxWidth: 80}],
    layers
      .slice(0, rows)
      .map((layer) => [
        layer.part === undefined ? layer.name : `${layer.part}: ${layer.name}`,
        both(layer.microseconds),
        verdict(layer),
        remarks(layer),
      ]),
  );
  return `${head}\n${table}${layers.length > rows ? `${layers.length - rows} more layers changed\n` : ''}`;
}

function verdict({came, went, microseconds}: LayerChange): string {
  return came ? 'new' : went ? 'gone' : ratio(microseconds);
}

function remarks({nameBefore, tactic, type, precision}: LayerChange): string {
  const words = [nameBefore === undefined ? '' : `was ${nameBefore}`];
  for (const change of [type, precision, tactic]) {
    if (change !== undefined) words.push(`${change.before ?? '?'} -> ${change.after ?? '?'}`);
  }
  return words.filter((each) => each !== '').join(', ');
}

/** '+12.0%' */
function ratio({before, after}: Change): string {
  if (before === after) return '0.0%';
  if (before === 0) return '';
  const change = after / before - 1;
  return `${change > 0 ? '+' : ''}${percent(change)}`;
}
