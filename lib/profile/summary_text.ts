/** A summary for people. */

import {formatBytes} from '../cli/format.js';
import {type Column, formatTable} from '../cli/table.js';
import type {SlowCause, SlowSteps, StepTimes} from './step_times.js';
import type {Bound, GapGroup, Summary, TimeOf} from './summary.js';

const ROWS = 12;
/** Shorter gaps in all are not worth a line. */
const MIN_GAP_SHARE = 0.001;
/** Less, such as tokens on their way to the host, has nothing to overlap. */
const MIN_COPY_SHARE = 0.01;

const right = (title: string): Column => ({title, align: 'right'});

const BOUND: Record<Bound, string> = {
  copies: 'waiting for copies',
  streams: 'waiting for other streams',
  host: 'waiting for the host',
  launches: 'launch-bound: kernels end before the next ones have been queued',
  memory: "memory-bound: kernels read at most of the card's rate",
  kernels: 'bound by its kernels',
};

const CAUSE: Record<GapGroup['cause'], string> = {
  copy: 'a copy',
  stream: 'another stream',
  host: 'the host',
  launch: 'not queued yet, or not begun',
};

const SLOW: Record<SlowCause, string> = {...CAUSE, step: 'other steps between', work: 'its own work'};

const DIRECTION = {toDevice: 'to the device', toHost: 'to the host', onDevice: 'on the device'} as const;

/** Ends with a line break. 'at' is told from the start of the GPU's first activity. */
export function formatSummary(summary: Summary): string {
  return [
    overview(summary),
    steps(summary),
    slowSteps(summary),
    times('kernel', summary.kernels),
    times('phase', summary.phases),
    times('layer', summary.layers),
    copies(summary),
    serialCopies(summary),
    gaps(summary),
    times('host', summary.host),
  ]
    .filter((part) => part !== '')
    .join('\n');
}

function overview({device, span, compute, bound, overlap, memory}: Summary): string {
  const lines = [span === 0 ? 'nothing of a GPU' : `${device ?? 'GPU'}: ${formatTime(span)}`];
  if (compute !== undefined && bound !== undefined) {
    const {stream, busy, idle, span: own} = compute;
    lines.push(`${stream}: ${percent(busy / own)} busy, idle for ${formatTime(idle)}; ${BOUND[bound]}`);
  }
  if (memory !== undefined) {
    const whose = memory.phase === undefined ? 'kernels' : `kernels of ${memory.phase} steps`;
    lines.push(`${whose} read ${formatBytes(memory.rate)}/s${reached(memory.reached)}`);
  }
  if (overlap !== undefined && overlap.copying >= span * MIN_COPY_SHARE)
    lines.push(`copies overlap with compute for ${percent(overlap.share)} of ${formatTime(overlap.copying)}`);
  return `${lines.join('\n')}\n`;
}

/** First of all what a request waits for its tokens. */
function steps({steps, start}: Summary): string {
  if (steps.length === 0) return '';
  const rows = steps.map(({phase, count, rows, median, p99, longest}) => [
    phase,
    String(count),
    rows.toFixed(1),
    formatTime(median),
    formatTime(p99),
    formatTime(longest.end - longest.start),
    at(longest.start, start),
  ]);
  return formatTable([{title: 'steps'}, right('count'), right('rows'), right('median'), right('p99'), right('longest'), right('at')], rows);
}

function slowSteps({steps, start}: Summary): string {
  const all = steps.flatMap(({phase, slow}: StepTimes) => slow.map((each): [string, SlowSteps] => [phase, each]));
  if (all.length === 0) return '';
  const rows = all
    .sort(([, a], [, b]) => b.excess - a.excess)
    .slice(0, ROWS)
    .map(([phase, {cause, waitedFor, count, excess, longest}]) => [
      `${phase}: ${waitedFor ?? (cause === 'work' ? 'kernels' : 'nothing known')}`,
      SLOW[cause],
      String(count),
      formatTime(excess),
      formatTime(longest.end - longest.start),
      at(longest.start, start),
    ]);
  const columns = [{title: 'steps of over twice the median waited for', maxWidth: 60}, {title: ''}, right('count'), right('beyond it')];
  return formatTable([...columns, right('longest'), right('at')], rows);
}

function times(title: string, list: readonly TimeOf[]): string {
  if (list.length === 0) return '';
  const rows = list
    .slice(0, ROWS)
    .map(({name, count, total, longest, share}) => [
      name,
      String(count),
      formatTime(total),
      formatTime(total / count),
      formatTime(longest),
      percent(share),
    ]);
  const columns = [{title, maxWidth: 60}, right('count'), right('total'), right('mean'), right('longest'), right('share')];
  const rest = list.slice(ROWS);
  return formatTable(columns, rest.length === 0 ? rows : [...rows, restRow(rest)]);
}

function restRow(rest: readonly TimeOf[]): string[] {
  const sum = (field: (each: TimeOf) => number) => rest.reduce((all, each) => all + field(each), 0);
  const total = sum((each) => each.total);
  const count = sum((each) => each.count);
  const longest = Math.max(...rest.map((each) => each.longest));
  const share = sum((each) => each.share);
  return [`${rest.length} more`, String(count), formatTime(total), formatTime(total / count), formatTime(longest), percent(share)];
}

function copies({copies}: Summary): string {
  if (copies.length === 0) return '';
  const rows = copies.map(({direction, count, bytes, busy, rate, reached}) => [
    DIRECTION[direction],
    String(count),
    formatBytes(bytes),
    formatTime(busy),
    `${formatBytes(rate)}/s`,
    reached === undefined ? '' : percent(reached),
  ]);
  return formatTable([{title: 'copies'}, right('count'), right('bytes'), right('time'), right('rate'), right("of the card's")], rows);
}

function serialCopies({serialCopies, start}: Summary): string {
  if (serialCopies.length === 0) return '';
  const rows = serialCopies
    .slice(0, ROWS)
    .map(({name, stream, count, bytes, idle, worst}) => [
      `${name} on ${stream}`,
      String(count),
      formatBytes(bytes),
      formatTime(idle),
      `${formatTime(worst.idle)}, ${formatBytes(worst.bytes)}`,
      at(worst.start, start),
    ]);
  const columns = [{title: 'serial copies, which nothing was computed beside', maxWidth: 60}, right('count'), right('bytes')];
  return formatTable([...columns, right('compute idle'), right('worst'), right('at')], rows);
}

function gaps({gaps, compute, start}: Summary): string {
  const rows = gaps
    .filter(({total}) => total >= (compute?.span ?? 0) * MIN_GAP_SHARE)
    .slice(0, ROWS)
    .map(({cause, waitedFor, count, total, longest}) => [
      waitedFor ?? 'nothing known',
      CAUSE[cause],
      String(count),
      formatTime(total),
      formatTime(longest.end - longest.start),
      at(longest.start, start),
    ]);
  if (rows.length === 0) return '';
  const columns = [{title: `gaps on ${compute!.stream} waited for`, maxWidth: 60}, {title: ''}, right('count'), right('total')];
  return formatTable([...columns, right('longest'), right('at')], rows);
}

/** '3.2 µs', '15 ms': three digits. */
export function formatTime(nanoseconds: number): string {
  const units = ['ns', 'µs', 'ms', 's'];
  let value = nanoseconds;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  const digits = unit === 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
  return `${value.toFixed(digits)} ${units[unit]}`;
}

export function percent(share: number): string {
  return `${(share * 100).toFixed(1)}%`;
}

function reached(share: number | undefined): string {
  return share === undefined ? '' : `, ${percent(share)} of the card's`;
}

function at(time: number, origin: number): string {
  return `${((time - origin) / 1e6).toFixed(3)} ms`;
}
