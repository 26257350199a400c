import {readFile} from 'node:fs/promises';
import {join} from 'node:path';

import {Tokenizer} from '@huggingface/tokenizers';
import {type LanguageModel, loadModel} from 'tensorrt-node';
import {afterAll, beforeAll, expect, it} from 'vitest';

import {createRandom} from '../support/random.js';
import {MODEL_FOLDER} from './helpers/model.js';

let model: LanguageModel;
beforeAll(async () => {
  model = await loadModel(MODEL_FOLDER, {maxContext: 64});
});
afterAll(() => model?.dispose());

it('streams random tokens of the real vocabulary exactly, in whole characters', async () => {
  const read = async (name: string) => JSON.parse(await readFile(join(MODEL_FOLDER, name), 'utf8'));
  const reference = new Tokenizer(await read('tokenizer.json'), await read('tokenizer_config.json'));
  const random = createRandom(4);
  for (let round = 0; round < 300; round++) {
    const tokens = Array.from({length: 1 + random.below(80)}, () => random.below(model.tokenizer.vocabSize));
    const stream = model.tokenizer.createTextStream();
    const chunks = [...tokens.map((token) => stream.push(token)), stream.end()];
    for (const chunk of chunks) expect(chunk).not.toMatch(/\p{Surrogate}/u);
    expect(chunks.join('')).toBe(model.tokenizer.decode(tokens));
    expect(chunks.join('')).toBe(reference.decode(tokens, {skip_special_tokens: true, clean_up_tokenization_spaces: false}));
  }
});

it('gives any text back', () => {
  const random = createRandom(5);
  const characters = ['a', 'B', ' ', '  ', '\n', '7', "'s", 'é', 'ß', '汉', '字', '😀', '👩‍👩‍👧', 'नि', '\u200d', '\t', '.'];
  for (let round = 0; round < 300; round++) {
    const text = Array.from({length: random.below(40)}, () => random.pick(characters)).join('');
    expect(model.tokenizer.decode(model.tokenizer.encode(text))).toBe(text);
  }
});
