/**
 * The README's two commands on a fresh machine: a clone of what is committed, with empty caches of npm, pip and cargo.
 *
 *   node bench/fresh-clone.mjs [--save]
 */

import {spawn} from 'node:child_process';
import {mkdtempSync, rmSync} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import {fileURLToPath} from 'node:url';

import {Results, say} from './lib/results.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const folder = mkdtempSync(path.join(os.tmpdir(), 'fresh-clone-'));
const clone = path.join(folder, 'clone');
const env = {
  ...process.env,
  npm_config_cache: path.join(folder, 'npm'),
  PIP_CACHE_DIR: path.join(folder, 'pip'),
  CARGO_HOME: path.join(folder, 'cargo'),
};

try {
  await run('git', ['clone', '--quiet', root, clone], os.tmpdir());
  const demo = await run('npm', ['run', 'demo'], clone);
  const test = await run('npm', ['test'], clone);
  const totals = /^(\d+) passed, (\d+) failed/m.exec(test.output);
  const results = new Results('foundation.jsonl', {});
  results.record({claim: 'foundation.1.demo_s', value: demo.seconds, unit: 's', reply: /tok\/s/.test(demo.output)});
  results.record({claim: 'foundation.1.test_s', value: test.seconds, unit: 's'});
  results.record({claim: 'foundation.1.tests_passed', value: Number(totals?.[1] ?? 0), unit: 'tests', failed: Number(totals?.[2] ?? -1)});
  results.record({claim: 'foundation.1.both_s', value: demo.seconds + test.seconds, unit: 's'});
} finally {
  rmSync(folder, {recursive: true, force: true});
}

/** Throws unless the command ends well. */
async function run(command, args, cwd) {
  const startedAt = performance.now();
  const child = spawn(command, args, {cwd, env, stdio: ['ignore', 'pipe', 'pipe']});
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text) => {
      output += text;
    });
  }
  const status = await new Promise((resolve, reject) => child.on('error', reject).on('close', resolve));
  const seconds = Math.round(performance.now() - startedAt) / 1000;
  say(`${command} ${args.join(' ')}: ${seconds} s, status ${status}`);
  if (status !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${status}:\n${output.slice(-4000)}`);
  return {seconds, output};
}
