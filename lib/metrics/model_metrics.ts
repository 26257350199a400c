/** What is counted of one model. */

import type {ModelEvent, Outcome} from '../observers.js';
import {Histogram} from './histogram.js';

/** From 0.1 ms: a step of a small model takes half of one. */
const STEP_SECONDS = series([1, 1.5, 2, 3, 5, 7], [1e-4, 1e-3, 1e-2, 1e-1]).concat(1, 2.5, 5, 10);
const REQUEST_SECONDS = series([1, 2.5, 5], [1e-3, 1e-2, 1e-1, 1, 10, 100]);

interface HistogramDefinition {
  name: string;
  help: string;
  bounds: readonly number[];
}

/** Histograms of each model. */
export const MODEL_HISTOGRAMS = {
  queue: {name: 'request_queue_seconds', help: 'Time a request waited before its prompt was run.', bounds: REQUEST_SECONDS},
  prefill: {name: 'request_prefill_seconds', help: 'Time from the start of the prompt to the first token.', bounds: REQUEST_SECONDS},
  firstToken: {
    name: 'time_to_first_token_seconds',
    help: 'Time from the request to its first token in JavaScript.',
    bounds: REQUEST_SECONDS,
  },
  betweenTokens: {
    name: 'time_between_tokens_seconds',
    help: 'Time between tokens of a request; of tokens that come together, their mean.',
    bounds: STEP_SECONDS,
  },
  request: {name: 'request_seconds', help: 'Time from the request to its end.', bounds: REQUEST_SECONDS},
} as const satisfies Record<string, HistogramDefinition>;

export type ModelHistogram = keyof typeof MODEL_HISTOGRAMS;

export type ModelMove = ModelEvent['kind'];

export class ModelMetrics {
  readonly histograms: Readonly<Record<ModelHistogram, Histogram>>;
  readonly outcomes: Record<Outcome, number> = {stop: 0, length: 0, aborted: 0, error: 0};
  readonly #moves = new Map<ModelMove, {seconds: Histogram; failures: number}>();
  promptTokens = 0;
  cachedTokens = 0;
  completionTokens = 0;
  /** Requests that have begun and not ended. */
  underWay = 0;

  constructor() {
    const entries = Object.entries(MODEL_HISTOGRAMS).map(([key, {bounds}]) => [key, new Histogram(bounds)]);
    this.histograms = Object.fromEntries(entries) as Record<ModelHistogram, Histogram>;
  }

  /** By kind, those that were seen. */
  get moves(): ReadonlyMap<ModelMove, {seconds: Histogram; failures: number}> {
    return this.#moves;
  }

  moved(kind: ModelMove, seconds: number, failed: boolean): void {
    let move = this.#moves.get(kind);
    if (move === undefined) {
      move = {seconds: new Histogram(REQUEST_SECONDS), failures: 0};
      this.#moves.set(kind, move);
    }
    if (failed) move.failures++;
    else move.seconds.observe(seconds);
  }
}

/** Each of `units` times each of `factors`, without what floating point adds to decimals. */
function series(factors: readonly number[], units: readonly number[]): number[] {
  return units.flatMap((unit) => factors.map((factor) => Number((factor * unit).toPrecision(3))));
}
