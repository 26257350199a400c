/** What is recorded: SmolLM2 on a GPU, or as much of a made-up one as the recording's own thread is to take. */

import {fileURLToPath} from 'node:url';

import {prompts} from '../lib/prompts.mjs';

/** Activities a second that an H100 made of SmolLM2: a launch of a graph as one, and its kernels one by one. */
const RATES = {launches: 10_000, nodes: 300_000};

/** Tokens of a reply. */
const REPLY = 1000;
const TOKENS_A_SECOND = 2000;

/** Call before anything of the package is loaded. */
export function useSyntheticAddon({nodes, rate = RATES[nodes ? 'nodes' : 'launches']}) {
  process.env.TENSORRT_NODE_ADDON = fileURLToPath(new URL('synthetic_addon.cjs', import.meta.url));
  process.env.SYNTHETIC_RATE = String(rate);
  process.env.SYNTHETIC_NODES = nodes ? '1' : '0';
}

/** Requests of nothing, two a second with 1,000 tokens each, until `stop()`. */
export async function syntheticRequests() {
  const {observeRequest} = await import('../../dist/observers.js');
  const silent = {tokens() {}, finished() {}, failed() {}};
  const about = {model: 'synthetic', backend: 'tensorrt', promptTokens: 36, maxNewTokens: REPLY, temperature: 0, session: undefined};
  const length = (1000 * REPLY) / TOKENS_A_SECOND;
  const timer = setInterval(() => {
    const startedAt = performance.now() - length;
    const request = observeRequest({...about, startedAt}, silent);
    request?.tokens([{token: 1}]);
    request?.finished('length', {queue: 1, prefill: 6, decode: length - 7, prefilledTokens: 36});
  }, length);
  return () => clearInterval(timer);
}

/** Replies of `model` one after another until `stop()`, which resolves with how many tokens a second there were. */
export function replies(model) {
  const [{text}] = prompts();
  let going = true;
  let tokens = 0;
  const began = performance.now();
  const done = (async () => {
    for (let index = 0; going; index++) {
      for await (const chunk of model.generate(`${index}. ${text}`, {maxNewTokens: REPLY, temperature: 0})) {
        tokens += chunk.tokens.length;
        if (!going) break;
      }
    }
    return tokens / ((performance.now() - began) / 1000);
  })();
  return () => {
    going = false;
    return done;
  };
}
