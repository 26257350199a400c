/** What is changed in a language model before ONNX Runtime's CPU kernels get it: the same numbers, sooner. */

import {attribute} from '../../../onnx/graph.js';
import {int} from '../../../onnx/graph_builder.js';
import type {Model} from '../../../onnx/model.js';
import {splitFloatZeroPoints} from './float_zero_points.js';
import {keepLogits} from './keep_logits.js';
import {addUnreturnedOutput} from './unreturned_outputs.js';

export interface PrepareOptions {
  /** MatMulNBits' accuracy_level: 0 computes in the model's type, 4 rounds activations to 8 bits by block. */
  accuracyLevel: 0 | 4;
}

export async function prepare(model: Model, {accuracyLevel}: PrepareOptions): Promise<void> {
  await splitFloatZeroPoints(model);
  setAccuracyLevel(model, accuracyLevel);
  keepLogits(model);
  addUnreturnedOutput(model);
}

function setAccuracyLevel(model: Model, level: number): void {
  for (const node of model.graph.node) {
    if (node.opType !== 'MatMulNBits') continue;
    const found = attribute(node, 'accuracy_level');
    if (found) found.i = BigInt(level);
    else node.attribute.push(int(level)('accuracy_level'));
  }
}
