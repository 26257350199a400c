/** Prompts for comparing backends: passages of bench/prompts with something to do about them, in the model's chat template. */

import {renderChat} from '../../dist/tokenizer/chat.js';
import {prompts} from '../lib/prompts.mjs';

const TASKS = ['Continue this text.', 'What is this about?', 'Say this in simpler words.'];

/** `count` distinct prompts of exactly `length` tokens, each ending where the assistant's turn begins. */
export function parityPrompts(tokenizer, count, length) {
  const mark = '\u2042';
  const template = renderChat(tokenizer.chatTemplate, [{role: 'user', content: mark}]);
  const encode = (text) => [...tokenizer.encode(text, {addSpecialTokens: false})];
  const [before, after] = template.split(mark);
  const texts = prompts().map(({text}) => encode(text));
  const list = [];
  for (const [place, task] of TASKS.entries()) {
    const head = encode(`${before}${task}\n\n`);
    const tail = encode(after);
    const room = length - head.length - tail.length;
    for (const text of texts) {
      const start = Math.round(((text.length - room) * place) / (TASKS.length - 1));
      if (start < 0) throw new Error(`a text has ${text.length} tokens, fewer than ${room}`);
      list.push(Uint32Array.from([...head, ...text.slice(start, start + room), ...tail]));
    }
  }
  if (list.length < count) throw new Error(`there are ${list.length} prompts, fewer than ${count}`);
  return list.slice(0, count);
}

/** How many tokens all lists begin with. */
export function sharedPrefix(lists) {
  const [first, ...others] = lists;
  let length = 0;
  while (length < first.length && others.every((list) => list[length] === first[length])) length++;
  return length;
}
