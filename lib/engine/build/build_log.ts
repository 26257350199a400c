/** The builder process's output as log lines: TensorRT's come as '[tensorrt] W a line', all else is an error. */

import type {BuildLogLine} from './build_error.js';

/** Lines kept for a failure. */
const KEPT = 20;
/** A line without an end must not fill the memory. */
const LONGEST = 64 * 1024;

const SEVERITIES: Readonly<Record<string, BuildLogLine['severity']>> = {
  F: 'internal-error',
  E: 'error',
  W: 'warning',
  I: 'info',
  V: 'verbose',
};

export class BuildLog {
  readonly #kept: BuildLogLine[] = [];
  readonly #unfinished = new Map<NodeJS.ReadableStream, string>();

  constructor(readonly onLine: ((line: BuildLogLine) => void) | undefined) {}

  /** Takes what `stream` says from now on, to its end. */
  read(stream: NodeJS.ReadableStream): void {
    stream.setEncoding('utf8');
    stream.on('data', (text: string) => this.#take(stream, text));
    stream.on('end', () => this.#take(stream, '\n'));
    // A pipe that breaks has said what it had to say.
    stream.on('error', () => {});
  }

  add(line: BuildLogLine): void {
    // Verbose lines would push out the ones that say what went wrong.
    if (line.severity !== 'verbose') this.#kept.push(line);
    if (this.#kept.length > KEPT) this.#kept.shift();
    this.onLine?.(line);
  }

  /** The last lines, oldest first. */
  get last(): string[] {
    return this.#kept.map(({message}) => message);
  }

  #take(stream: NodeJS.ReadableStream, text: string): void {
    const lines = ((this.#unfinished.get(stream) ?? '') + text).split('\n');
    const rest = lines.pop()!;
    for (const line of rest.length > LONGEST ? [...lines, rest] : lines)
      if (line.trim() !== '') this.add(parseLine(line.slice(0, LONGEST)));
    this.#unfinished.set(stream, rest.length > LONGEST ? '' : rest);
  }
}

export function parseLine(line: string): BuildLogLine {
  const match = /^\[tensorrt\] ([FEWIV]) (.*)$/.exec(line.trimEnd());
  if (match) return {severity: SEVERITIES[match[1]!]!, message: match[2]!};
  return {severity: 'error', message: line.trimEnd()};
}
