import {describe, expect, it} from 'vitest';

import {createRandom} from '../../test/support/random.js';
import {StopStrings} from './stop_strings.js';

/** What StopStrings promises, character by character, with the whole text at hand. */
function naive(text: string, stops: readonly string[]): {text: string; stopped: string | undefined} {
  for (let end = 1; end <= text.length; end++) {
    const complete = stops.filter((stop) => text.slice(0, end).endsWith(stop)).sort((a, b) => b.length - a.length)[0];
    if (complete !== undefined) return {text: text.slice(0, end - complete.length), stopped: complete};
  }
  return {text, stopped: undefined};
}

function feed(chunks: readonly string[], stops: readonly string[]) {
  const matcher = new StopStrings(stops);
  const shown = chunks.map((chunk) => matcher.push(chunk));
  return {shown, text: shown.join('') + matcher.end(), stopped: matcher.stopped};
}

describe('StopStrings', () => {
  it.each([
    ['cuts at the stop string', ['one STOP two'], ['STOP'], 'one ', 'STOP'],
    ['finds it across chunks', ['one S', 'T', 'OP two'], ['STOP'], 'one ', 'STOP'],
    ['lets what only began like one through', ['one ST', 'ART'], ['STOP'], 'one START', undefined],
    ['takes the one that is complete first', ['abcd'], ['abcd', 'bc'], 'a', 'bc'],
    ['takes the longest of those complete together', ['xabc'], ['c', 'abc'], 'x', 'abc'],
    ['finds one that overlaps its own beginning', ['aa', 'aab'], ['aab'], 'aa', 'aab'],
    ['finds one at the very start', ['\n\nmore'], ['\n\n'], '', '\n\n'],
    ['shows all when there are none', ['a', 'b'], [], 'ab', undefined],
    ['gives back what was held at the end', ['one ST'], ['STOP'], 'one ST', undefined],
  ])('%s', (_name, chunks, stops, text, stopped) => {
    expect(feed(chunks, stops)).toMatchObject({text, stopped});
  });

  it('holds back no more than it must', () => {
    expect(feed(['one S', 'T', 'ART'], ['STOP']).shown).toEqual(['one ', '', 'START']);
  });

  it('shows nothing after a match', () => {
    expect(feed(['a.', 'b.', 'c'], ['.'])).toEqual({shown: ['a', '', ''], text: 'a', stopped: '.'});
  });

  it('agrees with the naive search, however the text is cut', () => {
    const random = createRandom(3);
    const characters = ['a', 'b', 'c', '😀', '😁'];
    const word = (length: number) => Array.from({length}, () => random.pick(characters)).join('');
    let stoppedCount = 0;
    for (let round = 0; round < 5000; round++) {
      const stops = Array.from({length: random.below(4)}, () => word(1 + random.below(4)));
      const chunks = Array.from({length: random.below(12)}, () => word(random.below(4)));
      const expected = naive(chunks.join(''), stops);
      const {shown, text, stopped} = feed(chunks, stops);
      expect({text, stopped}).toEqual(expected);
      for (const chunk of shown) expect(chunk).not.toMatch(/\p{Surrogate}/u);
      // Nothing that was shown on the way is part of what is cut.
      expect(expected.text.startsWith(shown.join(''))).toBe(true);
      if (stopped !== undefined) stoppedCount++;
    }
    expect(stoppedCount).toBeGreaterThan(1000);
  });

  it.each([
    ['', "stop[1] must be a well-formed string of at least one character, got ''"],
    ['\ud83d', 'stop[1]'],
    [7, 'got 7'],
  ])('refuses %j', (bad, message) => {
    expect(() => new StopStrings(['ok', bad as string])).toThrow(message);
  });
});
