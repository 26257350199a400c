#!/usr/bin/env node
// Makes docs/benchmarks.md from bench/results/*.jsonl: the latest measurement of every claim, what it was held
// against, on which machine, and the command that measures it again. With --check, fails if the page is out of date.

import {mkdirSync, readdirSync, readFileSync, writeFileSync} from 'node:fs';
import path from 'node:path';
import {fileURLToPath} from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const resultsFolder = path.join(root, 'bench/results');
const page = path.join(root, 'docs/benchmarks.md');

/** What a claim is to reach; claims without an entry are reported as they are. */
const targets = JSON.parse(readFileSync(path.join(root, 'bench/targets.json'), 'utf8'));

const text = render(latest());
if (process.argv.includes('--check')) {
  if (readFileSync(page, 'utf8') !== text) {
    process.stderr.write('docs/benchmarks.md is out of date: npm run bench:doc\n');
    process.exitCode = 1;
  }
} else {
  mkdirSync(path.dirname(page), {recursive: true});
  writeFileSync(page, text);
}

/** The last line of each claim by date, sorted by claim. */
function latest() {
  const byClaim = new Map();
  for (const file of readdirSync(resultsFolder).filter((name) => name.endsWith('.jsonl'))) {
    const lines = readFileSync(path.join(resultsFolder, file), 'utf8').split('\n').filter(Boolean);
    for (const [index, line] of lines.entries()) {
      const result = parse(line, `${file}:${index + 1}`);
      const known = byClaim.get(result.claim);
      if (!known || Date.parse(known.date) <= Date.parse(result.date)) byClaim.set(result.claim, result);
    }
  }
  return [...byClaim.values()].sort((a, b) => a.claim.localeCompare(b.claim, 'en', {numeric: true}));
}

function parse(line, where) {
  const result = JSON.parse(line);
  for (const key of ['claim', 'value', 'unit', 'date', 'command']) {
    if (result[key] === undefined) throw new Error(`${where}: ${key} is missing`);
  }
  return result;
}

function render(results) {
  const subjects = groupBy(results, subject);
  const sections = [...subjects].map(([name, members]) => section(name, members));
  return [
    '# Benchmarks',
    '',
    'Made by `npm run bench:doc` from `bench/results`, where the raw lines are; do not edit.',
    'Every figure is the latest one measured. Peers ran in the same run, on the same machine, on the same input.',
    '',
    ...sections,
  ].join('\n');
}

function section(name, results) {
  const rows = results.map((result) => [
    `\`${result.claim.slice(name.length + 1)}\``,
    figure(result.value),
    result.unit,
    target(result),
    result.peer ? code(result.peer) : '',
    machine(result),
    versions(result.versions),
    result.date.slice(0, 10),
    `\`${result.command}\``,
  ]);
  const head = ['claim', 'value', 'unit', 'target', 'beside', 'machine', 'versions', 'date', 'command'];
  return [
    `## ${name}`,
    '',
    `| ${head.join(' | ')} |`,
    `| ${head.map((_, column) => (column === 1 ? '---:' : '---')).join(' | ')} |`,
    ...rows.map((cells) => `| ${cells.map((cell) => String(cell).replaceAll('|', '\\|')).join(' | ')} |`),
    '',
    ...notes(name, results),
  ].join('\n');
}

/** What the figures need said, once for all the claims that share it. */
function notes(name, results) {
  const lines = [
    ...groupBy(
      results.filter(({note}) => note),
      ({note}) => note,
    ),
  ].map(([note, members]) => `- ${members.map(({claim}) => `\`${claim.slice(name.length + 1)}\``).join(', ')}: ${note}`);
  return lines.length > 0 ? [...lines, ''] : [];
}

function subject({claim}) {
  return claim.split('.')[0];
}

function groupBy(items, key) {
  const groups = new Map();
  for (const item of items) {
    const name = key(item);
    groups.set(name, [...(groups.get(name) ?? []), item]);
  }
  return groups;
}

function target({claim, value}) {
  const wanted = targets[claim];
  if (!wanted) return '';
  const {atLeast, atMost} = wanted;
  const met = value >= (atLeast ?? -Infinity) && value <= (atMost ?? Infinity);
  const bounds = [atLeast !== undefined && `≥ ${atLeast}`, atMost !== undefined && `≤ ${atMost}`].filter(Boolean).join(', ');
  return `${bounds} ${met ? '✓' : '✗'}`;
}

function machine({gpu, cpu, driver}) {
  return [gpu ?? cpu, driver && `driver ${driver}`].filter(Boolean).join(', ');
}

function versions(all = {}) {
  return Object.entries(all)
    .map(([name, version]) => `${name} ${version}`)
    .join(', ');
}

function code(peer) {
  return typeof peer === 'string'
    ? peer
    : Object.entries(peer)
        .map(([key, value]) => `${key}: ${plain(value)}`)
        .join(', ');
}

function plain(value) {
  if (typeof value === 'number') return figure(value);
  if (Array.isArray(value)) return value.map(plain).join(' ');
  if (typeof value === 'object' && value !== null) return `(${code(value)})`;
  return String(value);
}

/** Four significant digits say all that these measurements know. */
function figure(value) {
  if (typeof value !== 'number' || Number.isInteger(value)) return String(value);
  return Math.abs(value) < 0.001 ? value.toExponential(2) : String(Number(value.toPrecision(4)));
}
