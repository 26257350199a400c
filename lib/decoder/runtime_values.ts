/** What the runtime gives to a decoder anyway, however a graph computes it: tokens, positions, lengths. */

import type {GraphIndex} from '../onnx/graph.js';

/** Whether `name` is the input of tokens, cast or reshaped at most. */
export function isTokens(index: GraphIndex, name: string): boolean {
  if (name === 'input_ids') return true;
  const node = index.producers.get(name);
  return node !== undefined && ['Identity', 'Cast', 'Reshape'].includes(node.opType) && isTokens(index, node.input[0]!);
}

/** The inputs that say where tokens are and how many there are. */
const PLUMBING = /^(input_ids|attention_mask|position_ids|past_key_values\..*|past_seq_len|total_seq_len)$/;

/** Whether `name` depends on nothing but masks, positions and shapes of inputs: no weights of the model, no rows. */
export function isPlumbing(index: GraphIndex, name: string, known = new Map<string, boolean>()): boolean {
  if (name === '') return true;
  const found = known.get(name);
  if (found !== undefined) return found;
  const node = index.producers.get(name);
  const initializer = index.initializers.get(name);
  // Numbers, not weights: axes, shapes, the value that a mask adds.
  const result = initializer
    ? initializer.dims.reduce((product, dim) => product * Number(dim), 1) <= 16
    : node === undefined
      ? PLUMBING.test(name)
      : node.opType === 'Shape' || node.input.every((input) => isPlumbing(index, input, known));
  known.set(name, result);
  return result;
}
