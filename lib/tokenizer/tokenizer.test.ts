import {Tokenizer} from '@huggingface/tokenizers';
import {describe, expect, it} from 'vitest';

import {createRandom} from '../../test/support/random.js';
import {byteLevelTokenizer, sentencePieceTokenizer, temporaryFolder} from '../../test/support/tokenizers.js';
import {loadTokenizer, TextTokenizer} from './tokenizer.js';
import {checkTokenizerJson} from './tokenizer_file.js';

function create({tokenizerJson, tokenizerConfig}: {tokenizerJson: object; tokenizerConfig: object}): TextTokenizer {
  const path = 'tokenizer.json';
  return new TextTokenizer({path, json: checkTokenizerJson(tokenizerJson, path), config: {...tokenizerConfig}});
}

const KINDS = [
  ['byte-level', byteLevelTokenizer],
  ['sentencepiece', sentencePieceTokenizer],
] as const;

describe.each(KINDS)('%s tokenizer', (_, files) => {
  const tokenizer = create(files());
  const reference = new Tokenizer(files().tokenizerJson, files().tokenizerConfig);

  it.each(['the other', 'hi hi', '', ' leading', 'trailing ', 'naïve 😀 汉字 \u200d👩‍👩‍👧', 'a\n\tb  c', '\u0000'])(
    'gives %j back',
    (text) => {
      expect(tokenizer.decode(tokenizer.encode(text))).toBe(text);
    },
  );

  it('decodes random tokens as the reference does', () => {
    const random = createRandom(1);
    for (let round = 0; round < 500; round++) {
      const tokens = Array.from({length: 1 + random.below(40)}, () => random.below(tokenizer.vocabSize));
      // The reference drops a byte order mark; here text is exactly what the tokens spell.
      for (const skipSpecialTokens of [true, false]) {
        const expected = reference.decode(tokens, {skip_special_tokens: skipSpecialTokens, clean_up_tokenization_spaces: false});
        expect(tokenizer.decode(tokens, {skipSpecialTokens}).replaceAll('\ufeff', '')).toBe(expected.replaceAll('\ufeff', ''));
      }
    }
  });

  it('streams random tokens in chunks of whole characters that join to the whole text', () => {
    const random = createRandom(2);
    for (let round = 0; round < 500; round++) {
      const tokens = Array.from({length: random.below(60)}, () => random.below(tokenizer.vocabSize));
      const stream = tokenizer.createTextStream();
      const chunks = [...tokens.map((token) => stream.push(token)), stream.end()];
      expect(chunks.join('')).toBe(tokenizer.decode(tokens));
      for (const chunk of chunks) expect(chunk).not.toMatch(/\p{Surrogate}/u);
    }
  });
});

describe('TextStream', () => {
  it('holds back an emoji until its last byte', () => {
    const tokenizer = create(byteLevelTokenizer());
    const tokens = tokenizer.encode('a😀b');
    expect([...tokens]).toHaveLength(4); // a, three bytes as one token, the last byte, b
    const stream = tokenizer.createTextStream();
    expect([...tokens].map((token) => stream.push(token))).toEqual(['a', '', '😀', 'b']);
    expect(stream.end()).toBe('');
  });

  it('ends an unfinished character with U+FFFD', () => {
    const tokenizer = create(sentencePieceTokenizer());
    const stream = tokenizer.createTextStream();
    expect(stream.push(tokenizer.tokenToId('<0xE2>')!)).toBe('');
    expect(stream.push(tokenizer.tokenToId('<0x82>')!)).toBe('');
    expect(stream.end()).toBe('\ufffd');
  });

  it('never holds more than three bytes, whatever comes', () => {
    const tokenizer = create(byteLevelTokenizer());
    const stream = tokenizer.createTextStream();
    let held = 0;
    for (let count = 0; count < 1000; count++) {
      held = stream.push(0x80) === '' ? held + 1 : 0;
      expect(held).toBeLessThanOrEqual(3);
    }
  });

  it('drops the space before the first word alone', () => {
    const tokenizer = create(sentencePieceTokenizer());
    const stream = tokenizer.createTextStream();
    const hi = tokenizer.tokenToId('▁hi')!;
    expect([stream.push(1), stream.push(hi), stream.push(hi)]).toEqual(['', 'hi', ' hi']);
  });
});

describe('TextTokenizer', () => {
  it('knows its special tokens', () => {
    const tokenizer = create(byteLevelTokenizer());
    expect(tokenizer.bos).toEqual({id: 264, content: '<|im_start|>'});
    expect(tokenizer.eos).toEqual({id: 265, content: '<|im_end|>'});
    expect([...tokenizer.specialTokenIds]).toEqual([263, 264, 265]);
    expect(tokenizer.vocabSize).toBe(267);
  });

  it('adds what begins a text, unless told not to', () => {
    const tokenizer = create(sentencePieceTokenizer());
    expect(tokenizer.encode('hi')[0]).toBe(1);
    expect(tokenizer.encode('hi', {addSpecialTokens: false})).not.toContain(1);
  });

  it('shows special tokens when asked', () => {
    const tokenizer = create(byteLevelTokenizer());
    const tokens = tokenizer.encode('hi<|im_end|>');
    expect(tokenizer.decode(tokens)).toBe('hi');
    expect(tokenizer.decode(tokens, {skipSpecialTokens: false})).toBe('hi<|im_end|>');
  });

  it('gives no text for ids beyond the vocabulary', () => {
    expect(create(byteLevelTokenizer()).decode([104, 5000, 105])).toBe('hi');
  });

  it('refuses to add a token that the vocabulary lacks', () => {
    const {tokenizerJson, tokenizerConfig} = byteLevelTokenizer();
    const single = [{SpecialToken: {id: '<start>', type_id: 0}}, {Sequence: {id: 'A', type_id: 0}}];
    const post_processor = {type: 'TemplateProcessing', single, pair: single, special_tokens: {}};
    const tokenizer = create({tokenizerJson: {...tokenizerJson, post_processor}, tokenizerConfig});
    expect(() => tokenizer.encode('hi')).toThrow('tokenizer.json: the vocabulary lacks the token "<start>"');
  });

  it('names the file when a part of it that is looked at late is damaged', () => {
    const {tokenizerJson, tokenizerConfig} = byteLevelTokenizer();
    const tokenizer = create({tokenizerJson: {...tokenizerJson, post_processor: {type: 'TemplateProcessing'}}, tokenizerConfig});
    expect(() => tokenizer.encode('hi')).toThrow(
      expect.objectContaining({code: 'ERR_TOKENIZER', message: expect.stringMatching(/tokenizer\.json: cannot encode: /)}),
    );
  });
});

describe('loadTokenizer', () => {
  const {tokenizerJson, tokenizerConfig} = byteLevelTokenizer();

  it('reads a folder, and does without tokenizer_config.json', async () => {
    await using folder = await temporaryFolder({'tokenizer.json': tokenizerJson});
    const tokenizer = await loadTokenizer(folder.path);
    expect(tokenizer.decode(tokenizer.encode('the'))).toBe('the');
    expect(tokenizer.chatTemplate).toBeUndefined();
  });

  it('prefers chat_template.jinja', async () => {
    await using folder = await temporaryFolder({
      'tokenizer.json': tokenizerJson,
      'tokenizer_config.json': tokenizerConfig,
      'chat_template.jinja': 'from the file',
    });
    expect((await loadTokenizer(folder.path)).chatTemplate?.source).toBe('from the file');
  });

  const {merges: _, ...withoutMerges} = tokenizerJson.model;
  const bigVocab = Object.fromEntries(Array.from({length: 2000}, (_, id) => [`t${id}`, id]));
  it.each([
    ['no file', {}, 'tokenizer.json: no such file'],
    ['text that is not JSON', {'tokenizer.json': '{"model": '}, 'tokenizer.json: not valid JSON'],
    ['a list', {'tokenizer.json': []}, 'the file must be an object'],
    ['no model', {'tokenizer.json': {...tokenizerJson, model: undefined}}, 'model must be an object, it is missing'],
    ['no merges', {'tokenizer.json': {...tokenizerJson, model: withoutMerges}}, 'model.merges is missing'],
    ['empty merges', {'tokenizer.json': {...tokenizerJson, model: {type: 'BPE', vocab: bigVocab, merges: []}}}, 'model.merges is empty'],
    [
      'a merge of one',
      {'tokenizer.json': {...tokenizerJson, model: {...tokenizerJson.model, merges: ['th']}}},
      'model.merges[0] is not a pair',
    ],
    ['an empty vocabulary', {'tokenizer.json': {...tokenizerJson, model: {...tokenizerJson.model, vocab: {}}}}, 'model.vocab is empty'],
    [
      'an absurd id',
      {'tokenizer.json': {...tokenizerJson, model: {...tokenizerJson.model, vocab: {a: 1e12}}}},
      'model.vocab["a"] must be an integer',
    ],
    ['a damaged added token', {'tokenizer.json': {...tokenizerJson, added_tokens: [{id: 1}]}}, 'added_tokens[0].content must be text'],
    ['no decoder', {'tokenizer.json': {...tokenizerJson, decoder: null}}, 'decoder must be an object'],
    ['a damaged decoder', {'tokenizer.json': {...tokenizerJson, decoder: {type: 'Sequence'}}}, 'decoder.decoders must be a list'],
    [
      'a damaged config',
      {'tokenizer.json': tokenizerJson, 'tokenizer_config.json': '"x"'},
      'tokenizer_config.json: the file must be an object',
    ],
    ['an unknown pre-tokenizer', {'tokenizer.json': {...tokenizerJson, pre_tokenizer: {type: 'Nonsense'}}}, 'Nonsense'],
  ])('refuses %s', async (_name, files, message) => {
    await using folder = await temporaryFolder(files);
    const error = await loadTokenizer(folder.path).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({name: 'FormatError', code: 'ERR_TOKENIZER', message: expect.stringContaining(message)});
  });

  it.each([
    ['model', {model: {type: 'WordPiece', vocab: {}}}, 'tokenizer model "WordPiece"'],
    ['decoder', {decoder: {type: 'CTC'}}, 'decoder "CTC"'],
    ['step after Fuse', {decoder: {type: 'Sequence', decoders: [{type: 'Fuse'}, {type: 'ByteFallback'}]}}, 'ByteFallback after Fuse'],
  ])('names a %s it does not know', async (_name, parts, message) => {
    await using folder = await temporaryFolder({'tokenizer.json': {...tokenizerJson, ...parts}});
    const error = await loadTokenizer(folder.path).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({code: 'ERR_UNSUPPORTED', message: expect.stringContaining(message)});
  });
});
