/** What the outputs of the real models mean, beyond their numbers: text, pixels of text, decisions. */

import {readFileSync} from 'node:fs';
import path from 'node:path';

import {characters, lineTexts} from './models.mjs';
import {referencesFolder} from './places.mjs';
import {editDistance, readText} from './text.mjs';

/** Of the detector's map: rapidocr's threshold. */
const DETECTED = 0.3;

/** By model. `add` gets a case, an output and its reference where that was kept; `say` is told of each line read otherwise. */
export const judges = {
  recogniser: (say) => {
    const read = JSON.parse(readFileSync(path.join(referencesFolder, 'recogniser.json'), 'utf8'));
    const written = lineTexts();
    const list = characters();
    let [equal, wrong, wrongReference, length] = [0, 0, 0, 0];
    return {
      count: 0,
      add(each, tensor) {
        this.count++;
        const text = readText(tensor, list);
        if (text === read[each]) equal++;
        else say(`  ${each}: '${read[each]}' is read as '${text}'`);
        const truth = written[Number(each)];
        wrong += editDistance(truth, text);
        wrongReference += editDistance(truth, read[each]);
        length += truth.length;
      },
      /** The share of lines read as ONNX Runtime reads them; errors a character of what was written, and ONNX Runtime's own. */
      figures() {
        return {strings_equal: equal / this.count, cer: wrong / length, cer_reference: wrongReference / length};
      },
    };
  },
  detector: () => {
    let [both, either] = [0, 0];
    return {
      count: 0,
      add(_, tensor, reference) {
        this.count++;
        for (let index = 0; index < tensor.data.length; index++) {
          const [a, b] = [tensor.data[index] > DETECTED, reference.data[index] > DETECTED];
          if (a && b) both++;
          if (a || b) either++;
        }
      },
      /** Of the pixels that either calls text, those that both do. */
      figures: () => ({iou: both / either}),
    };
  },
  classifier: () => agreement((tensor) => tensor.data[1] > tensor.data[0]),
  // The other output is the state.
  'silero-vad': () => agreement((tensor) => (tensor.data.length === 1 ? tensor.data[0] > 0.5 : undefined)),
};

function agreement(decide) {
  let agreed = 0;
  return {
    count: 0,
    add(_, tensor, reference) {
      const decision = decide(tensor);
      if (decision === undefined) return;
      this.count++;
      if (decision === decide(reference)) agreed++;
    },
    figures() {
      return {same_decision: agreed / this.count};
    },
  };
}
