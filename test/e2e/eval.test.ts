/** Evaluating small models on the CPU, through the built package and its command line. */

import {readFile, stat, writeFile} from 'node:fs/promises';
import {join} from 'node:path';

import {evaluateModel, importModel, loadModel} from 'tensorrt-node';
import {beforeAll, describe, expect, it} from 'vitest';

import {TINY_LLAMA, writeTinyCheckpoint} from '../../bench/lib/tiny-checkpoint.mjs';
import {temporaryFolder} from '../support/temporary_folder.js';
import {command} from './helpers/command.js';

const TEXT = 'the man and the other one in the inn ran on and on, other than the hen. '.repeat(4);
const CPU = {backend: 'cpu', threads: 1} as const;

let original: string;
/** The same in halves, and another model altogether. */
let halves: string;
let other: string;
const inFolder = temporaryFolder();

beforeAll(async () => {
  const [checkpoint, otherCheckpoint] = [1, 2].map((seed) => writeTinyCheckpoint(inFolder(`checkpoint${seed}`), TINY_LLAMA, seed));
  [original, halves, other] = ['original', 'halves', 'other'].map((name) => inFolder(name)) as [string, string, string];
  await importModel(checkpoint!, original, {dtype: 'fp32'});
  await importModel(checkpoint!, halves, {dtype: 'fp16'});
  await importModel(otherCheckpoint!, other, {dtype: 'fp32'});
});

describe('evaluateModel', () => {
  it('gives the perplexity of its formula', async () => {
    const {model, tokens, window, stride} = await evaluateModel(original, {text: TEXT, window: 32, stride: 8, maxTokens: 70, load: CPU});
    expect({window, stride, tokens}).toEqual({window: 32, stride: 8, tokens: {text: 70, scored: 69}});

    await using loaded = await loadModel(original, CPU);
    const ids = loaded.tokenizer.encode(TEXT).subarray(0, 70);
    let loss = 0;
    for (let target = 1; target < 70; target++) {
      // The first window is whole; then windows end 8 further on each.
      const end = target <= 32 ? 32 : Math.min(69, 32 + 8 * Math.ceil((target - 32) / 8));
      const start = Math.max(0, end - 32);
      const logits = await loaded.score(ids.subarray(start, target));
      const row = [...logits.subarray(-loaded.vocabSize)];
      loss += Math.log(row.reduce((sum, logit) => sum + Math.exp(logit), 0)) - row[ids[target]!]!;
    }
    expect(model.crossEntropy).toBeCloseTo(loss / 69, 5);
    expect(model.perplexity).toBeCloseTo(Math.exp(loss / 69), 3);
    expect(model.diskBytes).toBe((await stat(join(original, 'model.onnx'))).size + (await stat(join(original, 'model.onnx_data'))).size);
    expect(model.speed.prompt).toBeGreaterThan(0);
  });

  it('finds no distance of a model from itself, a little from its halves, and much from another', async () => {
    const options = {text: TEXT, window: 64, load: CPU};
    const [itself, half, far] = await Promise.all(
      [original, halves, other].map((source) => evaluateModel(source, {...options, against: original})),
    );
    expect(itself!.comparison).toMatchObject({perplexityRatio: 1, perplexityRatioError: 0, top1Agreement: 1});
    expect(itself!.comparison!.divergence.max).toBeLessThan(1e-9);
    expect(half!.comparison!.divergence.mean).toBeGreaterThan(1e-9);
    expect(half!.comparison!.divergence.p99).toBeLessThan(0.01);
    expect(half!.comparison!.top1Agreement).toBeGreaterThan(0.95);
    expect(far!.comparison!.divergence.mean).toBeGreaterThan(0.1);
    expect(far!.comparison!.top1Agreement).toBeLessThan(0.5);
    expect(half!.against!.crossEntropy).toBe(itself!.model.crossEntropy);
  });

  it("keeps the original's logits, and takes them as long as they are those", async () => {
    const logits = inFolder('kept.logits');
    const options = {against: original, text: TEXT, window: 64, stride: 32, load: CPU, logits};
    const phases = async (more: object) => {
      const seen = new Set<string>();
      const {comparison, against} = await evaluateModel(halves, {...options, ...more, onProgress: ({phase}) => seen.add(phase)});
      return {comparison, against, made: seen.has('original')};
    };
    const direct = await phases({logits: undefined});
    const made = await phases({});
    const taken = await phases({});
    expect([direct.made, made.made, taken.made]).toEqual([false, true, false]);
    expect(taken.comparison).toEqual(direct.comparison);
    expect(made.comparison).toEqual(direct.comparison);
    expect(taken.against).toEqual(made.against);
    expect((await phases({stride: 64})).made).toBe(true);
    expect((await phases({stride: 64, maxTokens: 100})).made).toBe(true);

    await writeFile(logits, 'a diary');
    await expect(phases({})).rejects.toMatchObject({code: 'ERR_OPTION', option: 'logits'});
    expect(await readFile(logits, 'utf8')).toBe('a diary');
  });

  it.each([
    [{window: 1}, 'window'],
    [{window: 300}, 'window'],
    [{window: 8, stride: 9}, 'stride'],
    [{maxTokens: 1}, 'maxTokens'],
    [{text: ''}, 'text'],
    [{text: 'a'}, 'text'],
    [{logits: 'x'}, 'logits'],
    [{againstLoad: {}}, 'againstLoad'],
    [{load: {maxBatch: 2}}, 'load.maxBatch'],
    [{load: {backend: 'gpu'}}, 'backend'],
    [{wnidow: 8}, 'options.wnidow'],
    [{signal: 5}, 'signal'],
  ])('refuses %j', async (options, option) => {
    await expect(evaluateModel(original, {load: CPU, ...options} as object)).rejects.toMatchObject({code: 'ERR_OPTION', option});
  });

  it('refuses a model of another vocabulary', async () => {
    const larger = inFolder('larger');
    await importModel(writeTinyCheckpoint(inFolder('larger checkpoint'), {...TINY_LLAMA, vocab_size: 384}, 1), larger);
    await expect(evaluateModel(larger, {against: original, text: TEXT, load: CPU})).rejects.toMatchObject({
      code: 'ERR_UNSUPPORTED',
      message: expect.stringContaining('different vocabularies'),
    });
  });

  it('ends between windows when it is aborted', async () => {
    const controller = new AbortController();
    let last = 0;
    const evaluation = evaluateModel(original, {
      text: TEXT,
      window: 16,
      load: CPU,
      signal: controller.signal,
      onProgress({phase, done}) {
        if (phase !== 'evaluate') return;
        last = done;
        controller.abort('enough');
      },
    });
    await expect(evaluation).rejects.toMatchObject({code: 'ERR_ABORTED', cause: 'enough'});
    expect(last).toBe(16);
  });
});

describe('tensorrt-node eval', () => {
  it('writes a table, or JSON', async () => {
    const text = inFolder('text.txt');
    await writeFile(text, TEXT);
    const args = ['eval', halves, '--against', original, '--text', text, '--window', '64', '--backend', 'cpu', '--threads', '1'];
    const [table, json] = await Promise.all([command(args), command([...args, '--json'])]);
    expect(table).toMatchObject({code: 0, stdout: expect.stringMatching(/perplexity.*\n.*halves.*\n.*original/)});
    expect(table.stdout).toMatch(/perplexity ratio \d\.\d+ ± .*\nKL divergence mean .*\nsame most likely token \d+\.\d\d %/);
    const {comparison, tokens} = JSON.parse(json.stdout);
    expect(comparison.perplexityRatio).toBeCloseTo(1, 2);
    expect(tokens.scored).toBe(tokens.text - 1);
  });

  it.each([
    [['--logits', 'x'], '--logits needs --against'],
    [['--against-backend', 'cpu'], '--against-backend needs --against'],
  ])('refuses %j', async (more, message) => {
    expect(await command(['eval', original, ...more])).toMatchObject({code: 2, stderr: expect.stringContaining(message)});
  });
});
