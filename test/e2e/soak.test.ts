/** A thousand requests ended in every way leave nothing behind; threads and processes end by themselves. */

import {execFile} from 'node:child_process';
import {mkdtemp, rm} from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import {fileURLToPath} from 'node:url';
import {promisify} from 'node:util';
import {Worker} from 'node:worker_threads';

import {importModel, loadModel} from 'tensorrt-node';
import {afterAll, beforeAll, describe, expect, it} from 'vitest';

import {storm} from '../../bench/lib/storm.mjs';
import {TINY_LLAMA, writeTinyCheckpoint} from '../../bench/lib/tiny-checkpoint.mjs';

const maxContext = TINY_LLAMA.max_position_embeddings;
const workerFile = fileURLToPath(new URL('../../bench/lib/generate-worker.mjs', import.meta.url));

describe('a tiny model under many requests', () => {
  let folder: string;
  let model: string;

  beforeAll(async () => {
    folder = await mkdtemp(path.join(os.tmpdir(), 'tensorrt-node-soak-'));
    model = path.join(folder, 'onnx');
    await importModel(writeTinyCheckpoint(path.join(folder, 'checkpoint'), TINY_LLAMA, 1), model, {dtype: 'fp32'});
  });

  afterAll(() => rm(folder, {recursive: true, force: true}));

  it('ends every request and keeps its memory', async () => {
    await using loaded = await loadModel(model, {backend: 'cpu', maxContext, maxBatch: 8});
    const run = (requests: number, seed: number) => storm(loaded, {requests, seed, vocabSize: TINY_LLAMA.vocab_size, maxContext});

    // Pools and caches grow to their size first.
    await run(300, 1);
    const before = process.memoryUsage.rss();
    const ends = await run(700, 2);
    const grownMb = (process.memoryUsage.rss() - before) / 2 ** 20;

    expect(Object.values(ends).reduce((sum, count) => sum + count, 0)).toBe(700);
    expect(Math.min(...Object.values(ends))).toBeGreaterThan(0);
    // A sequence's cache is 128 KB: a leak of one for each request would be 88 MB.
    expect(grownMb).toBeLessThan(60);
  });

  it('gives the same reply alone and among others', async () => {
    await using loaded = await loadModel(model, {backend: 'cpu', maxContext, maxBatch: 8});
    const prompt = Uint32Array.of(5, 6, 7, 8);
    const reply = () => loaded.generateText(prompt, {maxNewTokens: 24, temperature: 1, seed: 11}).then(({tokens}) => Array.from(tokens));
    const alone = await reply();
    const [among] = await Promise.all([reply(), storm(loaded, {requests: 100, seed: 3, vocabSize: TINY_LLAMA.vocab_size, maxContext})]);
    expect(among).toEqual(alone);
  });

  it('loads, generates and exits in worker threads at once', async () => {
    const exits = await Promise.all(
      Array.from(
        {length: 4},
        () =>
          new Promise<number>((resolve, reject) => {
            new Worker(workerFile, {workerData: {source: model}}).once('error', reject).once('exit', resolve);
          }),
      ),
    );
    expect(exits).toEqual([0, 0, 0, 0]);
  });

  it.each([
    ['disposed', 'await model.dispose()'],
    ['left alone', ''],
  ])('lets the process end when the model is %s', async (_, ending) => {
    const script = `
      import {loadModel} from 'tensorrt-node';
      const model = await loadModel(${JSON.stringify(model)}, {backend: 'cpu'});
      await model.generateText(Uint32Array.of(1, 2, 3), {maxNewTokens: 4});
      ${ending};
      process.stdout.write('done');`;
    const {stdout} = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', script], {
      cwd: fileURLToPath(new URL('../..', import.meta.url)),
      timeout: 60_000,
    });
    expect(stdout).toBe('done');
  });
});
