/** TensorRT's phases, which nest, as one phase with a step count. */

import type {OnProgress} from '../../progress.js';
import type {ProgressEvent} from './messages.js';

interface Phase {
  name: string;
  steps: number;
  done: number;
}

/** `done` and `total` are of the outermost phase; `detail` says what the innermost one is at. */
export class BuildProgress {
  /** From the outermost to the innermost of those under way. */
  readonly #phases: Phase[] = [];

  constructor(readonly onProgress: OnProgress | undefined) {}

  readonly take = (event: ProgressEvent): void => {
    const at = this.#phases.findLastIndex(({name}) => name === event.phase);
    switch (event.event) {
      case 'start':
        this.#phases.push({name: event.phase, steps: event.steps ?? 0, done: 0});
        break;
      case 'step':
        // Of a phase that was never told of.
        if (at < 0) return;
        this.#phases[at]!.done = Math.min((event.step ?? 0) + 1, this.#phases[at]!.steps);
        break;
      case 'finish':
        if (at < 0) return;
        this.#phases[at]!.done = this.#phases[at]!.steps;
        this.#tell();
        // What was inside it is over too.
        this.#phases.length = at;
        return;
    }
    this.#tell();
  };

  #tell(): void {
    const outermost = this.#phases[0]!;
    const innermost = this.#phases.at(-1)!;
    const detail = this.#phases.length === 1 ? innermost.name : `${innermost.name} ${innermost.done}/${innermost.steps}`;
    this.onProgress?.({phase: 'build', done: outermost.done, total: outermost.steps, unit: 'steps', detail});
  }
}
