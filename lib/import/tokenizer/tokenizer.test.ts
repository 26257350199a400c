import {Tokenizer} from '@huggingface/tokenizers';
import {describe, expect, it} from 'vitest';

import {FormatError, UnsupportedError} from '../../errors.js';
import {byteLevelTokenizer} from './byte_level.js';
import {preTokenizer} from './pre_tokenizers.js';
import {sentencePieceTokenizer} from './sentencepiece.js';
import {type SpecialTokens, TokenType, tokenizerConfig, type Vocabulary} from './vocabulary.js';

const none: SpecialTokens = {addBos: false, addEos: false};

function load(json: object, vocabulary: Vocabulary, special: SpecialTokens): Tokenizer {
  // What is written is text: everything must survive it.
  return new Tokenizer(JSON.parse(JSON.stringify(json)), JSON.parse(JSON.stringify(tokenizerConfig(vocabulary, special))));
}

describe('byteLevelTokenizer', () => {
  const tokens = ['<s>', '<tool>', 't', 'h', 'e', 'Ġ', 'th', 'the', 'Ġthe', '1', '2', '12', 'Ã', '©', '__proto__', 'Ċ'];
  const types = tokens.map((_, id) => (id === 0 ? TokenType.control : id === 1 ? TokenType.userDefined : TokenType.normal));
  const vocabulary = {tokens, types};
  const merges = ['t h', 'th e', 'Ġ the', '1 2'];
  const build = (pre: string, special: SpecialTokens) =>
    load(byteLevelTokenizer('x.gguf', vocabulary, merges, pre, special), vocabulary, special);
  const spell = (tokenizer: Tokenizer, text: string) => tokenizer.encode(text).ids.map((id: number) => tokens[id]);

  it('merges by rank, in bytes', () => {
    expect(spell(build('gpt-2', none), 'the thé the')).toEqual(['the', 'Ġ', 'th', 'Ã', '©', 'Ġthe']);
  });

  it.each([
    ['gpt-2', ['12']],
    ['llama-bpe', ['12']],
    ['smollm', ['1', '2']],
    ['qwen2', ['1', '2']],
    ['tekken', ['1', '2']],
    ['deepseek-coder', ['1', '2']],
    ['default', ['12']],
  ])('cuts digits as %s does', (pre, pieces) => {
    expect(spell(build(pre, none), '12')).toEqual(pieces);
  });

  it.each([
    ['gpt-2', ['1111']],
    ['llama-bpe', ['11', '1', '1']],
    ['default', ['11', '1', '1']],
  ])('cuts long numbers as %s does', (pre, pieces) => {
    const ones = {tokens: ['1', '11', '1111'], types: [1, 1, 1]};
    const tokenizer = load(byteLevelTokenizer('x.gguf', ones, ['1 1', '11 11'], pre, none), ones, none);
    expect(tokenizer.encode('1111').tokens).toEqual(pieces);
  });

  it('takes special tokens and the user’s whole, and keeps strange names', () => {
    const tokenizer = build('gpt-2', none);
    expect(spell(tokenizer, 'the<s>the<tool>')).toEqual(['the', '<s>', 'the', '<tool>']);
    expect(tokenizer.token_to_id('__proto__')).toBe(14);
    expect(tokenizer.decode(tokenizer.encode('<s>the<tool>').ids, {skip_special_tokens: true})).toBe('the<tool>');
  });

  it('puts tokens around a text as it is told', () => {
    expect(spell(build('gpt-2', {bos: 0, eos: 1, addBos: true, addEos: true}), 'the')).toEqual(['<s>', 'the', '<tool>']);
    expect(spell(build('gpt-2', {bos: 0, eos: 1, addBos: false, addEos: false}), 'the')).toEqual(['the']);
  });

  it.each([
    [undefined, 'the tokenizer has no merges'],
    [[], 'the tokenizer has no merges'],
    [['t h', 'the'], 'merge 1 of the tokenizer is "the", not two parts with a space between'],
    [['t '], 'merge 0 of the tokenizer is "t "'],
    [['a b c'], 'merge 0 of the tokenizer is "a b c"'],
  ])('refuses the merges %j', (bad, message) => {
    const build = () => byteLevelTokenizer('x.gguf', vocabulary, bad, 'gpt-2', none);
    expect(build).toThrow(FormatError);
    expect(build).toThrow(message);
  });

  it('names a pre-tokenizer it does not know', () => {
    expect(() => preTokenizer('klingon')).toThrow(new UnsupportedError('the pre-tokenizer "klingon" is not known (tokenizer.ggml.pre)'));
  });
});

describe('sentencePieceTokenizer', () => {
  const bytes = Array.from({length: 256}, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`);
  const pieces = ['▁t', 'he', '▁the', '▁▁', 'her', '▁', 't', 'h', 'e', 'r'];
  const tokens = ['<unk>', '<s>', '</s>', ...bytes, ...pieces];
  const kinds = [
    TokenType.unknown,
    TokenType.control,
    TokenType.control,
    ...bytes.map(() => TokenType.byte),
    ...pieces.map(() => TokenType.normal),
  ];
  const scores = tokens.map((_, id) => 259 - id);
  const special: SpecialTokens = {bos: 1, eos: 2, unk: 0, addBos: true, addEos: false};
  const vocabulary = {tokens, types: kinds, scores, addSpacePrefix: true};
  const build = (changes = {}) => {
    const changed = {...vocabulary, ...changes};
    return load(sentencePieceTokenizer('x.gguf', changed, special), changed, special);
  };
  const spell = (tokenizer: Tokenizer, text: string) => tokenizer.encode(text).ids.map((id: number) => tokens[id]);

  it('merges the pair with the best score first', () => {
    // 'he' before 'her', and '▁t' before both: '▁the' is made of '▁t' and 'he'.
    expect(spell(build(), 'the her')).toEqual(['<s>', '▁the', '▁', 'her']);
    // Were it Unigram, the best sum of scores would take '▁t' and 'her'.
    expect(spell(build(), 'ther')).toEqual(['<s>', '▁the', 'r']);
  });

  it('merges the piece with the lower id first where scores are equal', () => {
    const runs = ['▁', '▁▁', '▁▁▁▁', '▁▁▁', '▁▁▁▁▁▁▁▁'];
    const spaces = {
      tokens: [...tokens.slice(0, 259), ...runs],
      scores: Array(300).fill(-1),
      types: [...kinds.slice(0, 259), 1, 1, 1, 1, 1],
    };
    const tokenizer = build(spaces);
    const lengths = tokenizer.encode(' '.repeat(10), {add_special_tokens: false}).tokens.map((piece: string) => piece.length);
    // Eleven with the one in front: twos, then fours, then a three, then the eight.
    expect(lengths).toEqual([8, 3]);
  });

  it('spells unknown characters in bytes, and gives them back', () => {
    const tokenizer = build();
    expect(spell(tokenizer, 'é  r')).toEqual(['<s>', '▁', '<0xC3>', '<0xA9>', '▁▁', 'r']);
    expect(tokenizer.decode(tokenizer.encode('é  the 😀').ids, {skip_special_tokens: true})).toBe('é  the 😀');
  });

  it('begins with a space only where the vocabulary was made so', () => {
    const tokenizer = build({addSpacePrefix: false});
    expect(spell(tokenizer, 'he')).toEqual(['<s>', 'he']);
    expect(tokenizer.decode(tokenizer.encode(' the').ids, {skip_special_tokens: true})).toBe(' the');
  });

  it('refuses a vocabulary in which nothing merges', () => {
    const lone = {tokens: ['a', 'b'], types: [1, 1], scores: [0, 0], addSpacePrefix: true};
    expect(() => sentencePieceTokenizer('x.gguf', lone, none)).toThrow('no two pieces of the tokenizer make a third: it has no merges');
  });

  it('refuses a vocabulary in which everything merges in every way', () => {
    const runs = [...'abcdefghijklmnopq'].flatMap((letter) => Array.from({length: 512}, (_, length) => letter.repeat(length + 1)));
    const hostile = {tokens: runs, types: runs.map(() => 1), scores: runs.map(() => 0), addSpacePrefix: true};
    expect(() => sentencePieceTokenizer('x.gguf', hostile, none)).toThrow('the tokenizer has more than 2097152 merges');
  });

  it('refuses pieces of absurd length', () => {
    const long = {tokens: ['a'.repeat(513)], types: [1], scores: [0], addSpacePrefix: true};
    expect(() => sentencePieceTokenizer('x.gguf', long, none)).toThrow('piece 0 of the tokenizer has 513 characters, more than 512');
  });
});
