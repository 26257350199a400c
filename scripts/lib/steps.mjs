// One line a step: what it was, how it went, how long it took.

import {RunError} from './run.mjs';

const WIDTH = 14;

/**
 * Runs `work` and prints its line; what `work` resolves with stands in the line if it is text.
 * Resolves with whether it went well; a RunError's output follows the line.
 */
export async function step(name, work) {
  const start = performance.now();
  // The name at once, so that a long step is seen to be under way.
  process.stdout.write(name.padEnd(WIDTH));
  const line = (text) => console.log(`${text} (${((performance.now() - start) / 1000).toFixed(1)} s)`);
  try {
    line((await work()) || 'ok');
    return true;
  } catch (error) {
    line(`FAILED: ${error instanceof RunError ? error.message : (error.stack ?? error)}`);
    if (error.output) console.log(error.output.trimEnd());
    return false;
  }
}
