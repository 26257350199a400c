/** Requests of all sorts, the same on every run: a number says all about one. */

import {setTimeout as sleep} from 'node:timers/promises';

import {uniform} from '../lib/random.mjs';

/** Ways a request goes, as often as they stand here. */
const KINDS = [
  ...Array(10).fill('completed'),
  ...Array(3).fill('left'),
  ...Array(4).fill('aborted'),
  'abortedBefore',
  'session',
  'session',
];

/** Prompt and options of request `number`; `text` is tokens of real text, where prompts are cut from. */
export function stressRequest(number, {text, vocabSize, longest}) {
  const random = uniform(number + 1);
  const whole = (from, to) => from + Math.floor(random() * (to - from + 1));
  const one = (...choices) => choices[whole(0, choices.length - 1)];
  const kind = one(...KINDS);
  const length = whole(1, longest.prompt);
  // Often a beginning that others have too.
  const start = random() < 0.3 ? 0 : whole(0, text.length - 1);
  const prompt = Uint32Array.from({length}, (_, at) => text[(start + at) % text.length]);
  const options = {
    maxNewTokens: whole(1, longest.reply),
    temperature: one(0, 0, 0.7, 1.3),
    topK: one(0, 40),
    topP: one(1, 0.9),
    minP: one(0, 0, 0.05),
    repetitionPenalty: one(1, 1, 1.1),
    presencePenalty: one(0, 0, 0.5),
    frequencyPenalty: one(0, 0, 0.5),
    seed: whole(0, 2 ** 31),
    ...(random() < 0.2 ? {logprobs: whole(0, 5)} : {}),
    ...(random() < 0.2 ? {logitBias: new Map([[whole(0, vocabSize - 1), -Infinity]])} : {}),
    ...(random() < 0.2 ? {stop: ['\n\n']} : {}),
  };
  return {kind, prompt, options, afterMs: whole(0, 40), afterChunks: whole(0, 10)};
}

/**
 * Runs a request its way. Resolves with {end, tokens}: how it ended, and of a completed one its reply. Rejects with what it
 * should not have failed with.
 */
export async function runRequest(model, {kind, prompt, options, afterMs, afterChunks}) {
  if (kind === 'completed') return {end: kind, tokens: (await model.generateText(prompt, options)).tokens};
  if (kind === 'left') {
    let chunks = afterChunks;
    for await (const _ of model.generate(prompt, options)) if (chunks-- === 0) break;
    return {end: kind};
  }
  if (kind === 'session') {
    await runSession(model, prompt, options);
    return {end: kind};
  }
  const controller = new AbortController();
  if (kind === 'abortedBefore') controller.abort();
  const reply = model.generateText(prompt, {...options, signal: controller.signal}).then(
    ({tokens}) => ({end: 'completed', tokens}),
    (error) => {
      if (error.code !== 'ERR_ABORTED') throw error;
      return {end: kind};
    },
  );
  if (kind === 'aborted') {
    await sleep(afterMs);
    controller.abort();
  }
  return reply;
}

/** Two turns, the second also in a fork, and one more after going back. */
async function runSession(model, prompt, options) {
  const turn = {...options, maxNewTokens: Math.min(options.maxNewTokens, 16)};
  const session = model.createSession();
  try {
    await session.generateText(prompt, turn);
    const {position} = session;
    const fork = session.fork();
    try {
      await Promise.all([session.generateText(prompt.subarray(0, 8), turn), fork.generateText(prompt.subarray(0, 5), turn)]);
    } finally {
      await fork.dispose();
    }
    session.rewind(position);
    await session.generateText(prompt.subarray(0, 3), turn);
  } finally {
    await session.dispose();
  }
}
