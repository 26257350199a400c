/**
 * How fast is the CPU backend? Tokens per second at batch 1 beside node-llama-cpp on the same file with the same
 * threads, the two taking turns in one run; medians of several rounds, model loading and a warm-up left out. Run it
 * on a quiet machine: the lines keep the load average from before the start.
 *
 *   node bench/cpu-decode.mjs [--rounds 5] [--save]
 *
 * decode: 128 greedy tokens after a prompt of 32, from the first token to the last, through each one's public
 * token-by-token interface. prefill: a prompt of 512 tokens to its first token.
 */

import {fork} from 'node:child_process';
import {once} from 'node:events';
import os from 'node:os';
import {fileURLToPath} from 'node:url';
import {parseArgs} from 'node:util';

import {ensureModel, ggufPath, modelFolder} from '../scripts/model.mjs';
import {llamaCpp, startLlama} from './lib/peers.mjs';
import {prompts} from './lib/prompts.mjs';
import {median, Results, say, version} from './lib/results.mjs';

const {values: options} = parseArgs({options: {rounds: {type: 'string', default: '5'}, save: {type: 'boolean'}}});
const rounds = Number(options.rounds);
const loadAverage = Number(os.loadavg()[0].toFixed(2));

const DECODE = {promptTokens: 32, newTokens: 128};
const PREFILL = {promptTokens: 512, newTokens: 1};
const CONTEXT_SIZE = 1024;
/** The accuracy level that loadModel uses when none is named; its claims carry no suffix. */
const DEFAULT_SIDE = 'exact';

await ensureModel();
const {api, versions} = await llamaCpp();
const prose = await tokenized();
const results = new Results('foundation.jsonl', {versions: {...versions, 'onnxruntime-node': version('onnxruntime-node')}});

for (const threads of [2, 1]) {
  const sides = {
    llama: await start({side: 'llama', source: ggufPath, threads}),
    exact: await start({side: 'ours', source: modelFolder, threads, accuracyLevel: 0}),
    int8: await start({side: 'ours', source: modelFolder, threads, accuracyLevel: 4}),
  };
  const figures = Object.fromEntries(Object.keys(sides).map((name) => [name, {decode: [], prefill: []}]));
  for (let round = -1; round < rounds; round++) {
    // Whoever goes first finds a cooler machine, so the order turns around every round.
    const order = Object.keys(sides);
    if (round % 2 !== 0) order.reverse();
    for (const name of order) {
      const decode = await sides[name].measure(DECODE);
      const prefill = await sides[name].measure(PREFILL);
      if (round < 0) continue;
      figures[name].decode.push((decode.decoded / decode.decodeMs) * 1000);
      figures[name].prefill.push((PREFILL.promptTokens / prefill.firstTokenMs) * 1000);
    }
  }
  for (const side of Object.values(sides)) side.stop();

  const of = (name, kind) => median(figures[name][kind]);
  // Round by round, so that a busy minute weighs on both.
  const ratio = (name, kind) => median(figures[name][kind].map((value, round) => value / figures.llama[kind][round]));
  for (const name of Object.keys(sides)) {
    say(`${threads} threads, ${name}: decode ${of(name, 'decode').toFixed(1)} tok/s, prefill ${of(name, 'prefill').toFixed(0)} tok/s`);
  }
  const suffix = threads === 2 ? '' : `_${threads}_thread`;
  for (const [name, level] of [
    ['exact', 0],
    ['int8', 4],
  ]) {
    const label = (claim) => `foundation.3.${claim}${name === DEFAULT_SIDE ? '' : `_level_${level}`}${suffix}`;
    const rounded = (side, kind) => figures[side][kind].map((value) => Number(value.toFixed(1)));
    const line = (kind) => ({
      threads,
      accuracyLevel: level,
      loadAverage,
      peer: {name: 'node-llama-cpp', tok_s: of('llama', kind)},
      rounds: {ours: rounded(name, kind), peer: rounded('llama', kind)},
    });
    results.record({claim: label('cpu_ratio'), value: ratio(name, 'decode'), unit: 'x', ...line('decode')});
    results.record({claim: label('tok_s'), value: of(name, 'decode'), unit: 'tok/s', ...line('decode')});
    results.record({claim: label('prefill_ratio'), value: ratio(name, 'prefill'), unit: 'x', ...line('prefill')});
    results.record({claim: label('prefill_tok_s'), value: of(name, 'prefill'), unit: 'tok/s', ...line('prefill')});
  }
}

async function start(settings) {
  const script = fileURLToPath(new URL('lib/decode-side.mjs', import.meta.url));
  const child = fork(script, [JSON.stringify({...settings, contextSize: CONTEXT_SIZE})]);
  const exited = once(child, 'exit').then(([code, signal]) => {
    throw new Error(`${settings.side} ended with ${signal ?? code}`);
  });
  // It ends when it is told to; only while an answer is awaited is that an error.
  exited.catch(() => {});
  const answer = async () => (await Promise.race([once(child, 'message'), exited]))[0];
  await answer();
  return {
    async measure({promptTokens, newTokens}) {
      child.send({prompt: prose.slice(0, promptTokens), newTokens});
      const result = await answer();
      if (result.tokens !== newTokens) throw new Error(`${settings.side} gave ${result.tokens} tokens instead of ${newTokens}`);
      return result;
    },
    stop: () => child.kill(),
  };
}

/** Token ids of the prose among the prompts, one text after the other. */
async function tokenized() {
  const llama = await startLlama(api, 1);
  const model = await llama.loadModel({modelPath: ggufPath, gpuLayers: 0, vocabOnly: true});
  const text = prompts()
    .filter(({name}) => ['lighthouse', 'history', 'bread', 'photosynthesis', 'darwin'].includes(name))
    .map((prompt) => prompt.text)
    .join('\n');
  const tokens = Array.from(model.tokenize(text));
  await llama.dispose();
  return tokens;
}
