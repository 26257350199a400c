/** What the card can do, as this process has come to know it: recordings take it along, for summaries to say what was reached of it. */

import type {CardSpeeds} from './activity.js';

let noted: CardSpeeds | undefined;

/** Of the GPU that was measured last. */
export function noteCardSpeeds(speeds: CardSpeeds): void {
  noted = speeds;
}

/** Nothing is measured for this: undefined where nothing was. */
export function notedCardSpeeds(): CardSpeeds | undefined {
  return noted;
}
