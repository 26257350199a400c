/** Step time, batch occupancy and waits for weights, from what a backend has counted. */

import type {NativeDecoderStats} from '../native/decoder_addon.js';
import type {ModelMetrics} from './model_metrics.js';

/** What counts are read of. */
export type StepCounts = Pick<NativeDecoderStats, 'prefillSteps' | 'decodeSteps' | 'decodeRows'> & {
  weights: Pick<NativeDecoderStats['weights'], 'blocks' | 'computeWaitSeconds' | 'hostWaitSeconds'>;
};

/** Reading the counts costs microseconds: not with each of a thousand steps a second. */
const INTERVAL_MS = 10;

export class StepMeter {
  #last: {at: number; counts: StepCounts} | undefined;

  /** Tokens have come; `busy`: and more will. */
  tokensCame(now: number, busy: boolean, read: () => StepCounts, {histograms}: ModelMetrics): void {
    const last = this.#last;
    if (last !== undefined && busy && now - last.at < INTERVAL_MS) return;
    const counts = read();
    // What comes after a pause, the pause would count as steps.
    this.#last = busy ? {at: now, counts} : undefined;
    if (last === undefined) return;
    const decodeSteps = counts.decodeSteps - last.counts.decodeSteps;
    const steps = decodeSteps + counts.prefillSteps - last.counts.prefillSteps;
    // No steps, or another decoder's counts.
    if (steps <= 0 || decodeSteps < 0) return;
    histograms.step.observe((now - last.at) / 1000 / steps, steps);
    if (decodeSteps > 0) histograms.batch.observe((counts.decodeRows - last.counts.decodeRows) / decodeSteps, decodeSteps);
    if (counts.weights.blocks === 0) return;
    const waited = waits(counts) - waits(last.counts);
    histograms.weightsWait.observe(Math.max(0, waited) / steps, steps);
  }
}

/** Steps wait on the GPU for copies; the thread that queues them waits for the disk. */
function waits({weights}: StepCounts): number {
  return weights.computeWaitSeconds + weights.hostWaitSeconds;
}
