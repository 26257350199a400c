/** Kernels as Nsight Compute times them: one at a time, on a GPU that does nothing else. */

import {spawn} from 'node:child_process';
import {existsSync} from 'node:fs';
import {readFile} from 'node:fs/promises';

const METRIC = 'gpu__time_duration.sum';
const BUILDS = ['/usr/local/cuda/bin/ncu', '/opt/nvidia/nsight-compute/ncu'];

/** The program, or undefined where there is none. */
export function findNcu() {
  return BUILDS.find((file) => existsSync(file));
}

/**
 * Runs `node script argument` under `ncu`; kernels in the order of their launches: {name, grid, block, time} in
 * nanoseconds. Clocks and caches are left as they are. Rejects with what ncu said where it timed nothing.
 */
export async function kernelsByNcu(ncu, script, argument, {log, most}) {
  const options = ['--metrics', METRIC, '--clock-control', 'none', '--cache-control', 'none', '--launch-count', String(most)];
  const output = ['--csv', '--page', 'raw', '--print-units', 'base', '--print-kernel-base', 'demangled', '--log-file', log];
  const code = await ended(
    spawn(ncu, [...options, ...output, process.execPath, script, argument], {stdio: ['ignore', 'inherit', 'inherit']}),
  );
  const text = existsSync(log) ? await readFile(log, 'utf8') : '';
  const kernels = readKernels(text);
  if (kernels.length === 0) throw new Error(`ncu timed nothing and ended with ${code}: ${text.slice(-2000)}`);
  return kernels;
}

/** Of the raw page as CSV: titles, units, then a kernel a line; ncu's own words stand between. */
export function readKernels(text) {
  const rows = text
    .split('\n')
    .filter((line) => line.startsWith('"'))
    .map(fieldsOf);
  const titles = rows.shift();
  if (titles === undefined) return [];
  const column = (title) => titles.indexOf(title);
  const [id, name, grid, block, time] = ['ID', 'Kernel Name', 'Grid Size', 'Block Size', METRIC].map(column);
  return rows
    .filter((row) => /^\d+$/.test(row[id]))
    .sort((a, b) => Number(a[id]) - Number(b[id]))
    .map((row) => ({name: row[name], grid: sizeOf(row[grid]), block: sizeOf(row[block]), time: Number(row[time].replaceAll(',', ''))}));
}

function fieldsOf(line) {
  return [...line.matchAll(/"((?:[^"]|"")*)"/g)].map(([, field]) => field.replaceAll('""', '"'));
}

function sizeOf(text) {
  return text.match(/\d+/g).slice(0, 3).map(Number);
}

function ended(child) {
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', resolve);
  });
}
