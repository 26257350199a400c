/** Prompts of real text for measuring speed. */

import {prompts} from '../lib/prompts.mjs';

/** A function of an index and a length: no two prompts begin alike, so nothing of one is in the cache of another. */
export function textPrompts(tokenizer) {
  const text = prompts()
    .map((each) => each.text)
    .join(' ');
  const tokens = tokenizer.encode(text);
  return (index, length) => {
    const list = Uint32Array.from({length}, (_, at) => tokens[(index * 37 + at) % tokens.length]);
    list[0] = 100 + index;
    return list;
  };
}
