/**
 * Ends a text at the first stop string, and lets no part of one through while the text comes in chunks.
 * The match that is complete first wins, the longest of those complete at the same character; so the
 * result does not depend on how the text was cut into chunks.
 */

import {OptionError} from '../errors.js';

/** A stop string and how much of it the text so far ends with (Knuth, Morris, Pratt 1977). */
interface Automaton {
  stop: string;
  /** For a prefix of length n + 1: the length of its longest proper prefix that is also its suffix. */
  fallback: Uint32Array;
  matched: number;
}

export class StopStrings {
  readonly #automata: Automaton[];
  #held = '';
  #stopped: string | undefined;

  /** Throws OptionError for an empty stop string, or one with half a surrogate pair. */
  constructor(stops: readonly string[]) {
    this.#automata = stops.map((stop, index) => {
      if (typeof stop !== 'string' || stop === '' || /\p{Surrogate}/u.test(stop)) {
        throw new OptionError(`stop[${index}]`, 'a well-formed string of at least one character', stop);
      }
      return {stop, fallback: fallbackTable(stop), matched: 0};
    });
  }

  /** The stop string that ended the text, once one did. */
  get stopped(): string | undefined {
    return this.#stopped;
  }

  /** Text that is safe to show. After a match this is what stood before it, and nothing more ever comes. */
  push(chunk: string): string {
    if (this.#stopped !== undefined) return '';
    const text = this.#held + chunk;
    for (let index = this.#held.length; index < text.length; index++) {
      const stop = this.#advance(text[index]!);
      if (stop !== undefined) {
        this.#stopped = stop;
        this.#held = '';
        return text.slice(0, index + 1 - stop.length);
      }
    }
    const keep = this.#automata.reduce((longest, {matched}) => Math.max(longest, matched), 0);
    this.#held = text.slice(text.length - keep);
    return text.slice(0, text.length - keep);
  }

  /** At the end of the text: what was held back and turned out to be no stop string. */
  end(): string {
    const rest = this.#held;
    this.#held = '';
    return rest;
  }

  #advance(character: string): string | undefined {
    let complete: string | undefined;
    for (const automaton of this.#automata) {
      const {stop, fallback} = automaton;
      while (automaton.matched > 0 && stop[automaton.matched] !== character) automaton.matched = fallback[automaton.matched - 1]!;
      if (stop[automaton.matched] === character) automaton.matched++;
      if (automaton.matched === stop.length && stop.length > (complete?.length ?? 0)) complete = stop;
    }
    return complete;
  }
}

function fallbackTable(stop: string): Uint32Array {
  const table = new Uint32Array(stop.length);
  let length = 0;
  for (let index = 1; index < stop.length; index++) {
    while (length > 0 && stop[index] !== stop[length]) length = table[length - 1]!;
    if (stop[index] === stop[length]) length++;
    table[index] = length;
  }
  return table;
}
