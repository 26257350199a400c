/**
 * One side of bench/cpu-decode, in a process of its own so that neither pays for the other's threads or heap.
 * Forked with a JSON argument; answers {prompt, newTokens} with
 * {firstTokenMs, decodeMs, tokens, decoded}: times as the caller sees them, tokens in all and after the first chunk.
 */

import {loadModel} from 'tensorrt-node';

import {llamaCpp, startLlama} from './peers.mjs';

const {side, source, threads, contextSize, accuracyLevel} = JSON.parse(process.argv[2]);
const measure = side === 'ours' ? await ours() : await theirs();
process.on('message', async ({prompt, newTokens}) => process.send(await measure(Uint32Array.from(prompt), newTokens)));
process.send('ready');

async function ours() {
  const model = await loadModel(source, {backend: 'cpu', maxContext: contextSize, maxBatch: 1, threads, accuracyLevel});
  return async (prompt, newTokens) => {
    const began = performance.now();
    let first;
    let last;
    let inFirst;
    let tokens = 0;
    for await (const chunk of model.generate(prompt, {maxNewTokens: newTokens, temperature: 0})) {
      last = performance.now();
      tokens += chunk.tokens.length;
      // A chunk holds several tokens where a character or a stop string spans them.
      first ??= last;
      inFirst ??= tokens;
    }
    return {firstTokenMs: first - began, decodeMs: last - first, tokens, decoded: tokens - inFirst};
  };
}

async function theirs() {
  const {api} = await llamaCpp();
  const llama = await startLlama(api, threads);
  const model = await llama.loadModel({modelPath: source, gpuLayers: 0});
  const context = await model.createContext({contextSize, batchSize: contextSize, threads});
  const sequence = context.getSequence();
  return async (prompt, newTokens) => {
    await sequence.clearHistory();
    const began = performance.now();
    let first;
    let count = 0;
    for await (const _ of sequence.evaluate(Array.from(prompt), {temperature: 0, yieldEogToken: true})) {
      first ??= performance.now();
      if (++count === newTokens) break;
    }
    return {firstTokenMs: first - began, decodeMs: performance.now() - first, tokens: count, decoded: count - 1};
  };
}
