/** Turns an input of a graph into a constant: a sample rate, a mode, whatever a deployment never changes. */

import {OptionError} from '../../errors.js';
import {tensorInfo} from '../graph.js';
import {GraphBuilder} from '../graph_builder.js';
import type {Model} from '../model.js';

/**
 * `bytes`: little-endian, row-major. Changes `model`. Throws OptionError for an input that is not there, RangeError if
 * shape and type ask for other bytes.
 */
export function fixInput(model: Model, name: string, dims: readonly number[], bytes: Uint8Array): void {
  const {graph} = model;
  const input = graph.input.find((each) => each.name === name);
  const info = input && tensorInfo(input);
  if (!info) {
    throw new OptionError('input', `a tensor that the model takes (${graph.input.map((each) => each.name).join(', ')})`, name);
  }
  graph.input = graph.input.filter((each) => each !== input);
  // An initializer under an input's name was its default.
  graph.initializer = graph.initializer.filter((each) => each.name !== name);
  GraphBuilder.extend(model).initializer(name, info.type, dims, bytes);
}
