/** What moving weights took while something ran. */

/** `decoder` as lib/native/decoder_addon.ts's NativeDecoder. Sums of its counters, and seconds of the clock. */
export async function movedDuring(decoder, work) {
  const before = decoder.stats();
  const start = performance.now();
  const value = await work();
  const seconds = (performance.now() - start) / 1000;
  const after = decoder.stats();
  const moved = Object.fromEntries(Object.entries(after.weights).map(([name, sum]) => [name, sum - before.weights[name]]));
  const steps = after.decodeSteps + after.prefillSteps - before.decodeSteps - before.prefillSteps;
  return {value, moved: {...moved, seconds, steps, lostSteps: after.lostSteps - before.lostSteps}};
}
