/** How long each of many calls took, and the percentiles that the command line tells too. */

export {percentiles} from '../../dist/engine/benchmark.js';

/** Microseconds of each of `runs` calls of `call`, awaited, after `warmup` more. */
export async function timeRuns(call, runs, warmup) {
  const times = new Float64Array(runs);
  for (let run = -warmup; run < runs; run++) {
    const start = performance.now();
    await call();
    if (run >= 0) times[run] = (performance.now() - start) * 1000;
  }
  return times;
}

/** As timeRuns, of a call that returns when it is done. */
export function timeSyncRuns(call, runs, warmup) {
  const times = new Float64Array(runs);
  for (let run = -warmup; run < runs; run++) {
    const start = performance.now();
    call();
    if (run >= 0) times[run] = (performance.now() - start) * 1000;
  }
  return times;
}
