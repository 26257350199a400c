/** A summary as the top of the page tells it: the verdict, key figures, what to look at first, and lists for bars. */

import {formatBytes} from '../../cli/format.js';
import type {GapCause} from '../gaps.js';
import type {Interval} from '../intervals.js';
import type {SlowCause, StepTimes} from '../step_times.js';
import type {Bound, Summary, TimeOf} from '../summary.js';
import {formatTime, percent} from '../summary_text.js';

export interface PageFigure {
  title: string;
  value: string;
  note: string;
  /** From 0 to 1, for a bar below; or parts of one. */
  share?: number;
  parts?: {name: string; share: number}[];
}

export interface PageFinding {
  kind: 'slow step' | 'gap' | 'serial copy';
  text: string;
  note: string;
  /** Nanoseconds, of all alike. */
  total: number;
  start: number;
  end: number;
}

export interface PageTimes {
  title: string;
  rows: (TimeOf & {filter: string})[];
}

/** Of fewer steps the longest one is no finding. */
const FEW = 10;

const VERDICT: Record<Bound, string> = {
  copies: 'The GPU waited for copies',
  streams: 'Compute waited for other streams',
  host: 'The GPU waited for the host',
  launches: 'Launch-bound: kernels ended before the next ones were queued',
  memory: "Memory-bound: kernels read at most of the card's rate",
  kernels: 'Bound by its kernels',
};

const CAUSES: Record<GapCause, string> = {host: 'host', copy: 'copies', stream: 'other streams', launch: 'not queued yet'};

export function verdict({bound, compute, device, span, gaps}: Summary): {text: string; note: string} {
  if (compute === undefined || bound === undefined) {
    return span === 0
      ? {text: 'Nothing of a GPU in this trace', note: 'The tracks below are of the host.'}
      : {text: 'No kernels in this trace', note: device ?? ''};
  }
  const {stream, busy, idle} = compute;
  const note = [
    `Stream ${stream} was busy for ${percent(busy / compute.span)} of ${formatTime(compute.span)} and idle for ${formatTime(idle)}.`,
  ];
  const most = gaps[0];
  if (idle > compute.span * 0.05 && most?.waitedFor !== undefined && most.cause !== 'launch') {
    note.push(`${formatTime(most.total)} of that waited for ${most.waitedFor}.`);
  }
  return {text: VERDICT[bound], note: note.join(' ')};
}

export function figures({compute, overlap, copies, memory, kernels, phases, steps}: Summary): PageFigure[] {
  const found: PageFigure[] = [];
  const [most] = steps;
  if (most !== undefined) {
    const {phase, median, p99, longest, count} = most;
    const note = `median ${formatTime(median)}, longest ${formatTime(longest.end - longest.start)}, of ${count.toLocaleString('en')}`;
    found.push({title: `A ${phase} step, p99`, value: formatTime(p99), note});
  }
  if (compute !== undefined) {
    const {stream, busy, idle, span, waits} = compute;
    found.push({
      title: 'Compute busy',
      value: percent(busy / span),
      note: `${formatTime(busy)} of ${formatTime(span)} on ${stream}`,
      share: busy / span,
    });
    const parts = Object.entries(waits)
      .filter(([, time]) => time > idle * 0.0005)
      .sort(([, a], [, b]) => b - a)
      .map(([cause, time]) => ({name: CAUSES[cause as GapCause], share: time / idle}));
    if (parts.length > 0) {
      const note = parts.slice(0, 2).map(({name, share}) => `${name} ${percent(share)}`);
      found.push({title: 'Idle, waiting for', value: formatTime(idle), note: note.join(', '), parts});
    }
  }
  if (overlap !== undefined) {
    found.push({
      title: 'Copies beside compute',
      value: percent(overlap.share),
      note: `${formatTime(overlap.overlapped)} of ${formatTime(overlap.copying)} copying`,
      share: overlap.share,
    });
  }
  for (const {direction, rate, bytes, count, reached} of copies) {
    const title = {toDevice: 'To the device', toHost: 'To the host', onDevice: 'On the device'}[direction];
    const note = `${formatBytes(bytes)} in ${count.toLocaleString('en')} ${count === 1 ? 'copy' : 'copies'}${reached === undefined ? '' : `, ${percent(reached)} of the card's`}`;
    found.push({title, value: `${formatBytes(rate)}/s`, note, share: reached});
  }
  if (memory !== undefined) {
    const note = memory.reached === undefined ? `${formatBytes(memory.bytes)} in all` : `${percent(memory.reached)} of the card's`;
    found.push({title: 'Kernels read', value: `${formatBytes(memory.rate)}/s`, note, share: memory.reached});
  }
  if (kernels.length > 0) {
    const count = kernels.reduce((sum, each) => sum + each.count, 0);
    const total = kernels.reduce((sum, each) => sum + each.total, 0);
    const parts = phases.length > 1 ? phases.map(({name, share}) => ({name, share})) : undefined;
    found.push({
      title: 'Kernels',
      value: count.toLocaleString('en'),
      note: `of ${kernels.length} ${kernels.length === 1 ? 'name' : 'names'}, ${formatTime(total / count)} each`,
      parts,
    });
  }
  return found;
}

/** Slow steps, then what takes most time in all. Times are from `origin`. */
export function findings({serialCopies, gaps, steps}: Summary, origin: number): PageFinding[] {
  const slow = steps.flatMap((each) => slowSteps(each, origin)).sort((a, b) => b.total - a.total);
  const serial = serialCopies.map(
    ({name, stream, count, bytes, idle, worst}): PageFinding => ({
      kind: 'serial copy',
      text: `${name} on ${stream}`,
      note: `${count.toLocaleString('en')} ×, ${formatBytes(bytes)}, nothing computed beside`,
      total: idle,
      start: worst.start - origin,
      end: worst.end - origin,
    }),
  );
  const waits = gaps
    .filter(({waitedFor, longest}) => waitedFor !== undefined || longest.end - longest.start > 10_000)
    .map(
      ({cause, waitedFor, count, total, longest}): PageFinding => ({
        kind: 'gap',
        text: cause === 'launch' ? 'not queued yet, or not begun' : `waited for ${waitedFor}`,
        note: [
          `${count.toLocaleString('en')} ×`,
          `longest ${formatTime(longest.end - longest.start)}`,
          ...(cause === 'launch' && waitedFor !== undefined ? [`the host in: ${waitedFor}`] : []),
        ].join(', '),
        total,
        start: longest.start - origin,
        end: longest.end - origin,
      }),
    );
  return [...slow, ...[...serial, ...waits].sort((a, b) => b.total - a.total)];
}

/** By what they waited for; where none is slow, the longest one. */
function slowSteps({phase, median, longest, slow, count}: StepTimes, origin: number): PageFinding[] {
  if (slow.length === 0) {
    if (count < FEW) return [];
    const note = `step ${longest.step}; the median takes ${formatTime(median)}`;
    return [finding(`longest ${phase} step`, note, longest.end - longest.start, longest)];
  }
  return slow.map(({cause, waitedFor, count, excess, longest}) => {
    const note = `${count.toLocaleString('en')} ×, longest ${formatTime(longest.end - longest.start)} (step ${longest.step}), median ${formatTime(median)}`;
    return finding(`${phase} ${becauseOf(cause, waitedFor)}`, note, excess, longest);
  });

  function finding(text: string, note: string, total: number, {start, end}: Interval): PageFinding {
    return {kind: 'slow step', text, note, total, start: start - origin, end: end - origin};
  }
}

function becauseOf(cause: SlowCause, waitedFor = 'nothing known'): string {
  if (cause === 'work') return 'took longer itself';
  if (cause === 'step') return `waited for others' ${waitedFor}`;
  return cause === 'launch' ? `not queued, the host in: ${waitedFor}` : `waited for ${waitedFor}`;
}

/** Lists that are not empty. */
export function lists({kernels, phases, layers, host}: Summary): PageTimes[] {
  const plain = (rows: TimeOf[]) => rows.map((each) => ({...each, filter: each.name}));
  return [
    {title: 'Kernels', rows: plain(kernels)},
    {title: 'Phases', rows: plain(phases)},
    {title: 'Layers', rows: plain(layers)},
    // 'gc: minor' is 'minor' of the track 'gc'.
    {title: 'Host', rows: host.map((each) => ({...each, filter: each.name.replace(/^[^:]*: /, '').replace(/^whole$/, 'request')}))},
  ].filter(({rows}) => rows.length > 0);
}
