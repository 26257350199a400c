/**
 * Does TensorRT say what the CPU backend says? SmolLM2-135M-Instruct on 50 prompts of 128 tokens: teacher-forced, and
 * replying freely with 64 greedy tokens.
 *
 *   node bench/generate-parity.mjs --reference FILE [--peer]     the CPU backend's answers, fp32: minutes on two cores
 *   node bench/generate-parity.mjs --against FILE [--backend tensorrt] [--claims generate.6|bits.2] [--save]
 *
 * With --peer llama.cpp's most likely tokens are there too (node-llama-cpp's CPU build, on the GGUF). The second needs a GPU,
 * and no ONNX Runtime. As generate.6 it also compares all prompts at once with each alone, and both with the load option
 * `deterministic`.
 */

import {mkdirSync, readFileSync, writeFileSync} from 'node:fs';
import {availableParallelism} from 'node:os';
import path from 'node:path';
import {parseArgs} from 'node:util';

import {inspect, loadModel} from '../dist/index.js';
import {ggufPath, modelFolder} from '../scripts/model.mjs';
import {compareReplies, compareTop1} from './generate/compare_replies.mjs';
import {loadsDeterministic} from './generate/deterministic.mjs';
import {parityPrompts, sharedPrefix} from './generate/parity_prompts.mjs';
import {bestTokens, greedyReplies} from './generate/replies.mjs';
import {llamaCpp, llamaLogits, startLlama} from './lib/peers.mjs';
import {median, Results, say} from './lib/results.mjs';

const {values: options} = parseArgs({
  options: {
    reference: {type: 'string'},
    against: {type: 'string'},
    peer: {type: 'boolean'},
    claims: {type: 'string', default: 'generate.6'},
    /** Of the CPU backend and llama.cpp, for a reference; fewer are faster where others use the cores. */
    threads: {type: 'string', default: `${availableParallelism()}`},
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
if (!['generate.6', 'bits.2'].includes(options.claims)) {
  say('claims are generate.6 and bits.2');
  process.exit(2);
}
const [count, length, newTokens, threads] = [options.prompts, options.length, options.tokens, options.threads].map(Number);
if (options.reference !== undefined) await writeReference(options.reference);
else await compare(JSON.parse(readFileSync(options.against, 'utf8')));

async function writeReference(file) {
  const model = await loadModel(options.model, {backend: 'cpu', accuracyLevel: 0, threads, maxContext: length + newTokens});
  const lists = parityPrompts(model.tokenizer, count, length);
  const peer = options.peer ? await llama() : undefined;
  const answers = [];
  for (const tokens of lists) {
    const [reply] = await greedyReplies(model, [tokens], newTokens);
    const answer = {tokens: [...tokens], ...bestTokens(await model.score(tokens), model.vocabSize), reply};
    if (peer) answer.peer = bestTokens(await llamaLogits(peer.sequence, tokens, model.vocabSize), model.vocabSize).best;
    answers.push(answer);
    say(`${answers.length} of ${lists.length}`);
  }
  await model.dispose();
  mkdirSync(path.dirname(path.resolve(file)), {recursive: true});
  const ran = model.description;
  writeFileSync(file, JSON.stringify({model: path.basename(options.model), ran, peer: peer?.versions, newTokens, prompts: answers}));
  // llama.cpp's threads would keep the process.
  process.exit();
}

async function llama() {
  const {api, versions} = await llamaCpp();
  const model = await (await startLlama(api, threads)).loadModel({modelPath: ggufPath, gpuLayers: 0});
  const context = await model.createContext({contextSize: length, batchSize: length, threads});
  return {versions, sequence: context.getSequence()};
}

async function compare(reference) {
  const {driver, devices, tensorrt} = await inspect();
  const results = new Results(`${options.claims.split('.')[0]}.jsonl`, {
    gpu: devices[0]?.name,
    driver: driver.version,
    versions: {cuda: driver.cuda, tensorrt: tensorrt.version},
  });
  const peer = {model: reference.model, reference: reference.ran};
  const record = (name, value, unit, more) => {
    say(`${name}: ${value} ${unit}${more?.differences?.length ? ` ${JSON.stringify(more.differences)}` : ''}`);
    results.record({claim: `${options.claims}.${name}`, value, unit, ...peer, ...more});
  };

  const lists = reference.prompts.slice(0, count).map(({tokens}) => Uint32Array.from(tokens));
  const maxContext = Math.max(...lists.map((tokens) => tokens.length)) + reference.newTokens;
  const sizes = {prompts: lists.length, tokens: reference.newTokens};
  /** With a model of its own, in whose cache there is nothing yet. */
  const withModel = async (more, use) => {
    const model = await loadModel(options.model, {backend: options.backend, maxContext, maxBatch: lists.length, ...more});
    try {
      return await use(model);
    } finally {
      await model.dispose();
    }
  };
  const aloneOf = async (model) => {
    const replies = [];
    for (const tokens of lists) replies.push(...(await greedyReplies(model, [tokens], reference.newTokens)));
    return replies;
  };
  const togetherOf = async (model) => ({
    replies: await greedyReplies(model, lists, reference.newTokens),
    speeds: await speeds(model, lists),
  });

  const {scored, alone} = await withModel({}, async (model) => {
    say(model.description);
    const best = [];
    for (const tokens of lists) best.push(bestTokens(await model.score(tokens), model.vocabSize));
    return {scored: best, alone: await aloneOf(model)};
  });
  const skip = sharedPrefix(lists);
  const top1 = compareTop1(reference.prompts, scored, skip);
  record('top1', top1.agreement, 'fraction', {
    positions: top1.positions,
    // Of the reference's two best logits, where the two disagree.
    disagreement_gap_max: top1.gapMax,
    note: `the ${skip} tokens that all prompts begin with are not counted`,
  });
  if (reference.peer !== undefined) {
    // Its own kernels round activations to 8 bits: both distances say what that costs.
    const peers = reference.prompts.map(({peer: best}) => ({best}));
    const [ours, cpu] = [scored, reference.prompts].map((best) => compareTop1(best, peers.slice(0, scored.length), skip).agreement);
    record('llama_cpp_top1', ours, 'fraction', {peer: reference.peer, reference_top1: cpu});
  }
  const free = compareReplies(
    reference.prompts.slice(0, count).map(({reply}) => reply),
    alone,
  );
  record('free_running_equal', free.equal, 'texts', sizes);
  record('first_difference_gap_max', free.gapMax, 'logits', {...sizes, differences: free.differences});

  if (options.claims !== 'generate.6') return;
  const usual = await withModel({}, togetherOf);
  const together = compareReplies(alone, usual.replies);
  record('batched_equal', together.equal, 'texts', sizes);
  record('batched_first_difference_gap_max', together.gapMax, 'logits', {...sizes, differences: together.differences});

  if (!(await loadsDeterministic())) return say('there is no load option deterministic: nothing more to compare');
  const fixedAlone = await withModel({deterministic: true}, aloneOf);
  const fixed = await withModel({deterministic: true}, togetherOf);
  const {equal, differences} = compareReplies(fixedAlone, fixed.replies);
  record('deterministic_equal', equal / lists.length, 'fraction', {...sizes, differences});
  const cost = (kind) => 1 - fixed.speeds[kind] / usual.speeds[kind];
  const costsOf = (kind, streams) => ({tok_s: fixed.speeds[kind], usual_tok_s: usual.speeds[kind], streams});
  record('deterministic_cost', cost('single'), 'fraction', costsOf('single', 1));
  record('deterministic_batched_cost', cost('together'), 'fraction', costsOf('together', lists.length));
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
