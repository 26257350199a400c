/**
 * Does TensorRT say what the CPU backend says? SmolLM2-135M-Instruct on 50 prompts of 128 tokens: teacher-forced, and
 * replying freely with 64 greedy tokens.
 *
 *   node bench/generate-parity.mjs --reference FILE       the CPU backend's answers, fp32: minutes on two cores
 *   node bench/generate-parity.mjs --against FILE [--backend tensorrt] [--save]
 *
 * The second needs a GPU, and no ONNX Runtime. Also compares all prompts at once with each alone, and both with the
 * load option `deterministic`.
 */

import {mkdirSync, readFileSync, writeFileSync} from 'node:fs';
import path from 'node:path';
import {parseArgs} from 'node:util';

import {inspect, loadModel} from '../dist/index.js';
import {modelFolder} from '../scripts/model.mjs';
import {compareReplies, compareTop1} from './generate/compare_replies.mjs';
import {loadsDeterministic} from './generate/deterministic.mjs';
import {parityPrompts, sharedPrefix} from './generate/parity_prompts.mjs';
import {bestTokens, greedyReplies} from './generate/replies.mjs';
import {median, Results, say} from './lib/results.mjs';

const {values: options} = parseArgs({
  options: {
    reference: {type: 'string'},
    against: {type: 'string'},
    backend: {type: 'string', default: 'tensorrt'},
    model: {type: 'string', default: modelFolder},
    prompts: {type: 'string', default: '50'},
    /** Of a prompt. */
    length: {type: 'string', default: '128'},
    /** Of a reply. */
    tokens: {type: 'string', default: '64'},
    save: {type: 'boolean'},
  },
});
if ((options.reference === undefined) === (options.against === undefined)) {
  say('usage: generate-parity.mjs --reference FILE | --against FILE');
  process.exit(2);
}
const [count, length, newTokens] = [options.prompts, options.length, options.tokens].map(Number);
const maxContext = length + newTokens;
if (options.reference !== undefined) await writeReference(options.reference);
else await compare(JSON.parse(readFileSync(options.against, 'utf8')));

async function writeReference(file) {
  const model = await loadModel(options.model, {backend: 'cpu', accuracyLevel: 0, maxContext});
  const lists = parityPrompts(model.tokenizer, count, length);
  const answers = [];
  for (const tokens of lists) {
    const [reply] = await greedyReplies(model, [tokens], newTokens);
    answers.push({tokens: [...tokens], ...bestTokens(await model.score(tokens), model.vocabSize), reply});
    say(`${answers.length} of ${lists.length}`);
  }
  await model.dispose();
  mkdirSync(path.dirname(path.resolve(file)), {recursive: true});
  writeFileSync(file, JSON.stringify({model: path.basename(options.model), ran: model.description, newTokens, prompts: answers}));
}

async function compare(reference) {
  const {driver, devices, tensorrt} = await inspect();
  const results = new Results('generate.jsonl', {
    gpu: devices[0]?.name,
    driver: driver.version,
    versions: {cuda: driver.cuda, tensorrt: tensorrt.version},
  });
  const peer = {model: reference.model, reference: reference.ran};
  const record = (name, value, unit, more) => {
    say(`${name}: ${value} ${unit}${more?.differences?.length ? ` ${JSON.stringify(more.differences)}` : ''}`);
    results.record({claim: `generate.6.${name}`, value, unit, ...peer, ...more});
  };

  const lists = reference.prompts.slice(0, count).map(({tokens}) => Uint32Array.from(tokens));
  const load = (more) => loadModel(options.model, {backend: options.backend, maxContext, maxBatch: lists.length, ...more});
  const model = await load();
  say(model.description);

  const skip = sharedPrefix(lists);
  const scored = [];
  for (const tokens of lists) scored.push(bestTokens(await model.score(tokens), model.vocabSize));
  const top1 = compareTop1(reference.prompts, scored, skip);
  record('top1', top1.agreement, 'fraction', {
    positions: top1.positions,
    // Of the reference's two best logits, where the two disagree.
    disagreement_gap_max: top1.gapMax,
    note: `the ${skip} tokens that all prompts begin with are not counted`,
  });

  const alone = [];
  for (const tokens of lists) alone.push(...(await greedyReplies(model, [tokens], reference.newTokens)));
  const free = compareReplies(
    reference.prompts.map(({reply}) => reply),
    alone,
  );
  const tokensEach = {prompts: lists.length, tokens: reference.newTokens};
  record('free_running_equal', free.equal, 'texts', tokensEach);
  record('first_difference_gap_max', free.gapMax, 'logits', {differences: free.differences});

  const together = compareReplies(alone, await greedyReplies(model, lists, reference.newTokens));
  record('batched_equal', together.equal, 'texts', tokensEach);
  record('batched_first_difference_gap_max', together.gapMax, 'logits', {differences: together.differences});
  const usual = await speeds(model, lists);
  await model.dispose();

  if (!(await loadsDeterministic())) return say('there is no load option deterministic: nothing more to compare');
  const fixed = await load({deterministic: true});
  const fixedAlone = [];
  for (const tokens of lists) fixedAlone.push(...(await greedyReplies(fixed, [tokens], reference.newTokens)));
  const fixedTogether = compareReplies(fixedAlone, await greedyReplies(fixed, lists, reference.newTokens));
  record('deterministic_equal', fixedTogether.equal / lists.length, 'fraction', {...tokensEach, differences: fixedTogether.differences});
  const cost = await speeds(fixed, lists);
  record('deterministic_cost', 1 - cost.single / usual.single, 'fraction', {tok_s: cost.single, usual_tok_s: usual.single, streams: 1});
  record('deterministic_batched_cost', 1 - cost.together / usual.together, 'fraction', {
    tok_s: cost.together,
    usual_tok_s: usual.together,
    streams: lists.length,
  });
  await fixed.dispose();
}

/** Tokens per second: of one stream, from its first token to its last, and of all at once, prompts included. */
async function speeds(model, lists) {
  const request = {maxNewTokens: newTokens, temperature: 0};
  const single = [];
  for (const tokens of lists.slice(0, 5)) single.push(1000 / (await model.generateText(tokens, request)).timings.perToken);
  const start = performance.now();
  const replies = await Promise.all(lists.map((tokens) => model.generateText(tokens, request)));
  const total = replies.reduce((sum, {tokens}) => sum + tokens.length, 0);
  return {single: median(single), together: (1000 * total) / (performance.now() - start)};
}
