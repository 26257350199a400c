/** Reads the activities that the addon packs as numbers: the struct Activity of native/profile/activity.h. */

import type {Activity, ActivityKind, CopyDirection, NativeActivities} from './profiler_addon.js';

/** Bytes of one. */
export const packedBytes = 96;

const KINDS: readonly ActivityKind[] = ['kernel', 'copy', 'set', 'graph', 'synchronize', 'range'];
const DIRECTIONS: readonly (CopyDirection | undefined)[] = [undefined, 'toDevice', 'toHost', 'onDevice'];

/** Keeps the names of one collection, which come with the first activity that has them. */
export class ActivityReader {
  readonly #names: string[] = [];

  read({records, names}: Pick<NativeActivities, 'records' | 'names'>): Activity[] {
    for (const name of names) this.#names.push(name);
    const doubles = new Float64Array(records);
    const words = new Uint32Array(records);
    return Array.from({length: records.byteLength / packedBytes}, (_, index) => this.#one(doubles, index * 12, words, index * 24));
  }

  #one(doubles: Float64Array, at: number, words: Uint32Array, first: number): Activity {
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
    if (kind === 'range') activity.range = doubles[at + 2]!;
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
    return activity;
  }

  #name(number: number): string | undefined {
    return number === 0 ? undefined : this.#names[number - 1];
  }
}
