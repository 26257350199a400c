/** What a long context costs beyond the reading of its keys and values. */

import {median} from '../lib/results.mjs';
import {speedOf, timedStream} from './timed_stream.mjs';

/** What an H100 reads, measured. */
export const BYTES_PER_SECOND = 3.12e12;

const SHORT = 32;

/**
 * Tokens per second after a prompt of 32 tokens and one of `long`, and the part of the speed that is left: the time a step
 * takes in the short one and for reading the keys and values that the long one has more, over the time it takes.
 */
export async function longContext(model, promptOf, {shape, long, rounds, newTokens}) {
  const speeds = {short: [], long: []};
  for (let round = -1; round < rounds; round++) {
    const short = speedOf(await timedStream(model, promptOf(round + 1, SHORT), newTokens));
    const after = speedOf(await timedStream(model, promptOf(round + 1, long), newTokens));
    if (round < 0) continue;
    speeds.short.push(short);
    speeds.long.push(after);
  }
  const [short, after] = [median(speeds.short), median(speeds.long)];
  const {layerCount, kvHeadCount, headDim} = shape;
  // Keys and values, two bytes an element.
  const cacheBytes = 2 * layerCount * kvHeadCount * headDim * 2 * (long - SHORT);
  return {short, long: after, cacheBytes, ratio: (1 / short + cacheBytes / BYTES_PER_SECOND) * after};
}
