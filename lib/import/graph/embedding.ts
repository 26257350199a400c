/** The table of token embeddings at both ends of a decoder: its rows go in, and if it is tied, products with it come out. */

import {DataType} from '../../onnx/data_type.js';
import {int, string} from '../../onnx/graph_builder.js';
import type {CheckpointTensor} from '../checkpoint.js';
import {BLOCK_SIZE, type BlockTensor, type BlockWeights, blockWeights} from './blocks.js';
import {denseSource} from './dense.js';
import {onnxType} from './float_type.js';
import {blockInitializer, type GraphContext, isBlock, MICROSOFT, multiplyBlocks} from './matrix.js';

const NODES = '/model/embed_tokens';

export interface Embedding {
  /** The rows [batch_size, sequence_length, hidden] of the tokens `ids`. */
  rows: string;
  /** Makes `output`, the product of `hidden` with every row; the table is not stored again. */
  project(hidden: string, output: string): void;
}

export function embed(context: GraphContext, table: CheckpointTensor, ids: string): Embedding {
  return isBlock(table) ? embedBlocks(context, table, ids) : embedDense(context, table, ids);
}

function embedDense({builder, dtype}: GraphContext, table: CheckpointTensor, ids: string): Embedding {
  const weight = builder.initializer(table.name, onnxType(dtype), table.shape, denseSource(table, dtype));
  return {
    rows: builder.op('Gather', [weight, ids], {name: `${NODES}/Gather`}),
    project(hidden, output) {
      // ONNX Runtime transposes a constant once, at load, and packs it as it does any other: no slower, no larger.
      const transposed = builder.op('Transpose', [weight], {name: '/lm_head/Transpose'});
      builder.op('MatMul', [hidden, transposed], {name: '/lm_head/MatMul', output});
    },
  };
}

function embedBlocks(context: GraphContext, table: BlockTensor, ids: string): Embedding {
  const {builder, dtype} = context;
  const blocks = blockWeights(table, dtype);
  const [tokens, columns] = table.shape as readonly [number, number];
  const perBlock = [tokens, columns / BLOCK_SIZE];
  // The operators of the two ends want the same codes in different shapes: two initializers, one place in the file.
  const codes = builder.initializer(`${table.name}.codes_2d`, DataType.UINT8, [tokens, (columns * blocks.bits) / 8], blocks.codes);
  const scales = blockInitializer(builder, `${table.name}.scales`, onnxType(dtype), perBlock, blocks.scales);
  const zeroPoints =
    blocks.zeroPoints && blockInitializer(builder, `${table.name}.zero_points`, DataType.FLOAT, perBlock, blocks.zeroPoints);
  return {
    rows: zeroPoints
      ? gatherWithZeroPoints(context, {codes, scales, zeroPoints}, columns, ids)
      : gather(context, {codes, scales}, blocks.bits, ids),
    project: (hidden, output) => multiplyBlocks(context, table, blocks, hidden, {name: '/lm_head', output}),
  };
}

function gather({builder}: GraphContext, table: {codes: string; scales: string}, bits: BlockWeights['bits'], ids: string): string {
  return builder.op('GatherBlockQuantized', [table.codes, ids, table.scales], {
    domain: MICROSOFT,
    name: `${NODES}/GatherBlockQuantized`,
    attributes: {bits: int(bits), block_size: int(BLOCK_SIZE), gather_axis: int(0), quantize_axis: int(1)},
  });
}

interface TableWithZeroPoints {
  /** 4-bit, two a byte. */
  codes: string;
  scales: string;
  zeroPoints: string;
}

/** GatherBlockQuantized knows integer zero points alone: the few rows asked for are gathered packed and unpacked here, in float32. */
function gatherWithZeroPoints({builder, dtype}: GraphContext, table: TableWithZeroPoints, columns: number, ids: string): string {
  const op = (opType: string, inputs: string[], name: string, attributes = {}): string =>
    builder.op(opType, inputs, {name: `${NODES}/${name}`, attributes});
  const byte = (name: string, value: number): string => builder.initializer(name, DataType.UINT8, [], Uint8Array.of(value));
  const lastAxis = builder.int64('last_axis', [-1]);
  const toFloat = {to: int(DataType.FLOAT)};

  const packed = op('Gather', [table.codes, ids], 'codes/Gather');
  const low = op('BitwiseAnd', [packed, byte('nibble_mask', 15)], 'codes/BitwiseAnd');
  const high = op('BitShift', [packed, byte('nibble_shift', 4)], 'codes/BitShift', {direction: string('RIGHT')});
  const nibbles = [low, high].map((each) => op('Unsqueeze', [each, lastAxis], 'codes/Unsqueeze'));
  const pairs = op('Concat', nibbles, 'codes/Concat', {axis: int(-1)});
  const blockedShape = builder.int64('blocked_shape', [0, 0, columns / BLOCK_SIZE, BLOCK_SIZE]);
  const codes = op('Cast', [op('Reshape', [pairs, blockedShape], 'codes/Reshape')], 'codes/Cast', toFloat);

  const perBlock = (initializer: string, name: string): string =>
    op('Unsqueeze', [op('Gather', [initializer, ids], `${name}/Gather`), lastAxis], `${name}/Unsqueeze`);
  const zeroPoints = perBlock(table.zeroPoints, 'zero_points');
  const scales = perBlock(table.scales, 'scales');
  const floatScales = dtype === 'fp32' ? scales : op('Cast', [scales], 'scales/Cast', toFloat);

  const values = op('Mul', [op('Sub', [codes, zeroPoints], 'Sub'), floatScales], 'Mul');
  const rows = op('Reshape', [values, builder.int64('row_shape', [0, 0, columns])], 'Reshape');
  return dtype === 'fp32' ? rows : op('Cast', [rows], 'Cast', {to: int(onnxType(dtype))});
}
