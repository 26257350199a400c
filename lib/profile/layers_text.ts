/** Times of layers for people. */

import {type Column, formatTable} from '../cli/table.js';
import type {LayerProfile} from '../engine/layer_profile.js';
import {formatTime, percent} from './summary_text.js';

const right = (title: string): Column => ({title, align: 'right'});

/** The `rows` layers that take most time. Ends with a line break. */
export function formatLayers({layers, totalMicroseconds, runs, runMicroseconds, profiledRunMicroseconds}: LayerProfile, rows = 40): string {
  const sorted = layers.toSorted((a, b) => b.totalMicroseconds - a.totalMicroseconds);
  const table = formatTable(
    [right('share'), right('time'), {title: 'layer', maxWidth: 56}, {title: 'type'}, {title: 'ONNX nodes', maxWidth: 72}],
    sorted
      .slice(0, rows)
      .map(({share, medianMicroseconds, name, type = '', nodes}) => [
        percent(share),
        time(medianMicroseconds),
        name,
        type,
        nodes.join(' '),
      ]),
  );
  const others = sorted.slice(rows);
  const rest = others.reduce((sum, {share}) => sum + share, 0);
  const more = others.length === 0 ? '' : `${others.length} more layers: ${percent(rest)}\n`;
  const ran = runs === 1 ? '1 run' : `${runs} runs`;
  return `${table}${more}\nA run, of ${ran}: ${time(runMicroseconds)}; with the profiler ${time(profiledRunMicroseconds)}, its layers ${time(totalMicroseconds / runs)}\n`;
}

function time(microseconds: number): string {
  return formatTime(1e3 * microseconds);
}
