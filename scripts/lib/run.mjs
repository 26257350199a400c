// Runs a tool without its chatter: what it said is shown only when it fails.

import {spawn} from 'node:child_process';
import {fileURLToPath} from 'node:url';

/** The repository's root. */
export const root = fileURLToPath(new URL('../../', import.meta.url));

/** A tool that failed or is not there; `output` is all it said. */
export class RunError extends Error {
  name = 'RunError';

  constructor(message, output = '') {
    super(message);
    this.output = output;
  }
}

/** Resolves with what the tool wrote. `show` lets it write to the terminal instead. Rejects with RunError. */
export function run(command, args, {cwd = root, env = {}, show = false} = {}) {
  const line = [command, ...args].join(' ');
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {cwd, env: {...process.env, ...env}, stdio: show ? 'inherit' : ['ignore', 'pipe', 'pipe']});
    const chunks = [];
    child.stdout?.on('data', (chunk) => chunks.push(chunk));
    child.stderr?.on('data', (chunk) => chunks.push(chunk));
    child.on('error', (error) =>
      reject(new RunError(error.code === 'ENOENT' ? `${command} is not installed` : `${line}: ${error.message}`)),
    );
    child.on('close', (code, signal) => {
      const output = Buffer.concat(chunks).toString();
      if (code === 0) resolve(output);
      else reject(new RunError(`${line} ${signal === null ? `ended with ${code}` : `was ended by ${signal}`}`, output));
    });
  });
}
