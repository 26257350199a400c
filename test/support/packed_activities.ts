/** Activities as the addon packs them (native/profile/activity.h). */

import {doublesOfOne, packedBytes, varyingWords, wordsOfOne} from '../../lib/native/activities.js';
import type {Activity, NativeActivities} from '../../lib/native/profiler_addon.js';

const KINDS = ['kernel', 'copy', 'set', 'graph', 'synchronize'];
const DIRECTIONS = [undefined, 'toDevice', 'toHost', 'onDevice'];

/** What `takeActivities` gives for them. `numbers`: those of names of earlier calls. */
export function packed(
  activities: readonly Activity[],
  numbers: Map<string, number> = new Map(),
): Pick<NativeActivities, 'records' | 'names'> {
  const records = new ArrayBuffer(activities.length * packedBytes);
  const [doubles, words] = [new Float64Array(records), new Uint32Array(records)];
  const names: string[] = [];
  const numberOf = (name: string | undefined): number => {
    if (name === undefined) return 0;
    if (!numbers.has(name)) {
      names.push(name);
      numbers.set(name, numbers.size + 1);
    }
    return numbers.get(name)!;
  };
  for (const [index, activity] of activities.entries()) {
    const {kind, start, end, bytes = 0, direction, pageable, device, stream, streamName, name, graph = 0} = activity;
    const {grid = [0, 0, 0], block = [0, 0, 0], sharedBytes = 0, registers = 0} = activity;
    doubles.set([start, end, bytes], index * doublesOfOne);
    const first = index * wordsOfOne;
    const [streamNumber, nameNumber] = [numberOf(streamName), numberOf(name)];
    words.set([KINDS.indexOf(kind), DIRECTIONS.indexOf(direction), Number(pageable ?? false), device, stream], first + 6);
    words.set([streamNumber, nameNumber, graph, 0, ...grid, ...block, sharedBytes, registers], first + 11);
    for (const {word, field} of varyingWords) words[first + word] = activity[field] ?? 0;
  }
  return {records, names};
}
