/** Types of storm.mjs, for the tests. */

import type {LanguageModel} from 'tensorrt-node';

export interface StormEnds {
  completed: number;
  left: number;
  aborted: number;
  abortedBefore: number;
  session: number;
}

export function storm(
  model: LanguageModel,
  options: {
    requests: number;
    seed?: number;
    vocabSize: number;
    maxContext: number;
    onRequest?: (count: number) => void | Promise<void>;
  },
): Promise<StormEnds>;
