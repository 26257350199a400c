/** Reads the activities that the addon packs as numbers: the struct Activity of native/profile/activity.h. */

import type {Activity, ActivityKind, CollectedStep, CopyDirection, NativeActivities, StepPhase} from './profiler_addon.js';

/** Bytes of one. */
export const packedBytes = 104;

const KINDS: readonly ActivityKind[] = ['kernel', 'copy', 'set', 'graph', 'synchronize', 'range'];
const DIRECTIONS: readonly (CopyDirection | undefined)[] = [undefined, 'toDevice', 'toHost', 'onDevice'];

/** 32-bit words of an activity whose value differs from one launch of the same work to the next. Those before hold times. */
export const varyingWords: readonly {word: number; field: 'correlation' | 'step'}[] = [
  {word: 14, field: 'correlation'},
  {word: 25, field: 'step'},
];
/** The first word after the times. */
export const firstWord = 4;
export const wordsOfOne = packedBytes / Uint32Array.BYTES_PER_ELEMENT;
export const doublesOfOne = packedBytes / Float64Array.BYTES_PER_ELEMENT;

/** Activities as numbers: objects are made of those that are asked for. */
export class PackedActivities {
  readonly length: number;
  /** `start` and `end` are the first two of each. */
  readonly doubles: Float64Array;
  readonly words: Uint32Array;
  readonly #names: readonly string[];

  constructor(records: ArrayBuffer, names: readonly string[]) {
    this.length = records.byteLength / packedBytes;
    this.doubles = new Float64Array(records);
    this.words = new Uint32Array(records);
    this.#names = names;
  }

  at(index: number): Activity {
    const {doubles, words} = this;
    const [at, first] = [index * doublesOfOne, index * wordsOfOne];
    const word = (index: number): number => words[first + index]!;
    const kind = KINDS[word(6)]!;
    const activity: Activity = {
      kind,
      start: doubles[at]!,
      end: doubles[at + 1]!,
      device: word(9),
      stream: word(10),
      name: this.#name(word(12)) ?? kind,
    };
    const streamName = this.#name(word(11));
    if (streamName !== undefined) activity.streamName = streamName;
    if (word(13) !== 0) activity.graph = word(13);
    if (word(14) !== 0) activity.correlation = word(14);
    if (kind === 'copy' || kind === 'set') activity.bytes = doubles[at + 2]!;
    if (kind === 'copy') {
      const direction = DIRECTIONS[word(7)];
      if (direction !== undefined) activity.direction = direction;
      activity.pageable = word(8) !== 0;
    }
    if (kind === 'kernel') {
      activity.grid = [word(15), word(16), word(17)];
      activity.block = [word(18), word(19), word(20)];
      activity.sharedBytes = word(21);
      activity.registers = word(22);
    }
    const phase = this.#name(word(23));
    if (phase !== undefined) activity.phase = phase;
    const layer = this.#name(word(24));
    if (layer !== undefined) activity.layer = layer;
    if (word(25) !== 0) activity.step = word(25);
    return activity;
  }

  #name(number: number): string | undefined {
    return number === 0 ? undefined : this.#names[number - 1];
  }
}

const PHASES: readonly StepPhase[] = ['prefill', 'decode', 'score'];

/** What the addon packs of steps (native/binding/profiler.cc). */
export function readSteps({steps, models}: Pick<NativeActivities, 'steps' | 'models'>): CollectedStep[] {
  const numbers = new Float64Array(steps);
  const read: CollectedStep[] = [];
  for (let at = 0; at < numbers.length; ) {
    const [number, model, phase, rows, start, end, bytesRead, count] = numbers.subarray(at, at + 8) as unknown as number[];
    at += 8;
    const requests = Array.from({length: count!}, (_, index) => ({
      request: numbers[at + 2 * index]!,
      tokens: numbers[at + 2 * index + 1]!,
    }));
    at += 2 * count!;
    const times = {start: start!, end: end!};
    read.push({number: number!, model: models[model!]!, phase: PHASES[phase!]!, rows: rows!, ...times, bytesRead: bytesRead!, requests});
  }
  return read;
}

/** Keeps the names of one collection, which come with the first activity that has them. */
export class ActivityReader {
  readonly #names: string[] = [];

  packed({records, names}: Pick<NativeActivities, 'records' | 'names'>): PackedActivities {
    for (const name of names) this.#names.push(name);
    return new PackedActivities(records, this.#names);
  }

  read(batch: Pick<NativeActivities, 'records' | 'names'>): Activity[] {
    const packed = this.packed(batch);
    return Array.from({length: packed.length}, (_, index) => packed.at(index));
  }
}
