/** Runs the built command line as a user's shell does. */

import {type ChildProcess, spawn} from 'node:child_process';
import {once} from 'node:events';
import {fileURLToPath} from 'node:url';

/** The built command line. */
export const MAIN = fileURLToPath(new URL('../../../dist/cli/main.js', import.meta.url));

export interface CommandResult {
  code: number | null;
  stdout: string;
  stderr: string;
}

export interface RunningCommand {
  process: ChildProcess;
  /** Resolves once stdout or stderr matches; rejects if the command ends before. */
  until(stream: 'stdout' | 'stderr', pattern: RegExp): Promise<void>;
  result: Promise<CommandResult>;
}

/** `tensorrt-node ...args`, with `input` on stdin, or with stdin left open for the test to write when undefined. */
export function start(args: readonly string[], input?: string): RunningCommand {
  const child = spawn(process.execPath, [MAIN, ...args], {stdio: 'pipe'});
  if (input !== undefined) child.stdin.end(input);
  const output = {stdout: '', stderr: ''};
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => {
      output[name] += text;
    });
  }
  const result = once(child, 'close').then(([code]) => ({code: code as number | null, ...output}));
  return {
    process: child,
    result,
    until(stream, pattern) {
      return new Promise((resolve, reject) => {
        const check = () => pattern.test(output[stream]) && resolve();
        child[stream].on('data', check);
        check();
        void result.then((ended) => reject(new Error(`ended before ${stream} matched ${pattern}: ${JSON.stringify(ended)}`)));
      });
    },
  };
}

/** Runs to the end. */
export function command(args: readonly string[], input = ''): Promise<CommandResult> {
  return start(args, input).result;
}
