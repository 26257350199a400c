/** The real checkpoint, imported: its tokenizer against llama.cpp's, and what it says. */

import {mkdtemp, readdir, readFile, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import {importModel, loadModel} from 'tensorrt-node';
import {expect, it} from 'vitest';

import {GGUF_FILE, MODEL_FOLDER} from './helpers/model.js';

/** Texts, and the tokens that llama.cpp (through node-llama-cpp 3.22.1) makes of them with the vocabulary of the same file. */
const fixture = new URL('../fixtures/smollm2_tokens.json', import.meta.url);

it('cuts every text into the tokens that llama.cpp does', async () => {
  const cases = JSON.parse(await readFile(fixture, 'utf8')) as [text: string, tokens: number[]][];
  await using model = await loadModel(MODEL_FOLDER, {backend: 'cpu', maxContext: 64});
  expect(cases.length).toBeGreaterThan(200);
  for (const [text, tokens] of cases) expect(Array.from(model.tokenizer.encode(text)), JSON.stringify(text)).toEqual(tokens);
});

it('imports the real checkpoint in both types, and it knows the capital of France', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'tensorrt-node-'));
  try {
    for (const dtype of ['fp32', 'fp16'] as const) {
      const {path, tensors, config} = await importModel(GGUF_FILE, join(folder, dtype), {dtype});
      expect(tensors).toEqual({F32: 61, Q4_1: 210, Q8_0: 1});
      expect(config).toMatchObject({architecture: 'llama', layerCount: 30, eosTokenIds: [2, 0], tieWordEmbeddings: true});
      await using model = await loadModel(path, {backend: 'cpu', maxContext: 64});
      const {text} = await model.generateText('The capital of France is', {maxNewTokens: 2, temperature: 0});
      expect(text).toBe(' Paris.');
    }
    expect((await readdir(folder)).sort()).toEqual(['fp16', 'fp32']);
  } finally {
    await rm(folder, {recursive: true});
  }
});
