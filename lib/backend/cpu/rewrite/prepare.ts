/** What is changed in a language model before ONNX Runtime's CPU kernels get it: the same numbers, sooner, and rounded where the cache is. */

import {attribute, GraphIndex} from '../../../onnx/graph.js';
import {int} from '../../../onnx/graph_builder.js';
import type {Model} from '../../../onnx/model.js';
import type {KvCacheType} from '../../kv_cache_type.js';
import {blockDequantizedProducts} from './dequantized_products.js';
import {gatherBeforeDequantizing} from './dequantized_tables.js';
import {splitFloatZeroPoints} from './float_zero_points.js';
import {keepLogits} from './keep_logits.js';
import {roundCache} from './round_cache.js';
import {splitBytes} from './split_bytes.js';
import {addUnreturnedOutput} from './unreturned_outputs.js';

const MAKES_WEIGHTS = new Set(['DequantizeLinear', 'Transpose']);

export interface PrepareOptions {
  /** MatMulNBits' accuracy_level: 0 computes in the model's type, 4 rounds activations to 8 bits by block. */
  accuracyLevel: 0 | 4;
  /** What keys and values are rounded to. Default 'auto': not at all. */
  kvCacheType?: KvCacheType;
}

export async function prepare(model: Model, {accuracyLevel, kvCacheType = 'auto'}: PrepareOptions): Promise<void> {
  // First: the others may make the head more than a chain.
  keepLogits(model);
  if (kvCacheType !== 'auto') roundCache(model, kvCacheType);
  gatherBeforeDequantizing(model);
  await blockDequantizedProducts(model);
  await splitFloatZeroPoints(model);
  if (accuracyLevel === 0) await splitBytes(model);
  removeUnused(model);
  setAccuracyLevel(model, accuracyLevel);
  if (sharesCache(model)) addUnreturnedOutput(model);
}

/** Whether the model's attention can write into the buffer its past is in; others concatenate past and new. */
export function sharesCache({graph}: Model): boolean {
  const {consumers} = new GraphIndex(graph);
  const takers = graph.input.filter(({name}) => name.startsWith('past_key_values.')).flatMap(({name}) => consumers.get(name) ?? []);
  return takers.length > 0 && takers.every(({opType}) => opType === 'GroupQueryAttention');
}

function setAccuracyLevel(model: Model, level: number): void {
  for (const node of model.graph.node) {
    if (node.opType !== 'MatMulNBits') continue;
    const found = attribute(node, 'accuracy_level');
    if (found) found.i = BigInt(level);
    else node.attribute.push(int(level)('accuracy_level'));
  }
}

/** Weights that no node takes any more, and what dequantised them, would only fill memory. */
function removeUnused({graph}: Model): void {
  for (let before = -1; before !== graph.node.length; ) {
    before = graph.node.length;
    const index = new GraphIndex(graph);
    const isUsed = (name: string) => index.consumers.has(name) || index.isOutput(name);
    graph.node = graph.node.filter(({opType, output}) => !MAKES_WEIGHTS.has(opType) || output.some(isUsed));
    graph.initializer = graph.initializer.filter(({name}) => isUsed(name));
  }
}
