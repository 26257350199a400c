import {setImmediate} from 'node:timers/promises';
import {setFlagsFromString} from 'node:v8';
import {runInNewContext} from 'node:vm';

import {describe, expect, it} from 'vitest';

import {ManualBackend, TIMINGS} from '../../test/support/manual_backend.js';
import {byteLevelTokenizer} from '../../test/support/tokenizers.js';
import {TextTokenizer} from '../tokenizer/tokenizer.js';
import {checkTokenizerJson} from '../tokenizer/tokenizer_file.js';
import {LanguageModel} from './model.js';

function setup(vocabSize?: number) {
  const {tokenizerJson, tokenizerConfig} = byteLevelTokenizer();
  const tokenizer = new TextTokenizer({path: 't.json', json: checkTokenizerJson(tokenizerJson, 't.json'), config: tokenizerConfig});
  const backend = new ManualBackend(vocabSize ?? tokenizer.vocabSize);
  const model = new LanguageModel(backend, tokenizer, {modelType: 'llama', maxPositionEmbeddings: 512, eosTokenIds: []}, 'tiny');
  /** Answers the request under way with `text`, and ends it. */
  const answer = async (text: string) => {
    while (backend.requests.length === 0) await Promise.resolve();
    const {listener} = backend.requests.pop()!;
    listener.tokens(Array.from(tokenizer.encode(text), (token) => ({token})));
    listener.finished('length', TIMINGS);
  };
  const spell = (tokens: Iterable<number>) => tokenizer.decode(tokens, {skipSpecialTokens: false});
  return {tokenizer, backend, model, answer, spell};
}

const HELLO = [{role: 'user', content: 'Hello'}] as const;

describe('LanguageModel', () => {
  it('copies the tokens it is given', async () => {
    const {model, backend} = setup();
    const tokens = Uint32Array.of(1, 2, 3);
    const reply = model.generate(tokens);
    tokens.fill(9);
    void reply.next();
    await Promise.resolve();
    expect([...backend.requests[0]!.tokens]).toEqual([1, 2, 3]);
  });

  it('submits nothing for a reply that is ended before its first chunk', async () => {
    const {model, backend} = setup();
    const reply = model.generate('the');
    await reply.return();
    await reply.return();
    expect(await reply.next()).toEqual({value: undefined, done: true});
    expect(backend.requests).toEqual([]);
  });

  it('tells the backend what was taken once it is asked for more', async () => {
    const {model, backend, tokenizer} = setup();
    const reply = model.generate('the');
    const first = reply.next();
    while (backend.requests.length === 0) await Promise.resolve();
    const [request] = backend.requests;
    const tokens = tokenizer.encode('hello');
    request!.listener.tokens(Array.from(tokens, (token) => ({token})));
    await first;
    await setImmediate();
    expect(request!.consumed).toBe(0);
    void reply.next();
    expect(request!.consumed).toBe(tokens.length);
  });

  it.each([
    [null, 'tokens must be a list of tokens, got null'],
    ['the', "tokens must be a list of tokens, got 'the'"],
    [[], 'tokens must be at least one token long'],
    [[1, Number.NaN], 'tokens[1] must be a token from 0 to'],
  ])('score refuses %o', async (tokens, message) => {
    await expect(setup().model.score(tokens as never)).rejects.toMatchObject({
      code: 'ERR_OPTION',
      message: expect.stringContaining(message),
    });
  });
});

describe('a tokenizer of another model', () => {
  it('is named before its tokens reach the model', () => {
    const {model} = setup(150);
    expect(() => model.generate('é')).toThrow(
      expect.objectContaining({code: 'ERR_TOKENIZER', message: expect.stringContaining('the model 150 tokens')}),
    );
    expect(() => model.generate('a')).not.toThrow();
  });
});

describe('Session', () => {
  it('that is forgotten is freed when it is collected, and one that was disposed only once', async () => {
    setFlagsFromString('--expose-gc');
    const collect: () => void = runInNewContext('gc');
    const {model, backend} = setup();
    await model.createSession().dispose();
    model.createSession();
    for (let turn = 0; turn < 100 && backend.disposed.length < 2; turn++) {
      await setImmediate();
      collect();
    }
    expect(backend.disposed).toEqual([1, 2]);
  });

  it('disposed in the middle of a reply ends it with an error', async () => {
    const {model, backend, tokenizer} = setup();
    const session = model.createSession();
    const reply = session.generate('the');
    const first = reply.next();
    await Promise.resolve();
    await Promise.resolve();
    backend.requests[0]!.listener.tokens([{token: tokenizer.encode('a')[0]!}]);
    expect((await first).value).toMatchObject({text: 'a'});
    await session.dispose();
    await expect(reply.next()).rejects.toMatchObject({code: 'ERR_DISPOSED'});
  });

  it('is as it was after a reply that was aborted before it began', async () => {
    const {model, backend} = setup();
    const session = model.createSession();
    await expect(session.generateText(HELLO, {signal: AbortSignal.abort()})).rejects.toMatchObject({code: 'ERR_ABORTED'});
    expect(session.position).toEqual({tokens: 0, messages: 0});
    expect(backend.requests).toEqual([]);
  });

  it('goes on with the reply, and tells the template so', async () => {
    const {model, answer, spell} = setup();
    const session = model.createSession();
    await Promise.all([session.generateText(HELLO), answer('one')]);
    await Promise.all([session.generateText(' and'), answer(' two')]);
    expect(spell(session.tokens)).toMatch(/assistant\none and two$/);
    expect(session.messages.slice(1)).toEqual([
      {role: 'assistant', content: 'one'},
      {role: 'assistant', content: ' and two'},
    ]);
  });

  it('takes no messages after text, which the template would drop, until that is forgotten', async () => {
    const {model, answer, spell} = setup();
    const session = model.createSession();
    await Promise.all([session.generateText('the'), answer('re')]);
    expect(() => session.generate(HELLO)).toThrow(
      expect.objectContaining({code: 'ERR_OPTION', message: expect.stringContaining('text or tokens in a session that began with them')}),
    );
    expect(spell(session.tokens)).toBe('there');
    session.rewind({tokens: 0, messages: 0});
    await Promise.all([session.generateText(HELLO), answer('Hi')]);
    expect(session.messages).toHaveLength(2);
  });

  it.each([null, undefined, 5])('refuses to rewind to %o', (position) => {
    expect(() =>
      setup()
        .model.createSession()
        .rewind(position as never),
    ).toThrow(expect.objectContaining({code: 'ERR_OPTION', message: expect.stringContaining('position must be an object')}));
  });
});
