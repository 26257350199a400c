/** Runs Node programs in processes of their own, as the addon and the driver are loaded once a process. */

import {spawn} from 'node:child_process';
import {fileURLToPath} from 'node:url';

export interface ChildResult {
  status: number | null;
  stdout: string;
  stderr: string;
}

/** Runs node with `args` and waits for its end. `env` is added to this process's environment. */
export function runNode(args: readonly string[], env: Record<string, string> = {}): Promise<ChildResult> {
  return run(process.execPath, args, env);
}

export function run(command: string, args: readonly string[], env: Record<string, string> = {}): Promise<ChildResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {env: {...process.env, ...env}, stdio: ['ignore', 'pipe', 'pipe']});
    let [stdout, stderr] = ['', ''];
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    child.on('error', reject);
    child.on('close', (status) => resolve({status, stdout, stderr}));
  });
}

/** Absolute path of a file of this project. */
export function projectFile(name: string): string {
  return fileURLToPath(new URL(`../../../${name}`, import.meta.url));
}

/** Runs a program of test/e2e and returns what it printed; throws with its errors unless it ended well. */
export async function program(name: string, env: Record<string, string> = {}): Promise<string> {
  const {status, stdout, stderr} = await runNode(['--expose-gc', projectFile(`test/e2e/${name}`)], env);
  if (status !== 0) throw new Error(`${name} ended with ${status}: ${stderr}`);
  return stdout.trim();
}

/** Builds the simulated driver; returns its path. */
export async function simulatedDriver(): Promise<string> {
  const {status, stdout, stderr} = await runNode([projectFile('scripts/build-simulator.mjs')]);
  if (status !== 0) throw new Error(`the simulated driver was not built: ${stderr}`);
  return stdout.trim();
}
