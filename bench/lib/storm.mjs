/** Many requests at once against one model, most of them cut short in every way a caller can cut them short. */

import {setTimeout as sleep} from 'node:timers/promises';

import {uniform} from './random.mjs';

const CONCURRENCY = 16;

/**
 * Sends `requests` requests and waits until all have ended. Resolves with how many ended in which way.
 * `onRequest(count)` is called after each.
 */
export async function storm(model, {requests, seed = 1, vocabSize, maxContext, onRequest}) {
  const random = uniform(seed);
  const whole = (from, to) => from + Math.floor(random() * (to - from + 1));
  const ends = {completed: 0, left: 0, aborted: 0, abortedBefore: 0, session: 0};
  let started = 0;
  let ended = 0;

  const worker = async () => {
    while (started < requests) {
      started++;
      const tokens = Uint32Array.from({length: whole(1, maxContext / 4)}, () => whole(0, vocabSize - 1));
      const options = {maxNewTokens: whole(1, maxContext / 4), temperature: random() < 0.5 ? 0 : 1, seed: whole(0, 2 ** 31)};
      ends[await one(tokens, options)]++;
      await onRequest?.(++ended);
    }
  };

  const one = async (tokens, options) => {
    const kind = random();
    if (kind < 0.3) {
      const {tokens: reply} = await model.generateText(tokens, options);
      if (reply.length > options.maxNewTokens) throw new Error(`${reply.length} tokens where ${options.maxNewTokens} were allowed`);
      return 'completed';
    }
    if (kind < 0.5) {
      let chunks = whole(0, 6);
      for await (const _ of model.generate(tokens, options)) if (chunks-- === 0) break;
      return 'left';
    }
    if (kind < 0.8) return (await abortedDuring(tokens, options, whole(0, 12))) ? 'aborted' : 'completed';
    if (kind < 0.9) {
      if (!(await endsInAbort(model.generateText(tokens, {...options, signal: AbortSignal.abort()})))) {
        throw new Error('an aborted signal did not end the request');
      }
      return 'abortedBefore';
    }
    const session = model.createSession();
    try {
      await session.generateText(tokens, options);
      const fork = session.fork();
      await Promise.all([session.generateText(tokens, options), fork.generateText(tokens, options)]);
      await fork.dispose();
    } finally {
      await session.dispose();
    }
    return 'session';
  };

  const abortedDuring = async (tokens, options, afterMs) => {
    const controller = new AbortController();
    const reply = endsInAbort(model.generateText(tokens, {...options, signal: controller.signal}));
    await sleep(afterMs);
    controller.abort();
    return await reply;
  };

  await Promise.all(Array.from({length: CONCURRENCY}, worker));
  return ends;
}

/** Whether it rejected with the library's abort; every other rejection passes through. */
async function endsInAbort(reply) {
  try {
    await reply;
    return false;
  } catch (error) {
    if (error.code === 'ERR_ABORTED') return true;
    throw error;
  }
}
