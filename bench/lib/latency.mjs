/** Percentiles of how long something took. */

/** `values`: any unit, not empty. */
export function percentiles(values) {
  const sorted = Float64Array.from(values).sort();
  const at = (share) => sorted[Math.floor(share * (sorted.length - 1))];
  return {p50: at(0.5), p90: at(0.9), p99: at(0.99), min: sorted[0], max: sorted[sorted.length - 1]};
}

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
