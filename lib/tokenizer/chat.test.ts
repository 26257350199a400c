import {describe, expect, it} from 'vitest';

import {CHATML} from '../../test/support/tokenizers.js';
import {type ChatMessage, readChatTemplate, renderChat} from './chat.js';

const HELLO: ChatMessage[] = [{role: 'user', content: 'Hello'}];

describe('renderChat', () => {
  it('renders the turns and begins the answer', () => {
    const messages: ChatMessage[] = [{role: 'system', content: 'Be brief.'}, ...HELLO];
    expect(renderChat({source: CHATML}, messages)).toBe(
      '<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n',
    );
  });

  it('ends after the last turn when no answer is wanted', () => {
    expect(renderChat({source: CHATML}, HELLO, {addGenerationPrompt: false})).toBe('<|im_start|>user\nHello<|im_end|>\n');
  });

  it('gives the template its tokens, tools and variables', () => {
    const source = '{{ bos_token }}{{ eos_token }}{{ tools[0].name }}{{ mood }}';
    expect(renderChat({source, bosToken: '<s>', eosToken: '</s>'}, HELLO, {tools: [{name: 'clock'}], variables: {mood: '!'}})).toBe(
      '<s></s>clock!',
    );
  });

  it('uses the template for tools when there are tools', () => {
    const template = {source: 'plain', toolSource: 'tools'};
    expect(renderChat(template, HELLO)).toBe('plain');
    expect(renderChat(template, HELLO, {tools: []})).toBe('tools');
  });

  it.each([
    [undefined, 'messages must be a list of at least one message, got undefined'],
    ['Hello', "messages must be a list of at least one message, got 'Hello'"],
    [[], 'messages must be a list of at least one message, got []'],
    [['Hello'], "messages[0] must be an object with role and content, got 'Hello'"],
    [[...HELLO, {role: 'robot', content: ''}], "messages[1].role must be 'system' or 'user' or 'assistant' or 'tool', got 'robot'"],
    [[{role: 'user'}], 'messages[0].content must be a string, got undefined'],
  ])('refuses %j', (messages, message) => {
    expect(() => renderChat({source: CHATML}, messages as ChatMessage[])).toThrow(message);
  });

  it.each([
    ['no template', undefined, 'the model has no chat template'],
    ['a template that does not parse', {source: '{% for %}'}, 'chat template: '],
    ['a template that refuses', {source: "{{ raise_exception('no system role') }}"}, 'chat template: no system role'],
  ])('tells of %s', (_name, template, message) => {
    let error: unknown;
    try {
      renderChat(template, HELLO);
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toMatchObject({code: 'ERR_CHAT_TEMPLATE', message: expect.stringContaining(message)});
  });
});

describe('readChatTemplate', () => {
  const read = (chat_template: unknown) =>
    readChatTemplate({path: 'tokenizer.json', json: {model: {type: 'BPE'}, decoder: {}, added_tokens: []}, config: {chat_template}}, {});

  it('takes text, or a list of named templates', () => {
    expect(read('text')).toEqual({source: 'text'});
    expect(
      read([
        {name: 'default', template: 'd'},
        {name: 'tool_use', template: 't'},
      ]),
    ).toEqual({source: 'd', toolSource: 't'});
    expect(read(undefined)).toBeUndefined();
  });

  it('refuses anything else', () => {
    expect(() => read([{name: 'rag', template: 'r'}])).toThrow("chat_template is neither text nor a list with one named 'default'");
  });
});
