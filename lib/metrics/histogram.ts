/** Counts of values by upper bounds. Observing allocates nothing. */

export class Histogram {
  readonly #counts: Float64Array;
  #sum = 0;

  /** `bounds`: ascending; a value equal to a bound is below it. */
  constructor(readonly bounds: readonly number[]) {
    this.#counts = new Float64Array(bounds.length + 1);
  }

  get sum(): number {
    return this.#sum;
  }

  /** `times`: how often it was seen. */
  observe(value: number, times = 1): void {
    let low = 0;
    let high = this.bounds.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (value <= this.bounds[middle]!) high = middle;
      else low = middle + 1;
    }
    this.#counts[low]! += times;
    this.#sum += value * times;
  }

  /** Values up to each bound and above the one before, and last those above all. */
  get counts(): number[] {
    return [...this.#counts];
  }
}
