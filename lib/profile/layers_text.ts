/** Times of layers for people. */

import {type Column, formatTable} from '../cli/table.js';
import type {LayerProfile, LayerTime} from '../engine/layer_profile.js';
import {formatTime, percent} from './summary_text.js';

const right = (title: string): Column => ({title, align: 'right'});

/** The `rows` layers that take most time. Ends with a line break. */
export function formatLayers({layers, totalMicroseconds, runs, runMicroseconds, profiledRunMicroseconds}: LayerProfile, rows = 40): string {
  const sorted = layers.toSorted((a, b) => b.totalMicroseconds - a.totalMicroseconds);
  const parts = layers.some(({part}) => part !== undefined);
  const columns: Column[] = [
    right('share'),
    right('time'),
    ...(parts ? [{title: 'part'}] : []),
    {title: 'layer', maxWidth: 56},
    {title: 'type'},
    {title: 'ONNX nodes', maxWidth: 72},
  ];
  const cells = ({share, medianMicroseconds, part = '', count = 1, name, type = '', nodes, weights = []}: LayerTime) => [
    percent(share),
    time(medianMicroseconds),
    ...(parts ? [count === 1 ? part : `${count} x ${part}`] : []),
    name,
    type,
    [...nodes, ...(weights.length > 0 ? [`(${weights.join(', ')})`] : [])].join(' '),
  ];
  const table = formatTable(columns, sorted.slice(0, rows).map(cells));
  const others = sorted.slice(rows);
  const rest = others.reduce((sum, {share}) => sum + share, 0);
  const more = others.length === 0 ? '' : `${others.length} more layers: ${percent(rest)}\n`;
  const ran = runs === 1 ? '1 run' : `${runs} runs`;
  const profiled = profiledRunMicroseconds === undefined ? '' : ` ${time(profiledRunMicroseconds)},`;
  return `${table}${more}\nA run, of ${ran}: ${time(runMicroseconds)}; with the profiler${profiled} its layers ${time(totalMicroseconds / runs)}\n`;
}

function time(microseconds: number): string {
  return formatTime(1e3 * microseconds);
}
