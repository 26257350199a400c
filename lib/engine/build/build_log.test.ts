import {once} from 'node:events';
import {PassThrough} from 'node:stream';

import {describe, expect, it} from 'vitest';

import {BuildError, type BuildLogLine, describeEnd} from './build_error.js';
import {BuildLog, parseLine} from './build_log.js';

async function logOf(chunks: readonly string[]): Promise<{lines: BuildLogLine[]; last: string[]}> {
  const lines: BuildLogLine[] = [];
  const log = new BuildLog((line) => lines.push(line));
  const stream = new PassThrough();
  log.read(stream);
  for (const chunk of chunks) stream.write(chunk);
  stream.end();
  await once(stream, 'end');
  return {lines, last: log.last};
}

describe('BuildLog', () => {
  it.each<[string, BuildLogLine]>([
    ['[tensorrt] F broken', {severity: 'internal-error', message: 'broken'}],
    ['[tensorrt] E failed', {severity: 'error', message: 'failed'}],
    ['[tensorrt] W odd: [tensorrt] E', {severity: 'warning', message: 'odd: [tensorrt] E'}],
    ['[tensorrt] I done', {severity: 'info', message: 'done'}],
    ['[tensorrt] V details\r', {severity: 'verbose', message: 'details'}],
    ['LLVM ERROR: out of memory', {severity: 'error', message: 'LLVM ERROR: out of memory'}],
    ['[tensorrt] X odd', {severity: 'error', message: '[tensorrt] X odd'}],
  ])('reads %j', (line, expected) => {
    expect(parseLine(line)).toEqual(expected);
  });

  it('puts lines together, and takes the last without its end', async () => {
    const {lines} = await logOf(['[tenso', 'rrt] I one\n\n[tensorrt] ', 'W two\nfree(): inv', 'alid pointer']);
    expect(lines.map(({message}) => message)).toEqual(['one', 'two', 'free(): invalid pointer']);
  });

  it('keeps the last twenty, verbose ones aside', async () => {
    const text = Array.from({length: 30}, (_, index) => `[tensorrt] I ${index}\n[tensorrt] V noise\n`).join('');
    const {lines, last} = await logOf([text]);
    expect(lines).toHaveLength(60);
    expect(last).toEqual(Array.from({length: 20}, (_, index) => String(index + 10)));
  });

  it('cuts a line that never ends', async () => {
    const {lines} = await logOf(Array.from({length: 40}, () => 'x'.repeat(10_000)));
    expect(Math.max(...lines.map(({message}) => message.length))).toBeLessThanOrEqual(64 * 1024);
  });
});

describe('describeEnd', () => {
  it.each([
    [{code: 3, signal: null}, 'exited with status 3'],
    [{code: null, signal: 'SIGSEGV'} as const, 'was ended by SIGSEGV, a segmentation fault'],
    [{code: null, signal: 'SIGKILL'} as const, 'was ended by SIGKILL, as the system does when memory runs out'],
    [{code: null, signal: 'SIGUSR1'} as const, 'was ended by SIGUSR1'],
  ])('%j', (end, text) => {
    expect(describeEnd(end)).toBe(text);
    expect(new BuildError('m', ['l'], end)).toMatchObject({code: 'ERR_BUILD', name: 'BuildError', log: ['l'], process: end});
  });
});
