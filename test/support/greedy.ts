/** Sampling with everything off: the largest logit wins. */

import type {SamplingParameters} from '../../lib/backend/backend.js';

export const GREEDY: SamplingParameters = {
  temperature: 0,
  topK: 0,
  topP: 1,
  minP: 0,
  repetitionPenalty: 1,
  presencePenalty: 0,
  frequencyPenalty: 0,
  logitBias: new Map(),
  seed: 0,
};
