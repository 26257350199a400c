/** Progress on stderr: a bar on a terminal, a line a phase elsewhere. */

import {SingleBar} from 'cli-progress';

import type {OnProgress, Progress} from '../progress.js';
import {formatBytes, formatDuration} from './format.js';

export interface ProgressDisplay extends Disposable {
  readonly update: OnProgress;
}

export function createProgressDisplay(stream: NodeJS.WriteStream = process.stderr): ProgressDisplay {
  return stream.isTTY ? new BarDisplay(stream) : new LineDisplay(stream);
}

class BarDisplay implements ProgressDisplay {
  readonly #bar: SingleBar;
  #phase: string | undefined;

  constructor(stream: NodeJS.WriteStream) {
    this.#bar = new SingleBar({
      stream,
      format: '{phase} {bar} {percentage}% {amount} {detail}',
      barCompleteChar: '█',
      barIncompleteChar: '░',
      barsize: 24,
      hideCursor: true,
      clearOnComplete: true,
    });
  }

  readonly update = (progress: Progress): void => {
    const {phase, done, total, detail = ''} = progress;
    const payload = {phase: phase.padEnd(10), amount: amount(progress), detail: detail.slice(0, 32)};
    if (phase !== this.#phase) {
      this[Symbol.dispose]();
      this.#phase = phase;
      this.#bar.start(total ?? 1, 0, payload);
    }
    if (total !== undefined) this.#bar.setTotal(total);
    this.#bar.update(total === undefined ? 0 : done, payload);
  };

  [Symbol.dispose](): void {
    if (this.#phase !== undefined) this.#bar.stop();
    this.#phase = undefined;
  }
}

class LineDisplay implements ProgressDisplay {
  readonly #stream: NodeJS.WriteStream;
  #last: Progress | undefined;
  #start = 0;

  constructor(stream: NodeJS.WriteStream) {
    this.#stream = stream;
  }

  readonly update = (progress: Progress): void => {
    if (progress.phase !== this.#last?.phase) {
      this[Symbol.dispose]();
      this.#start = performance.now();
    }
    this.#last = progress;
  };

  [Symbol.dispose](): void {
    if (this.#last === undefined) return;
    this.#stream.write(`${this.#last.phase}: ${amount(this.#last)} in ${formatDuration(performance.now() - this.#start)}\n`);
    this.#last = undefined;
  }
}

function amount({done, total, unit}: Progress): string {
  const known = total === undefined || done === total ? undefined : total;
  if (unit === 'bytes') return known === undefined ? formatBytes(done) : `${formatBytes(done)} of ${formatBytes(known)}`;
  return known === undefined ? `${done} ${unit}` : `${done} of ${known} ${unit}`;
}
