/**
 * A service's beginning, in a process of its own: loads the model and generates a token. Says with a line of JSON each when
 * plans are there and when the token is: {at: 'plans'|'token', ms}, since loadModel was called.
 *
 *   node bench/generate/first_token.mjs FOLDER [--plans-only]
 */

import {loadModel} from '../../dist/index.js';

const [folder, plansOnly] = process.argv.slice(2);
const controller = new AbortController();
const start = performance.now();
let built = false;
const tell = (at) => process.stdout.write(`${JSON.stringify({at, ms: performance.now() - start, built})}\n`);

/** Weights come after plans. */
function onProgress({phase}) {
  if (phase === 'build') built = true;
  if (phase !== 'read' || controller.signal.aborted) return;
  if (plansOnly !== '--plans-only') return;
  tell('plans');
  controller.abort();
}

try {
  const model = await loadModel(folder, {backend: 'tensorrt', maxContext: 2048, signal: controller.signal, onProgress});
  for await (const {tokens} of model.generate('Once upon a time', {maxNewTokens: 1, temperature: 0})) if (tokens.length > 0) tell('token');
  await model.dispose();
} catch (error) {
  if (!controller.signal.aborted) throw error;
}
