import {writeFile} from 'node:fs/promises';

import {describe, expect, it} from 'vitest';

import {bool, byteLevelMetadata, f32s, type GgufValue, ggufBytes, i32s, string, strings, u32} from '../../../test/support/gguf_file.js';
import {temporaryFolder} from '../../../test/support/temporary_folder.js';
import {FormatError} from '../../errors.js';
import {InputFile} from '../input_file.js';
import {readHeader} from './header.js';
import {type GgufTokenizer, readTokenizer} from './tokenizer.js';

const folder = temporaryFolder();

async function read(metadata: Record<string, GgufValue | undefined>): Promise<GgufTokenizer> {
  const path = folder('tokenizer.gguf');
  const entries = Object.entries(metadata).filter((entry): entry is [string, GgufValue] => !!entry[1]);
  await writeFile(path, ggufBytes({metadata: entries}));
  await using file = await InputFile.open(path);
  return readTokenizer(path, (await readHeader(file)).metadata);
}

const pieces: Record<string, GgufValue> = {
  'tokenizer.ggml.model': string('llama'),
  'tokenizer.ggml.tokens': strings(['<unk>', '<s>', '</s>', 'a', 'b', 'ab']),
  'tokenizer.ggml.scores': f32s([0, 0, 0, -2, -3, -1]),
  'tokenizer.ggml.token_type': i32s([2, 3, 3, 1, 1, 1]),
};

describe('readTokenizer', () => {
  const config = (tokenizer: GgufTokenizer) => JSON.parse(tokenizer.files.tokenizerConfigJson);
  const json = (tokenizer: GgufTokenizer) => JSON.parse(tokenizer.files.tokenizerJson);

  it('has the defaults of SentencePiece vocabularies', async () => {
    const tokenizer = await read(pieces);
    expect(tokenizer.tokens).toEqual({bosTokenId: 1, eosTokenIds: [2], padTokenId: undefined});
    expect(config(tokenizer)).toMatchObject({bos_token: '<s>', eos_token: '</s>', unk_token: '<unk>', add_bos_token: true});
    expect(json(tokenizer)).toMatchObject({post_processor: {type: 'TemplateProcessing'}, model: {type: 'BPE', merges: [['a', 'b']]}});
  });

  it.each([
    ['llama-bpe', true],
    ['gpt-2', false],
  ])('adds BOS with %s as it does by default: %s', async (pre, addBos) => {
    const metadata = {...byteLevelMetadata(40), 'tokenizer.ggml.pre': string(pre), 'tokenizer.ggml.bos_token_id': u32(5)};
    expect(config(await read(metadata)).add_bos_token).toBe(addBos);
    expect(config(await read({...metadata, 'tokenizer.ggml.add_bos_token': bool(!addBos)})).add_bos_token).toBe(!addBos);
  });

  it('makes the tokens that end a reply special, even where the file does not', async () => {
    const tokenizer = await read({...byteLevelMetadata(40), 'tokenizer.ggml.token_type': undefined, 'tokenizer.ggml.eos_token_id': u32(7)});
    expect(json(tokenizer).added_tokens).toMatchObject([{id: 7, content: 'g', special: true}]);
  });

  it('keeps the chat template, and the named ones beside it', async () => {
    const metadata = {...byteLevelMetadata(40), 'tokenizer.chat_template': string('{{ a }}')};
    expect(config(await read(metadata)).chat_template).toBe('{{ a }}');
    const named = {...metadata, 'tokenizer.chat_templates': strings(['tool_use']), 'tokenizer.chat_template.tool_use': string('{{ b }}')};
    expect(config(await read(named)).chat_template).toEqual([
      {name: 'default', template: '{{ a }}'},
      {name: 'tool_use', template: '{{ b }}'},
    ]);
  });

  const damaged: [string, Record<string, GgufValue | undefined>, string][] = [
    ['no tokens', {...pieces, 'tokenizer.ggml.tokens': undefined}, 'the tokenizer has no tokens'],
    ['an empty vocabulary', {...pieces, 'tokenizer.ggml.tokens': strings([])}, 'the tokenizer has no tokens'],
    ['a token twice', {...byteLevelMetadata(40), 'tokenizer.ggml.tokens': strings(['a', 'b', 'a'])}, 'tokens 0 and 2 are both "a"'],
    ['types of other tokens', {...pieces, 'tokenizer.ggml.token_type': i32s([1])}, 'there are 6 tokens, but 1 token types'],
    ['no scores', {...pieces, 'tokenizer.ggml.scores': undefined}, 'the tokenizer has no scores to merge by'],
    ['scores of other tokens', {...pieces, 'tokenizer.ggml.scores': f32s([1, 2])}, 'there are 6 tokens, but 2 scores'],
    ['no merges', {...byteLevelMetadata(40), 'tokenizer.ggml.merges': strings([])}, 'the tokenizer has no merges'],
    ['a token beyond the last', {...pieces, 'tokenizer.ggml.bos_token_id': u32(6)}, 'tokenizer.ggml.bos_token_id is 6, there are 6 tokens'],
  ];
  it.each(damaged)('refuses %s', async (_, metadata, message) => {
    const error = await read(metadata).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(FormatError);
    expect(error).toMatchObject({code: 'ERR_TOKENIZER', path: folder('tokenizer.gguf')});
    expect((error as Error).message).toContain(message);
  });
});
