/** Programs of bench/ one after the other; a failure ends none of the others. */

import {spawnSync} from 'node:child_process';
import path from 'node:path';
import {fileURLToPath} from 'node:url';
import {parseArgs} from 'node:util';

import {say} from './results.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** What --only names of `parts` (by name, lists of programs with their arguments), and --save. Ends the process for a name that is none. */
export function chosenParts(parts) {
  const {values: options} = parseArgs({
    options: {only: {type: 'string', default: Object.keys(parts).join(',')}, save: {type: 'boolean'}},
  });
  const only = options.only.split(',');
  const unknown = only.find((name) => parts[name] === undefined);
  if (unknown !== undefined) {
    say(`${path.basename(process.argv[1])}: nothing is called ${unknown}`);
    process.exit(2);
  }
  return {only, save: options.save ? ['--save'] : []};
}

/** Sets the process's exit code. */
export function runParts(parts, {only, save}) {
  const failed = only.flatMap((name) => parts[name]).filter((command) => !runProgram([...command, ...save]));
  for (const command of failed) say(`failed: ${command.join(' ')}`);
  process.exitCode = failed.length > 0 ? 1 : 0;
}

/** Whether it ended well. */
export function runProgram([program, ...more]) {
  say(`\n${program} ${more.join(' ')}`);
  const start = performance.now();
  const {status} = spawnSync(process.execPath, [path.join('bench', program), ...more], {cwd: root, stdio: 'inherit'});
  say(`${status === 0 ? 'done' : `ended with ${status}`} after ${((performance.now() - start) / 1000).toFixed(0)} s`);
  return status === 0;
}

/** As a command line in the repository's root names it. */
export function fromRoot(file) {
  return path.relative(root, file);
}
