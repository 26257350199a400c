/**
 * How a benchmark reports: a JSON line a claim on stdout, prose on stderr, and with --save the same lines
 * appended to bench/results/NAME.jsonl, which docs/benchmarks.md is made from.
 */

import {appendFileSync, mkdirSync, readFileSync} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import {fileURLToPath} from 'node:url';

const root = fileURLToPath(new URL('../../', import.meta.url));

export class Results {
  #file;
  #save;
  #common;

  /** `common` goes into every line: versions, and gpu with driver where a claim is about one. */
  constructor(file, common) {
    this.#file = path.join(root, 'bench/results', file);
    this.#save = process.argv.includes('--save');
    this.#common = common;
  }

  record(line) {
    const {versions, ...common} = this.#common;
    const text = JSON.stringify({
      ...line,
      cpu: cpu(),
      ...common,
      versions: {'tensorrt-node': version('.'), node: process.versions.node, ...versions},
      command: command(),
      date: new Date().toISOString(),
    });
    process.stdout.write(`${text}\n`);
    if (!this.#save) return;
    mkdirSync(path.dirname(this.#file), {recursive: true});
    appendFileSync(this.#file, `${text}\n`);
  }
}

/** The version in a package's manifest: '.' for this package, else one it depends on. */
export function version(name) {
  const manifest = name === '.' ? 'package.json' : `node_modules/${name}/package.json`;
  return JSON.parse(readFileSync(path.join(root, manifest), 'utf8')).version;
}

/** What a person would type to measure again, from the repository's root. */
function command() {
  const script = path.relative(root, process.argv[1]).replaceAll(path.sep, '/');
  return ['node', script, ...process.argv.slice(2).filter((argument) => argument !== '--save')].join(' ');
}

function cpu() {
  const cores = os.cpus();
  return `${cores[0]?.model ?? os.arch()}, ${cores.length} cores`;
}

export function say(text) {
  process.stderr.write(`${text}\n`);
}

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}
