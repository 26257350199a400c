/** A range of time that was drawn across the tracks, in numbers. */

import {formatBytes} from '../../../cli/format.js';
import {formatTime, percent} from '../../summary_text.js';
import {count} from './format.js';
import {busyWithin, firstBeyond, type Model, type Track} from './model.js';

/** Titles and texts. */
export function describeRange(model: Model, [from, to]: [number, number]): [string, string][] {
  const streams = model.tracks.filter(({onGpu, isCopies}) => onGpu && !isCopies);
  const busiest = streams.map((track): [Track, number] => [track, busyWithin(track.busy, from, to)]).sort(([, a], [, b]) => b - a)[0];
  const fields: [string, string][] = [['selected', formatTime(to - from)]];
  if (busiest !== undefined && busiest[1] > 0) {
    fields.push([`${busiest[0].name} busy`, `${percent(busiest[1] / (to - from))}, ${formatTime(busiest[1])}`]);
  }
  const kernels = new Map<string, number>();
  let number = 0;
  eventsWithin(streams, from, to, (lane, i) => {
    if (!['kernel', 'graph'].includes(model.details[lane.details[i]!]!.kind)) return;
    number++;
    const name = model.names[lane.names[i]!]!;
    kernels.set(name, (kernels.get(name) ?? 0) + Math.min(to, lane.ends[i]!) - Math.max(from, lane.starts[i]!));
  });
  if (number > 0) {
    const [[name, time]] = [...kernels].sort(([, a], [, b]) => b - a) as [[string, number]];
    fields.push(['kernels', `${count(number)}; most time: ${name}, ${formatTime(time)}`]);
  }
  for (const [kind, title] of [
    ['toDevice', 'to the device'],
    ['toHost', 'to the host'],
    ['onDevice', 'on the device'],
  ]) {
    let [copies, bytes, time] = [0, 0, 0];
    eventsWithin(
      model.tracks.filter(({isCopies}) => isCopies),
      from,
      to,
      (lane, i) => {
        const detail = model.details[lane.details[i]!]!;
        if (detail.kind !== kind) return;
        copies++;
        bytes += detail.bytes ?? 0;
        time += lane.ends[i]! - lane.starts[i]!;
      },
    );
    if (copies > 0)
      fields.push([
        title!,
        `${count(copies)} cop${copies === 1 ? 'y' : 'ies'}, ${formatBytes(bytes)}${time > 0 ? ` at ${(bytes / time).toPrecision(3)} GB/s` : ''}`,
      ]);
  }
  return fields;
}

function eventsWithin(
  tracks: readonly Track[],
  from: number,
  to: number,
  take: (lane: Track['lanes'][number], index: number) => void,
): void {
  for (const lane of tracks.flatMap((track) => track.lanes)) {
    for (let i = firstBeyond(lane.ends, from); i < lane.starts.length && lane.starts[i]! < to; i++) take(lane, i);
  }
}
