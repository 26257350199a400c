/** Steps of models as events of the host. */

import type {CollectedStep} from '../native/profiler_addon.js';
import type {HostEvent} from './activity.js';

/** What is said of a step. Its kernels and copies have its number, its requests' tracks theirs as `request`. */
export interface StepArgs extends Readonly<Record<string, unknown>> {
  step: number;
  model: string;
  phase: string;
  rows: number;
  /** Of its requests, in all; one each in a decode step. Those of a score are no request's. */
  tokens: number;
  requests: readonly number[];
  /** Bytes of weights that its kernels read. */
  bytesRead: number;
}

/** On the track 'scheduler': from when the host began to queue it until all of it was queued. */
export function stepEvent({number: step, model, phase, rows, start, end, bytesRead, requests}: CollectedStep): HostEvent {
  const tokens = requests.reduce((sum, each) => sum + each.tokens, 0);
  const args: StepArgs = {step, model, phase, rows, tokens, requests: requests.map(({request}) => request), bytesRead};
  return {track: 'scheduler', name: phase, start, end, args};
}
