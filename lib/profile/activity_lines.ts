/**
 * Lines of a trace from activities as numbers. A graph's launches bring the same few hundred kernels again and again, so what
 * is the same in their lines is kept as bytes, and only times and what else varies is written anew: a tenth of the time.
 */

import {doublesOfOne, firstWord, type PackedActivities, varyingWords, wordsOfOne} from '../native/activities.js';
import type {Activity} from './activity.js';
import type {LineBuffer} from './line_buffer.js';
import {encodeActivityStart, type Track} from './trace_file.js';

/** Of kernels that are unlike; far more than a model has. */
const MOST_TEMPLATES = 16_384;

const DURATION = Buffer.from(',"dur":');
const TIME = Buffer.from('},"ts":');
const END = Buffer.from('}');

export interface Template<T extends Track> {
  track: T;
  /** What all such activities' lines begin with. */
  start: Buffer;
  /** What varies: where it is, and what stands before it. */
  varying: readonly {word: number; before: Buffer}[];
  /** The activity's own words, to tell it from others of the same hash. */
  words: Uint32Array;
}

export class ActivityLines<T extends Track> {
  readonly #trackOf: (activity: Activity) => T & {id: number};
  readonly #templates = new Map<number, Template<T>>();

  constructor(trackOf: (activity: Activity) => T & {id: number}) {
    this.#trackOf = trackOf;
  }

  /** For when tracks are forgotten. */
  clear(): void {
    this.#templates.clear();
  }

  /** Undefined for what has no such line: copies, which tell their rate, and times that cannot be. */
  templateOf(activities: PackedActivities, index: number): Template<T> | undefined {
    const {words, doubles} = activities;
    const first = index * wordsOfOne;
    const [start, end] = [doubles[index * doublesOfOne]!, doubles[index * doublesOfOne + 1]!];
    if (!(start >= 0 && end >= start)) return undefined;
    const hash = hashOf(words, first);
    let found = this.#templates.get(hash);
    if (found === undefined || !isAlike(found.words, words, first)) {
      const made = this.#make(activities, index);
      if (made === undefined) return undefined;
      if (this.#templates.size >= MOST_TEMPLATES) this.#templates.clear();
      this.#templates.set(hash, made);
      found = made;
    }
    return found;
  }

  /** The line, with a comma before it. */
  write(template: Template<T>, {doubles, words}: PackedActivities, index: number, into: LineBuffer): void {
    into.addBytes(template.start);
    for (const {word, before} of template.varying) {
      into.addBytes(before);
      into.addInteger(words[index * wordsOfOne + word]!);
    }
    into.addBytes(TIME);
    into.addMicros(doubles[index * doublesOfOne]!);
    into.addBytes(DURATION);
    into.addMicros(doubles[index * doublesOfOne + 1]! - doubles[index * doublesOfOne]!);
    into.addBytes(END);
  }

  #make(activities: PackedActivities, index: number): Template<T> | undefined {
    const activity = activities.at(index);
    if (activity.kind === 'copy') return undefined;
    const first = index * wordsOfOne;
    const varying = varyingWords.filter(({word}) => activities.words[first + word] !== 0);
    const constant = {...activity};
    for (const {field} of varying) delete constant[field];
    const track = this.#trackOf(activity);
    return {
      track,
      start: Buffer.from(`,\n${encodeActivityStart(constant, track, track.id)}`),
      varying: varying.map(({word, field}) => ({word, before: Buffer.from(`,"${field}":`)})),
      words: activities.words.slice(first, first + wordsOfOne),
    };
  }
}

const VARIES = Array.from({length: wordsOfOne}, (_, word) => varyingWords.some((each) => each.word === word));

/** Of all that does not vary, and of what is there at all. */
function hashOf(words: Uint32Array, first: number): number {
  let hash = 0;
  for (let word = firstWord; word < wordsOfOne; word++) {
    const value = words[first + word]!;
    hash = Math.imul(hash ^ (VARIES[word] ? Number(value !== 0) : value), 0x9e3779b1);
    hash ^= hash >>> 15;
  }
  return hash;
}

function isAlike(own: Uint32Array, words: Uint32Array, first: number): boolean {
  for (let word = firstWord; word < wordsOfOne; word++) {
    const [a, b] = [own[word]!, words[first + word]!];
    if (a !== b && !(VARIES[word] && a !== 0 && b !== 0)) return false;
  }
  return true;
}
