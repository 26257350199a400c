/** A language model of one layer in ONNX's own operators alone, its cache concatenated: what a plain export looks like. */

import {uniform} from '../../lib/backend/cpu/random.js';
import {DataType} from '../../lib/onnx/data_type.js';
import {GraphBuilder, int, ints} from '../../lib/onnx/graph_builder.js';
import type {Model} from '../../lib/onnx/model.js';

const VOCAB = 24;
const HEADS = 2;
const HEAD_DIM = 4;
const HIDDEN = HEADS * HEAD_DIM;

export function plainDecoder(): Model {
  const builder = GraphBuilder.create({name: 'plain', opsets: {'': 17}});
  let draws = 0;
  const weight = (name: string, dims: readonly number[]) => {
    const values = Array.from({length: dims.reduce((a, b) => a * b, 1)}, () => uniform(5, draws++) * 2 - 1);
    return builder.float32(name, values, dims);
  };
  const cacheDims = (length: string) => ['batch_size', HEADS, length, HEAD_DIM];

  const ids = builder.input('input_ids', DataType.INT64, ['batch_size', 'sequence_length']);
  builder.input('attention_mask', DataType.INT64, ['batch_size', 'total_sequence_length']);
  const positions = builder.input('position_ids', DataType.INT64, ['batch_size', 'sequence_length']);
  const pastKey = builder.input('past_key_values.0.key', DataType.FLOAT, cacheDims('past_sequence_length'));
  const pastValue = builder.input('past_key_values.0.value', DataType.FLOAT, cacheDims('past_sequence_length'));

  const perm = (order: number[]) => ({attributes: {perm: ints(order)}});
  const hidden = builder.op('Add', [
    builder.op('Gather', [weight('tokens', [VOCAB, HIDDEN]), ids]),
    builder.op('Gather', [weight('positions', [64, HIDDEN]), positions]),
  ]);
  const heads = (name: string) => {
    const product = builder.op('MatMul', [hidden, weight(name, [HIDDEN, HIDDEN])]);
    return builder.op('Transpose', [builder.op('Reshape', [product, builder.int64('split', [0, 0, HEADS, HEAD_DIM])])], perm([0, 2, 1, 3]));
  };
  const query = heads('q');
  builder.node('Concat', [pastKey, heads('k')], {outputs: ['present.0.key'], attributes: {axis: int(2)}});
  builder.node('Concat', [pastValue, heads('v')], {outputs: ['present.0.value'], attributes: {axis: int(2)}});
  const scores = builder.op('MatMul', [query, builder.op('Transpose', ['present.0.key'], perm([0, 1, 3, 2]))]);

  // A key later than the query is hidden: [queries, 1] against [keys].
  const [zero, one] = [builder.int64('zero', [0], []), builder.int64('one', [1], [])];
  const length = builder.op('Gather', [builder.op('Shape', ['attention_mask']), one]);
  const later = builder.op('Greater', [builder.op('Range', [zero, length, one]), builder.op('Transpose', [positions], perm([1, 0]))]);
  const masked = builder.op('Where', [later, builder.float32('hidden', [-1e9], []), scores]);
  const attended = builder.op('MatMul', [builder.op('Softmax', [masked]), 'present.0.value']);
  const joined = builder.op('Reshape', [builder.op('Transpose', [attended], perm([0, 2, 1, 3])), builder.int64('join', [0, 0, HIDDEN])]);
  builder.node('MatMul', [builder.op('Add', [joined, hidden]), weight('head', [HIDDEN, VOCAB])], {outputs: ['logits']});

  builder.output('logits', DataType.FLOAT, ['batch_size', 'sequence_length', VOCAB]);
  builder.output('present.0.key', DataType.FLOAT, cacheDims('total_sequence_length'));
  builder.output('present.0.value', DataType.FLOAT, cacheDims('total_sequence_length'));
  return builder.build();
}
