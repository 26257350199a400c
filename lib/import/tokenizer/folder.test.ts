import {mkdir, rm, writeFile} from 'node:fs/promises';

import {BinaryWriter, WireType} from '@bufbuild/protobuf/wire';
import {Tokenizer} from '@huggingface/tokenizers';
import {beforeEach, describe, expect, it} from 'vitest';

import {TOKENIZER} from '../../../test/support/safetensors_folder.js';
import {temporaryFolder} from '../../../test/support/temporary_folder.js';
import {FormatError, UnsupportedError} from '../../errors.js';
import {readTokenizerFolder} from './folder.js';

const folder = temporaryFolder();
const path = (name: string) => folder('model', name);
beforeEach(async () => {
  await rm(folder('model'), {recursive: true, force: true});
  await mkdir(folder('model'));
});

const write = (name: string, content: object | string) =>
  writeFile(path(name), typeof content === 'string' ? content : JSON.stringify(content));
const readConfig = async () => JSON.parse((await readTokenizerFolder(folder('model'))).tokenizerConfigJson);

describe('a folder with tokenizer.json', () => {
  it('keeps it byte for byte', async () => {
    const text = JSON.stringify(TOKENIZER, null, 3);
    await write('tokenizer.json', text);
    expect(await readTokenizerFolder(folder('model'))).toEqual({tokenizerJson: text, tokenizerConfigJson: '{}'});
  });

  it.each([
    [{'chat_template.jinja': 'file', 'chat_template.json': '{"chat_template": "json"}'}, 'file'],
    [{'chat_template.json': '{"chat_template": "json"}'}, 'json'],
    [{}, 'config'],
  ])('takes the chat template that stands highest: %j', async (files, expected) => {
    await write('tokenizer.json', TOKENIZER);
    await write('tokenizer_config.json', {chat_template: 'config', eos_token: '<|end|>'});
    for (const [name, text] of Object.entries(files)) await write(name, text);
    expect(await readConfig()).toEqual({chat_template: expected, eos_token: '<|end|>'});
  });

  it.each([
    ['tokenizer.json', '{', 'is not JSON'],
    ['tokenizer.json', '{"model": {"type": "BPE", "merges": []}}', 'has no merges'],
    ['tokenizer_config.json', '[]', 'is not a JSON object'],
    ['chat_template.json', 'x', 'is not JSON'],
  ])('refuses a %s of %s', async (name, text, message) => {
    await write('tokenizer.json', TOKENIZER);
    await write(name, text);
    const error = await readTokenizerFolder(folder('model')).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(FormatError);
    expect(error).toMatchObject({code: 'ERR_TOKENIZER', path: path(name)});
    expect((error as Error).message).toContain(message);
  });
});

describe('a folder with a SentencePiece tokenizer.model', () => {
  const pieces: [string, number, number?][] = [
    ['<unk>', 0, 2],
    ['<s>', 0, 3],
    ['</s>', 0, 3],
    ['ab', -1],
    ['▁', -2],
    ['a', -3],
    ['b', -4],
  ];

  it('rebuilds the tokenizer, with the tokens that were added later', async () => {
    await writeFile(path('tokenizer.model'), model({pieces}));
    await write('tokenizer_config.json', {
      add_bos_token: true,
      added_tokens_decoder: {7: {content: '[INST]', special: true}, 1: {content: '<s>', special: true}},
    });
    const {tokenizerJson, tokenizerConfigJson} = await readTokenizerFolder(folder('model'));
    const tokenizer = new Tokenizer(JSON.parse(tokenizerJson), JSON.parse(tokenizerConfigJson));
    expect(tokenizer.encode('ab[INST]b').tokens).toEqual(['<s>', '▁', 'ab', '[INST]', '▁', 'b']);
    expect(JSON.parse(tokenizerConfigJson)).toMatchObject({bos_token: '<s>', eos_token: '</s>', unk_token: '<unk>'});
  });

  it('puts no space before a text where the model says so', async () => {
    await writeFile(path('tokenizer.model'), model({pieces, addDummyPrefix: false}));
    const {tokenizerJson, tokenizerConfigJson} = await readTokenizerFolder(folder('model'));
    expect(new Tokenizer(JSON.parse(tokenizerJson), JSON.parse(tokenizerConfigJson)).encode('ab').tokens).toEqual(['<s>', 'ab']);
  });

  it.each([
    ['no pieces', model({pieces: []}), FormatError, 'without pieces'],
    ['another file', Buffer.from('GGUF\xff\xff\xff\xff'), FormatError, 'is not a SentencePiece model'],
    ['a piece that is cut', model({pieces}).subarray(0, 20), FormatError, 'is not a SentencePiece model'],
    ['Unigram', model({pieces, type: 1}), UnsupportedError, 'a SentencePiece model that is not BPE is not read'],
    ['a normalisation table', model({pieces, charsMap: Buffer.of(1, 2)}), UnsupportedError, 'normalisation tables are not read'],
  ])('refuses %s', async (_, bytes, type, message) => {
    await writeFile(path('tokenizer.model'), bytes);
    const error = await readTokenizerFolder(folder('model')).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(type);
    expect((error as Error).message).toContain(message);
  });

  it.each(['9', '0.5', '-1', 'x'])('refuses an added token %s that leaves a hole', async (id) => {
    await writeFile(path('tokenizer.model'), model({pieces}));
    await write('tokenizer_config.json', {added_tokens_decoder: {[id]: {content: 'x'}}});
    await expect(readTokenizerFolder(folder('model'))).rejects.toThrow(`has the token ${Number(id)}, the vocabulary ends at 7`);
  });

  it('knows a model without a token to begin with', async () => {
    await writeFile(path('tokenizer.model'), model({pieces, bos: -1}));
    await write('tokenizer_config.json', {});
    const {tokenizerJson} = await readTokenizerFolder(folder('model'));
    expect(JSON.parse(tokenizerJson).post_processor).toBeNull();
  });

  it('refuses a token to begin with that is not there', async () => {
    await writeFile(path('tokenizer.model'), model({pieces, bos: 7}));
    await expect(readTokenizerFolder(folder('model'))).rejects.toThrow('has the special token 7, the vocabulary ends at 7');
  });
});

/** sentencepiece_model.proto's ModelProto, encoded by hand. */
function model({
  pieces,
  type = 2,
  addDummyPrefix = true,
  bos = 1,
  charsMap,
}: {
  pieces: [string, number, number?][];
  type?: number;
  addDummyPrefix?: boolean;
  bos?: number;
  charsMap?: Buffer;
}): Buffer {
  const sized = (number: number, bytes: Buffer) => Buffer.concat([Buffer.of((number << 3) | 2, bytes.length), bytes]);
  const varint = (number: number, value: number) => Buffer.of(number << 3, value);
  const float = (number: number, value: number) => {
    const bytes = Buffer.of((number << 3) | 5, 0, 0, 0, 0);
    bytes.writeFloatLE(value, 1);
    return bytes;
  };
  return Buffer.concat([
    ...pieces.map(([text, score, kind]) =>
      sized(1, Buffer.concat([sized(1, Buffer.from(text)), float(2, score), ...(kind ? [varint(3, kind)] : [])])),
    ),
    sized(2, Buffer.from(new BinaryWriter().tag(3, WireType.Varint).int32(type).tag(41, WireType.Varint).int32(bos).finish())),
    sized(3, Buffer.concat([...(charsMap ? [sized(2, charsMap)] : []), varint(3, addDummyPrefix ? 1 : 0)])),
  ]);
}
