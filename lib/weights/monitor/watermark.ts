/** Whether memory is short, of a share in use that moves: it is from one mark up, and no longer from another one down. */

export interface WatermarkRange {
  /** Shares in use, from 0 to 1; `low` is below `high`. */
  high: number;
  low: number;
}

export class Watermark {
  #isHigh = false;

  constructor(readonly range: WatermarkRange) {}

  get isHigh(): boolean {
    return this.#isHigh;
  }

  /** Which mark was passed with this share, if one was. */
  update(share: number): 'high' | 'low' | undefined {
    if (!this.#isHigh && share >= this.range.high) {
      this.#isHigh = true;
      return 'high';
    }
    if (this.#isHigh && share <= this.range.low) {
      this.#isHigh = false;
      return 'low';
    }
    return undefined;
  }
}
