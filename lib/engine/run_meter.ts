/** What is counted of an engine's runs, once somebody asks. Before, a run costs nothing more. */

import {Histogram} from '../metrics/histogram.js';

/** Seconds: the quickest engines take some 20 µs. */
const BOUNDS = [1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10];

const meters = new Set<WeakRef<RunMeter>>();
const collected = new FinalizationRegistry<WeakRef<RunMeter>>((meter) => meters.delete(meter));
let counting = false;

/** From now on all engines of this thread count. */
export function countRuns(): void {
  counting = true;
}

/** Of the engines that are there, and of those that were disposed of and not collected yet. */
export function runMeters(): RunMeter[] {
  return [...meters].flatMap((meter) => meter.deref() ?? []);
}

/** An engine's, with its bindings. */
export class RunMeter {
  /** Of runs that ended well, from the call to the results in JavaScript. */
  readonly seconds = new Histogram(BOUNDS);
  failures = 0;
  underWay = 0;

  constructor(
    readonly engine: string,
    /** Runs that wait for a context. */
    readonly waiting: () => number,
  ) {
    const reference = new WeakRef(this);
    meters.add(reference);
    collected.register(this, reference);
  }

  /** When it began, for `ended` and `failed`; undefined where nobody asks. */
  begin(): number | undefined {
    if (!counting) return undefined;
    this.underWay++;
    return performance.now();
  }

  ended(began: number): void {
    this.underWay--;
    this.seconds.observe((performance.now() - began) / 1000);
  }

  failed(): void {
    this.underWay--;
    this.failures++;
  }
}
