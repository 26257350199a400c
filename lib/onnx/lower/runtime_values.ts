/** What a runtime of decoders knows anyway, however a graph computes it: tokens, positions, lengths, masks. */

import type {GraphIndex} from '../graph.js';

/** Whether `name` is the input of tokens, cast or reshaped at most. */
export function isTokens(index: GraphIndex, name: string): boolean {
  if (name === 'input_ids') return true;
  const node = index.producers.get(name);
  return node !== undefined && ['Identity', 'Cast', 'Reshape'].includes(node.opType) && isTokens(index, node.input[0]!);
}

/** Inputs that say where tokens are; of others the shape may be asked for. */
const PLUMBING = new Set(['attention_mask', 'position_ids']);

/** Whether `name` depends on nothing but positions, masks, shapes and constants: not on what the tokens are. */
export function isPlumbing(index: GraphIndex, name: string, known = new Map<string, boolean>()): boolean {
  if (name === '') return true;
  const found = known.get(name);
  if (found !== undefined) return found;
  const node = index.producers.get(name);
  const result = node
    ? node.opType === 'Shape' || node.input.every((input) => isPlumbing(index, input, known))
    : PLUMBING.has(name) || index.initializers.has(name);
  known.set(name, result);
  return result;
}
