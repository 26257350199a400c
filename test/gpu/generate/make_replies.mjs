/**
 * Makes replies.json beside it: what the CPU backend, in fp32, says to a few prompts, with 32 greedy tokens each. Of the
 * prompts those are taken at whose replies no other token is nearly as likely, so that fp16 must say the same.
 *
 *   node test/gpu/generate/make_replies.mjs
 */

import {writeFileSync} from 'node:fs';

import {parityPrompts} from '../../../bench/generate/parity_prompts.mjs';
import {greedyReplies} from '../../../bench/generate/replies.mjs';
import {loadModel} from '../../../dist/index.js';
import {modelFolder} from '../../../scripts/model.mjs';
import {tinyModel} from './fixture.mjs';

const NEAR = 0.15;
const COUNT = 6;

const file = new URL('replies.json', import.meta.url);
const tiny = await repliesOf(await tinyModel(), () =>
  Array.from({length: 30}, (_, seed) => Uint32Array.from({length: 1 + 7 * seed}, (_, at) => (at * (seed + 3) + seed) % 256)),
);
const smollm2 = await repliesOf(modelFolder, (tokenizer) => parityPrompts(tokenizer, 50, 128));
writeFileSync(file, `${JSON.stringify({tiny, smollm2})}\n`);

async function repliesOf(folder, promptsOf) {
  const model = await loadModel(folder, {backend: 'cpu', accuracyLevel: 0, maxContext: 1024});
  const taken = [];
  for (const prompt of promptsOf(model.tokenizer)) {
    const [{tokens, gaps}] = await greedyReplies(model, [prompt], 32);
    if (Math.min(...gaps) < NEAR) continue;
    taken.push({prompt: [...prompt], tokens, text: model.tokenizer.decode(tokens)});
    if (taken.length === COUNT) break;
  }
  await model.dispose();
  return taken;
}
